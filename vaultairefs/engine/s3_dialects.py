"""Reads attributes out of object metadata, whoever wrote it: s3fs and ourselves, rclone, geesefs, goofys, gcsfuse.

Promise: whatever stands there, attributes come out; what cannot be understood counts as not said.  Metadata is
foreign input: nothing in it can change which key is meant, nor what kind of entry a key that ends in ``/`` is.  Pure.
"""

import base64
import binascii
import datetime
import email.utils
import json
import re
import stat
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from vaultairefs.model.values import Attributes, Kind, kind_of

_SECONDS: Final = re.compile(r"(-?\d{1,18})(?:\.(\d{1,9}))?\d*")
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\d*(Z|[+-]\d\d:?\d\d)")
_ID_MAX: Final = 0xFFFFFFFE
_SYMLINK_TARGETS: Final = ("--symlink-target", "gcsfuse_symlink_target")


class Owner(NamedTuple):
    """Who owns what nobody said an owner of."""

    uid: int
    gid: int


def read_attributes(
    metadata: Mapping[str, str], *, is_container: bool, modified_ns: int, owner: Owner, xattr_text: str | None = None
) -> Attributes:
    """``xattr_text`` replaces the metadata's own where it was too long for it.  A symlink's target may be its body."""
    kind, mode = _kind_and_mode(metadata, is_container)
    mtime_ns = _time(metadata, modified_ns, "mtime", "gcsfuse_mtime", "goog-reserved-file-mtime")
    return Attributes(
        kind=kind,
        mode=mode,
        uid=_number(metadata, "uid", owner.uid),
        gid=_number(metadata, "gid", owner.gid),
        atime_ns=_time(metadata, mtime_ns, "atime"),
        mtime_ns=mtime_ns,
        ctime_ns=_time(metadata, mtime_ns, "ctime"),
        rdev=_number(metadata, "rdev", 0) if kind in (Kind.CHARACTER, Kind.BLOCK) else 0,
        target=_target(metadata) if kind is Kind.SYMLINK else b"",
        xattrs=read_xattrs(metadata.get("xattr", "") if xattr_text is None else xattr_text),
    )


def modified_ns_of(text: str) -> int:
    """A Last-Modified header in nanoseconds; 0 where it says nothing."""
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except (ValueError, TypeError):
        return 0


def read_xattrs(text: str) -> dict[bytes, bytes]:
    """s3fs's form: URL-encoded JSON of name to base64."""
    if not text:
        return {}
    try:
        named = json.loads(urllib.parse.unquote_to_bytes(text).decode("utf-8", "surrogateescape"))
        return {
            name.encode("utf-8", "surrogateescape"): base64.b64decode(value, validate=True)
            for name, value in named.items()
        }
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return {}


def _time(metadata: Mapping[str, str], otherwise: int, *names: str) -> int:
    """The first of the names that says a time, in nanoseconds."""
    for name in names:
        text = metadata.get(name, "")
        if found := _SECONDS.fullmatch(text):
            return int(found[1]) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))
        if found := _RFC3339.fullmatch(text):
            with suppress(ValueError):
                moment = datetime.datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
                return int(moment.timestamp()) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))
    return otherwise


def _number(metadata: Mapping[str, str], name: str, otherwise: int) -> int:
    text = metadata.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and int(text or 0) <= _ID_MAX else otherwise


def _kind_and_mode(metadata: Mapping[str, str], is_container: bool) -> tuple[Kind, int]:
    st_mode = _st_mode(metadata, is_container)
    if is_container:
        return Kind.CONTAINER, 0o755 if st_mode is None else stat.S_IMODE(st_mode)
    if any(name in metadata for name in _SYMLINK_TARGETS) or metadata.get("goog-reserved-file-is-symlink") == "true":
        return Kind.SYMLINK, 0o777
    if st_mode is None:
        return Kind.FILE, 0o644
    kind = kind_of(st_mode) if _has_type(st_mode) else Kind.FILE
    return (Kind.FILE if kind is Kind.CONTAINER else kind), stat.S_IMODE(st_mode)


def _st_mode(metadata: Mapping[str, str], is_container: bool) -> int | None:
    """s3fs, geesefs and we write it in decimal, rclone in octal, all under one name."""
    text = metadata.get("mode", "")
    if not re.fullmatch(r"[0-9]{1,7}", text):
        return None
    octal = int(text, 8) if re.fullmatch(r"[0-7]+", text) else None
    decimal = int(text)
    if text.startswith("0") and text != "0":
        return octal
    if is_container:
        fits_octal = octal is not None and stat.S_ISDIR(octal)
        return octal if fits_octal and not stat.S_ISDIR(decimal) else _bounded(decimal)
    if decimal < 10_000 and octal is not None and not ({"uid", "gid", "ctime"} & metadata.keys()):
        return octal
    if _has_type(decimal) or octal is None:
        return _bounded(decimal)
    return octal if _has_type(octal) else _bounded(decimal)


def _bounded(st_mode: int) -> int | None:
    return st_mode if st_mode <= 0o177777 else None


def _has_type(st_mode: int) -> bool:
    try:
        kind_of(st_mode)
    except KeyError:
        return False
    return st_mode <= 0o177777


def _target(metadata: Mapping[str, str]) -> bytes:
    text = next((metadata[name] for name in _SYMLINK_TARGETS if name in metadata), "")
    return urllib.parse.unquote_to_bytes(text)
