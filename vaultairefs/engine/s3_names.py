"""Names and key components: which text in a key stands for which name of a directory, and back.

Ordinary names are stored as they are.  What S3 cannot hold, or only some stores and their XML (bytes that are no
UTF-8, control characters), is escaped in the key; what Linux cannot hold (an empty part as in ``a//b``, ``.``, ``..``,
NUL), and control characters in foreign keys, in the name that is shown.

Promise: ``store`` and ``show`` are each other's inverse, whoever wrote the key, so every entry has exactly one name
and no two of one kind share one; the escapes themselves are escaped.  Pure.
"""

import base64
import hashlib
import re
from typing import Final

from vaultairefs.model.names import NAME_BYTES_MAX

COMPONENT_BYTES_MAX: Final = 255
"""A longer stored form of a name is replaced by its hash; the name itself goes into the object's metadata."""

SHADOWED: Final = b"%%file"
"""Ends the shown name of an object ``x`` that lies beside ``x/``: the container keeps the name."""

INNER_MARKER: Final = b"%%2F"
"""A component that stands for no name, since none holds a ``/``."""

_QUOTED: Final = b"%%="
_HASHED: Final = b"%%~"
_HASH: Final = re.compile(rb"%%~[A-Za-z0-9_-]{43}")
_LITERAL: Final = re.compile(rb"%(?=%(?:[0-9A-F]{2}|~))")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_ESCAPE: Final = re.compile(rb"%%([0-9A-F]{2})")


def store(name: bytes, *, container: bool = False) -> bytes:
    """The key component of a name; ``container`` tells whether it is one, since only they may be empty in a key."""
    if name.startswith(_QUOTED):
        component = _unescape(name[len(_QUOTED) :])
        is_possible = (component or container) and b"/" not in component and _is_utf8(component)
        if is_possible and show(component, container=container) == name:
            return component
    return _encode(name)


def show(component: bytes, *, container: bool = False) -> bytes:
    """The name that stands for a key component; it may be too long to be one (``hashed`` helps then)."""
    name = _unescape(component)
    is_possible = name and name not in (b".", b"..") and b"\0" not in name and b"/" not in name
    if is_possible and store(name, container=container) == component:
        return name
    return _QUOTED + _escape_control(_LITERAL.sub(b"%%25", component))


def hashed(text: bytes) -> bytes:
    """A short stand-in for a text that is too long; it never equals the stored form of another name."""
    return _HASHED + base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=")


def is_hashed(component: bytes) -> bool:
    """Whether it looks like one of ``hashed``."""
    return _HASH.fullmatch(component) is not None


def is_too_long(name: bytes) -> bool:
    return len(name) > NAME_BYTES_MAX


def _encode(name: bytes) -> bytes:
    quoted = _escape_control(_LITERAL.sub(b"%%25", name))
    if _is_utf8(quoted):
        return quoted
    return b"".join(
        b"%%%%%02X" % (ord(letter) - 0xDC00) if "\udc80" <= letter <= "\udcff" else letter.encode()
        for letter in quoted.decode("utf-8", "surrogateescape")
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _escape_control(text: bytes) -> bytes:
    return _CONTROL.sub(lambda found: b"%%%%%02X" % found[0][0], text)


def _unescape(text: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), text) if b"%%" in text else text
