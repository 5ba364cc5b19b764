"""Rules for names and paths.

A name is any bytes but ``/`` and NUL, at most 255 of them, and not ``.`` or ``..`` (path_resolution(7)).
The root of every namespace holds one reserved container, ``.vaultairefs``; a user's own entry of that name is
stored escaped, so the two never meet.
"""

import re
from typing import Final

from vaultairefs.model.errors import InvalidRequest, NameTooLong

NAME_BYTES_MAX: Final = 255
TARGET_BYTES_MAX: Final = 4095
"""PATH_MAX without its NUL: the longest symlink target (symlink(2))."""

RESERVED: Final = b".vaultairefs"
_ESCAPABLE: Final = re.compile(rb"\.vaultairefs%*", re.DOTALL)


def check_name(name: bytes) -> None:
    """Raise ``NameTooLong`` or ``InvalidRequest`` when ``name`` cannot be a new entry's name."""
    if len(name) > NAME_BYTES_MAX:
        raise NameTooLong(artifact=name)
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise InvalidRequest("not a possible name", artifact=name)


def join(container: bytes, name: bytes) -> bytes:
    """``name`` inside ``container``; the root container is ``b""``."""
    return container + b"/" + name if container else name


def escape_root_name(name: bytes) -> bytes:
    """The stored form of a name directly below the root: ``.vaultairefs%%`` becomes ``.vaultairefs%%%``."""
    return name + b"%" if _ESCAPABLE.fullmatch(name) else name


def unescape_root_name(stored: bytes) -> bytes | None:
    """The user's name for a stored one directly below the root; None for the reserved container itself."""
    if stored == RESERVED:
        return None
    return stored[:-1] if _ESCAPABLE.fullmatch(stored) else stored
