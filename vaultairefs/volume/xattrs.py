"""Extended attributes (xattr(7)) and access control lists (acl(5)).

Promise: an access list and the permission bits never contradict each other: what the list says of owner, mask and
others is kept in the mode and read from there.

Does not: check permissions (the kernel does).
"""

import re
import stat
from typing import Final

from vaultairefs.model.changes import AttributesSet, XattrSet
from vaultairefs.model.context import current
from vaultairefs.model.errors import (
    AccessDenied,
    AlreadyExists,
    AttributeMissing,
    AttributeTooLarge,
    InvalidRequest,
    NameTooLong,
    NotPermitted,
    NotSupported,
    OutOfSpace,
)
from vaultairefs.model.values import Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import acl
from vaultairefs.volume.core import Core
from vaultairefs.volume.privileges import CAPABILITY, belongs_to_group
from vaultairefs.volume.requests import SYNC_XATTR, SyncLevel, XattrMode

XATTR_NAME_BYTES_MAX: Final = 255
XATTR_VALUE_BYTES_MAX: Final = 65_536
XATTR_LIST_BYTES_MAX: Final = 65_536
"""The limits of linux/limits.h; more names could never be listed."""

_TRUSTED: Final = b"trusted."
_NAMESPACES: Final = (b"user.", _TRUSTED, b"security.")
_ACLS: Final = (acl.ACCESS, acl.DEFAULT)
_OURS: Final = re.compile(rb"(user|trusted)\.vaultaire(\..*)?", re.DOTALL)
"""Names that belong to the engines; only ``SYNC_XATTR`` is for users."""


class Xattrs:
    """xattr(7) by whole name (``user.x``, ``trusted.x``, ``security.x``, ``system.posix_acl_*``)."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def getxattr(self, ino: Ino, name: bytes) -> bytes:
        """``AttributeMissing`` when there is none; ``NotSupported`` for an unknown namespace.

        The kernel asks for a program's file capabilities before every single write: that there are none is no
        operation of anybody, and leaves no event.
        """
        if name == CAPABILITY and not (await self._core.inode(ino)).xattrs:
            raise AttributeMissing(artifact=name)
        with self._core.door.inode("getxattr", ino) as passage:
            passage.inode = inode = await self._core.inode(ino)
            _check_namespace(name)
            value = (inode.xattrs or {}).get(name)
            if value is None:
                raise AttributeMissing(operation="getxattr", artifact=name)
            return acl.shown(value, inode.mode) if name == acl.ACCESS else value

    async def setxattr(self, ino: Ino, name: bytes, value: bytes, mode: XattrMode = XattrMode.ANY) -> None:
        """``AlreadyExists``, ``AttributeMissing``, ``AttributeTooLarge``, ``NameTooLong``, ``NotSupported``,
        ``OutOfSpace`` when there are too many, ``InvalidRequest`` for a list or sync level that is none.
        """
        with self._core.door.inode("setxattr", ino) as passage:
            passage.inode = inode = await self._core.inode(ino)
            passage.length = len(value)
            self._core.check_writable()
            _check_namespace(name)
            if len(name) > XATTR_NAME_BYTES_MAX:
                raise NameTooLong(artifact=name)
            if len(value) > XATTR_VALUE_BYTES_MAX:
                raise AttributeTooLarge(artifact=name)
            _check_mode(inode, name, mode)
            if name in _ACLS:
                self._set_list(inode, name, value)
                return
            _check_ours(name, value)
            _check_number(inode, name)
            self._core.ledger.commit(XattrSet(ino, name, value, self._core.clock_ns()))

    async def listxattr(self, ino: Ino) -> list[bytes]:
        """Whole names, in a stable order; ``trusted.`` ones are listed for root only (the kernel leaves that to us)."""
        with self._core.door.inode("listxattr", ino) as passage:
            passage.inode = inode = await self._core.inode(ino)
            sees_all = current().uid == 0
            return [name for name in inode.xattrs or () if sees_all or not name.startswith(_TRUSTED)]

    async def removexattr(self, ino: Ino, name: bytes) -> None:
        """``AttributeMissing`` when there is none (removing an access list that is not there succeeds)."""
        with self._core.door.inode("removexattr", ino) as passage:
            passage.inode = inode = await self._core.inode(ino)
            self._core.check_writable()
            _check_namespace(name)
            if name not in (inode.xattrs or {}):
                if name in _ACLS:
                    return
                raise AttributeMissing(operation="removexattr", artifact=name)
            self._core.ledger.commit(XattrSet(ino, name, None, self._core.clock_ns()))

    def _set_list(self, inode: Inode, name: bytes, value: bytes) -> None:
        entries = acl.parse(value)
        if name == acl.DEFAULT and inode.kind is not Kind.CONTAINER:
            if entries:
                raise AccessDenied("only a container has a default access control list")
            return
        if inode.kind is Kind.SYMLINK:
            raise NotSupported("a symlink has no access control list")
        now_ns = self._core.clock_ns()
        kept = bool(entries) and not (name == acl.ACCESS and acl.is_minimal(entries))
        stored = acl.encode(entries) if kept else None
        if stored is not None or name in (inode.xattrs or {}):
            self._core.ledger.commit(XattrSet(inode.ino, name, stored, now_ns))
        if name == acl.ACCESS and entries:
            self._set_mode(inode, inode.mode & ~0o777 | acl.mode_from(entries), now_ns)

    def _set_mode(self, inode: Inode, mode: int, now_ns: int) -> None:
        """The mode that an access list implies; setgid falls for strangers to the group (posix_acl_update_mode)."""
        if mode & stat.S_ISGID and not belongs_to_group(current(), inode.gid):
            mode &= ~stat.S_ISGID
        self._core.ledger.commit(
            AttributesSet(inode.ino, mode, inode.uid, inode.gid, inode.atime_ns, inode.mtime_ns, now_ns)
        )


def _check_namespace(name: bytes) -> None:
    if name not in _ACLS and (not name.startswith(_NAMESPACES) or name in _NAMESPACES or b"\0" in name):
        raise NotSupported("no such namespace of extended attributes", artifact=name)


def _check_mode(inode: Inode, name: bytes, mode: XattrMode) -> None:
    present = name in (inode.xattrs or {})
    if mode is XattrMode.CREATE and present:
        raise AlreadyExists(artifact=name)
    if mode is XattrMode.REPLACE and not present:
        raise AttributeMissing(artifact=name)


def _check_ours(name: bytes, value: bytes) -> None:
    if name == SYNC_XATTR:
        if value not in {level.value.encode() for level in SyncLevel}:
            raise InvalidRequest("a sync level is buffered, journaled or stored", artifact=name)
    elif _OURS.fullmatch(name):
        raise NotPermitted("this name belongs to the engine", artifact=name)


def _check_number(inode: Inode, name: bytes) -> None:
    names = inode.xattrs or {}
    if name not in names and sum(len(known) + 1 for known in names) + len(name) + 1 > XATTR_LIST_BYTES_MAX:
        raise OutOfSpace("too many extended attributes", artifact=name)
