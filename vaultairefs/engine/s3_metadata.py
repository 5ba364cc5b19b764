"""Writes attributes into object metadata, in s3fs's form, and reads an object's whole description back.

``mode`` (decimal st_mode), ``uid``, ``gid``, ``mtime``, ``atime``, ``ctime`` (seconds and nine digits), ``xattr``
(URL-encoded JSON of base64) and ``rdev`` are s3fs's; a symlink's body is its target.  ``vaultaire-token`` is the token
of the put, ``vaultaire-id`` a container's identity, ``vaultaire-name`` a name that its key only hashes,
``vaultaire-from`` the version that a copy of attributes was made from, ``vaultaire-link`` the group of names that the
object may be one of (``s3_links``).  Extended attributes too long for metadata lie
in an object of their own, ``.vaultairefs/attributes/<sha256>``, that ``vaultaire-xattr`` names.

Promise: header values are ASCII without blanks; what the metadata said that is not ours is kept.  Pure.
"""

import base64
import hashlib
import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Final, NamedTuple

from vaultairefs.engine.s3_objects import META, Head
from vaultairefs.model.values import Attributes, Kind

METADATA_BYTES_MAX: Final = 1900
"""S3 takes 2048 bytes of names and values; our token and names come on top of the attributes."""
CONTAINER_TYPE: Final = "application/x-directory"
ARTIFACT_TYPE: Final = "application/octet-stream"

TOKEN: Final = "vaultaire-token"
IDENTITY: Final = "vaultaire-id"
NAME: Final = "vaultaire-name"
FROM: Final = "vaultaire-from"
LINK: Final = "vaultaire-link"
LINK_ID: Final = re.compile(r"[0-9a-f]{1,64}")
SIDECAR: Final = "vaultaire-xattr"
_OURS: Final = frozenset(
    {"mode", "uid", "gid", "mtime", "atime", "ctime", "xattr", "rdev", TOKEN, IDENTITY, NAME, FROM, LINK, SIDECAR}
)
_KEPT_HEADERS: Final[tuple[str, ...]] = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
)


class Extras(NamedTuple):
    """What an object says beside its attributes; empty where it says nothing."""

    token: str = ""
    identity: str = ""
    name: bytes = b""
    origin: str = ""
    link: str = ""


class Written(NamedTuple):
    """Headers for a put or copy; ``sidecar`` is the text to store under ``sidecar_name`` first, if any."""

    headers: dict[str, str]
    sidecar_name: str = ""
    sidecar: str = ""


def write(attributes: Attributes, extras: Extras) -> Written:
    """The headers that say all this."""
    is_container = attributes.kind is Kind.CONTAINER
    said = {
        "mode": str(attributes.st_mode),
        "uid": str(attributes.uid),
        "gid": str(attributes.gid),
        "mtime": _seconds(attributes.mtime_ns),
        "atime": _seconds(attributes.atime_ns),
        "ctime": _seconds(attributes.ctime_ns),
    }
    if attributes.kind in (Kind.CHARACTER, Kind.BLOCK):
        said["rdev"] = str(attributes.rdev)
    for name, value in ((TOKEN, extras.token), (IDENTITY, extras.identity), (FROM, extras.origin), (LINK, extras.link)):
        if value:
            said[name] = urllib.parse.quote(value, safe=":/+=-_.~")
    if extras.name:
        said[NAME] = base64.urlsafe_b64encode(extras.name).decode()
    sidecar_name = sidecar = ""
    if attributes.xattrs:
        text = write_xattrs(attributes.xattrs)
        if sum(map(len, said)) + sum(map(len, said.values())) + len("xattr") + len(text) <= METADATA_BYTES_MAX:
            said["xattr"] = text
        else:
            sidecar_name, sidecar = hashlib.sha256(text.encode()).hexdigest(), text
            said[SIDECAR] = sidecar_name
    headers = {META + name: value for name, value in said.items()}
    headers["content-type"] = CONTAINER_TYPE if is_container else ARTIFACT_TYPE
    return Written(headers, sidecar_name, sidecar)


def kept_headers(head: Head) -> dict[str, str]:
    """What a copy that replaces the metadata must say again, so that nothing is lost."""
    kept: dict[str, str] = {name: head.headers[name] for name in _KEPT_HEADERS if name in head.headers}
    kept.update({META + name: value for name, value in head.metadata.items() if name not in _OURS})
    return kept


def is_plain(head: Head) -> bool:
    """Whether the object is one that we put, and says nothing but what we would write of it again anyway."""
    return read_extras(head.metadata).token != "" and _says_nothing_else(head, ARTIFACT_TYPE)


def is_plain_marker(head: Head) -> bool:
    """The same of an object ``dir/``."""
    return read_extras(head.metadata).identity != "" and _says_nothing_else(head, CONTAINER_TYPE)


def _says_nothing_else(head: Head, content_type: str) -> bool:
    kept = kept_headers(head).items() - {("content-type", content_type)}
    return not kept and head.headers.get("x-amz-tagging-count", "0") == "0"


def read_extras(metadata: Mapping[str, str]) -> Extras:
    try:
        name = base64.urlsafe_b64decode(metadata.get(NAME, ""))
    except ValueError:
        name = b""
    token, identity, origin = (urllib.parse.unquote(metadata.get(word, "")) for word in (TOKEN, IDENTITY, FROM))
    link = metadata.get(LINK, "")
    return Extras(token, identity, name, origin, link if LINK_ID.fullmatch(link) else "")


def write_xattrs(xattrs: Mapping[bytes, bytes]) -> str:
    named = {
        name.decode("utf-8", "surrogateescape"): base64.b64encode(value).decode()
        for name, value in sorted(xattrs.items())
    }
    text = json.dumps(named, ensure_ascii=False, separators=(",", ":"))
    return urllib.parse.quote_from_bytes(text.encode("utf-8", "surrogateescape"), safe="")


def _seconds(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{seconds}.{nanoseconds:09d}"
