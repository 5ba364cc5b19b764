"""POSIX access control lists as pure values: parse, inherit, and meet with mode bits.

A list travels as the value of the xattr ``system.posix_acl_access`` or ``system.posix_acl_default``
(linux/posix_acl_xattr.h: a little-endian u32 version 2, then u16 tag, u16 permissions, u32 id per entry); its meaning
is acl(5).  The kernel checks access against it, but leaves inheritance and the tie between list and mode to a server.

Promise: the *mode* is the truth for what owner, mask (or group without a mask) and others may do.  A stored list is
shown through it (``shown``), so chmod(2) changes one thing, atomically.

Does not: check access; store anything.
"""

import struct
from typing import Final, NamedTuple

from vaultairefs.model.errors import InvalidRequest

ACCESS: Final = b"system.posix_acl_access"
DEFAULT: Final = b"system.posix_acl_default"

_VERSION: Final = 2
_HEADER: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")
_NO_ID: Final = 0xFFFFFFFF

USER_OBJ: Final = 0x01
USER: Final = 0x02
GROUP_OBJ: Final = 0x04
GROUP: Final = 0x08
MASK: Final = 0x10
OTHER: Final = 0x20

_ONCE: Final = (USER_OBJ, GROUP_OBJ, MASK, OTHER)
_NAMED: Final = (USER, GROUP)


class Entry(NamedTuple):
    """One line of a list; ``permissions`` are rwx bits (0..7), ``id`` a uid or gid for named entries."""

    tag: int
    permissions: int
    id: int = _NO_ID


Acl = tuple[Entry, ...]


def parse(value: bytes) -> Acl:
    """The list in an xattr value; a header alone is the empty list.  ``InvalidRequest`` unless it is a valid one."""
    if len(value) < _HEADER.size or (len(value) - _HEADER.size) % _ENTRY.size:
        raise InvalidRequest("an access control list of impossible length")
    if _HEADER.unpack_from(value)[0] != _VERSION:
        raise InvalidRequest("an access control list of unknown version")
    acl = tuple(Entry(*fields) for fields in _ENTRY.iter_unpack(value[_HEADER.size :]))
    if acl:
        _check(acl)
    return acl


def encode(acl: Acl) -> bytes:
    """The xattr value of a list, entries in canonical order."""
    ordered = sorted(acl, key=lambda entry: (entry.tag, entry.id))
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in ordered)


def is_minimal(acl: Acl) -> bool:
    """Whether mode bits alone say the same (acl(5): exactly the three required entries)."""
    return all(entry.tag in (USER_OBJ, GROUP_OBJ, OTHER) for entry in acl)


def mode_from(acl: Acl) -> int:
    """The permission bits (0..0o777) that a valid list amounts to."""
    by_tag = {entry.tag: entry.permissions for entry in acl if entry.tag in _ONCE}
    return by_tag[USER_OBJ] << 6 | by_tag.get(MASK, by_tag[GROUP_OBJ]) << 3 | by_tag[OTHER]


def with_mode(acl: Acl, mode: int) -> Acl:
    """The list after chmod to ``mode`` (acl(5), "correspondence between ACL entries and file permission bits")."""
    group_tag = MASK if any(entry.tag == MASK for entry in acl) else GROUP_OBJ
    bits = {USER_OBJ: mode >> 6 & 7, group_tag: mode >> 3 & 7, OTHER: mode & 7}
    return tuple(entry._replace(permissions=bits.get(entry.tag, entry.permissions)) for entry in acl)


def shown(value: bytes, mode: int) -> bytes:
    """A stored access list as it reads now that the mode is ``mode``."""
    return encode(with_mode(parse(value), mode))


def inherit(default: bytes, mode: int) -> tuple[bytes | None, int]:
    """What a new entry gets from its container's default list, created with ``mode`` (no umask).

    Returns the access list to store (None when the mode says it all) and the permission bits; bits above 0o777 pass.
    """
    acl = parse(default)
    granted = mode_from(acl) & mode & 0o777
    result = mode & ~0o777 | granted
    return (None if is_minimal(acl) else encode(with_mode(acl, granted))), result


def _check(acl: Acl) -> None:
    tags = [entry.tag for entry in acl]
    named = [(entry.tag, entry.id) for entry in acl if entry.tag in _NAMED]
    well_formed = (
        all(tag in _ONCE or tag in _NAMED for tag in tags)
        and all(tags.count(tag) == 1 for tag in (USER_OBJ, GROUP_OBJ, OTHER))
        and tags.count(MASK) <= 1
        and len(set(named)) == len(named)
        and (not named or MASK in tags)
        and all(entry.permissions & ~7 == 0 for entry in acl)
        and all(number != _NO_ID for _, number in named)
    )
    if not well_formed:
        raise InvalidRequest("not a valid access control list")
