"""Names: the calls that follow them, make them, move them and take them away.

Promise: each call is one change in the journal, decided and committed without waiting in between, after the container
concerned is known.  Every call that returns an ``Inode`` counts one kernel lookup of it (``Inodes.forget`` undoes it).

Does not: check permissions or sticky bits (the kernel has), or resolve paths.
"""

import stat
from typing import Final

from vaultairefs.model.changes import (
    ContainerCreated,
    EntryLinked,
    EntryRemoved,
    FileCreated,
    NodeCreated,
    SymlinkCreated,
)
from vaultairefs.model.context import current
from vaultairefs.model.errors import (
    AlreadyExists,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NameTooLong,
    NotAContainer,
    NotFound,
    NotPermitted,
    TooManyLinks,
)
from vaultairefs.model.names import TARGET_BYTES_MAX
from vaultairefs.model.values import EntryKey, Ino, Kind, kind_of
from vaultairefs.namespace import Inode
from vaultairefs.volume.births import attributes_for
from vaultairefs.volume.core import Core
from vaultairefs.volume.renaming import rename
from vaultairefs.volume.requests import RenameMode

LINKS_MAX: Final = 65_000
"""As on ext4: more would not fit every engine."""


class Tree:
    """See the module's text."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def lookup(self, parent: Ino, name: bytes) -> Inode:
        """The entry ``name`` of ``parent``; ``.`` and ``..`` work too.

        ``NotFound``, ``NotAContainer``, ``NameTooLong``, ``Stale``.
        """
        core = self._core
        with core.door.names("lookup", parent, name) as passage:
            if name == b".":
                found = await core.inode(parent)
            elif name == b"..":
                found = await core.inode(core.namespace.get(parent).parent)
            else:
                found = await core.entry(parent, name)
            core.lives.remember(found.ino)
            passage.inode = found
            return found

    async def mkdir(self, parent: Ino, name: bytes, mode: int) -> Inode:
        """mkdir(2).  ``AlreadyExists``, ``NameTooLong``, ``NotFound`` when the parent was removed, ``OutOfSpace``."""
        core = self._core
        with core.door.names("mkdir", parent, name) as passage:
            home = await self._vacancy(parent, name)
            attributes = attributes_for(Kind.CONTAINER, mode & 0o1777, home, current(), core.clock_ns())
            ino = core.namespace.allocate()
            core.ledger.commit(ContainerCreated(ino, parent, name, attributes))
            passage.inode = self._introduce(ino)
            return passage.inode

    async def mknod(self, parent: Ino, name: bytes, st_mode: int, rdev: int) -> Inode:
        """mknod(2): a fifo, socket, device or empty regular file; ``InvalidRequest`` for another type."""
        core = self._core
        with core.door.names("mknod", parent, name) as passage:
            kind = _node_kind(st_mode)
            home = await self._vacancy(parent, name)
            rdev = rdev if kind in (Kind.CHARACTER, Kind.BLOCK) else 0
            attributes = attributes_for(kind, st_mode, home, current(), core.clock_ns(), rdev=rdev)
            ino = core.namespace.allocate()
            created = FileCreated if kind is Kind.FILE else NodeCreated
            core.ledger.commit(created(ino, parent, name, attributes))
            passage.inode = self._introduce(ino)
            return passage.inode

    async def symlink(self, parent: Ino, name: bytes, target: bytes) -> Inode:
        """symlink(2).  ``NameTooLong`` also for a target of more than 4095 bytes, ``InvalidRequest`` for none."""
        core = self._core
        with core.door.names("symlink", parent, name) as passage:
            if len(target) > TARGET_BYTES_MAX:
                raise NameTooLong("the link's text is too long", artifact=name)
            if not target or b"\0" in target:
                raise InvalidRequest("not a possible text of a link", artifact=name)
            home = await self._vacancy(parent, name)
            attributes = attributes_for(Kind.SYMLINK, 0, home, current(), core.clock_ns(), target=target)
            ino = core.namespace.allocate()
            core.ledger.commit(SymlinkCreated(ino, parent, name, attributes))
            passage.inode = self._introduce(ino)
            return passage.inode

    async def link(self, ino: Ino, parent: Ino, name: bytes) -> Inode:
        """link(2).  ``NotPermitted`` for a container, ``NotFound`` for an unlinked inode, ``TooManyLinks``."""
        core = self._core
        with core.door.names("link", parent, name) as passage:
            await self._vacancy(parent, name)
            inode = core.namespace.get(ino)
            if inode.is_container:
                raise NotPermitted("a container has one name only", artifact=name)
            if not inode.nlink:
                raise NotFound("every name of the source is gone", artifact=name)
            if inode.nlink >= LINKS_MAX:
                raise TooManyLinks(artifact=name)
            core.ledger.commit(EntryLinked(ino, parent, name, core.clock_ns()))
            passage.inode = self._introduce(ino)
            return passage.inode

    async def unlink(self, parent: Ino, name: bytes) -> None:
        """unlink(2).  ``IsAContainer`` for a container; the inode lives on while handles or lookups need it."""
        core = self._core
        with core.door.names("unlink", parent, name) as passage:
            core.check_writable()
            passage.inode = found = await core.entry(parent, name)
            if found.is_container:
                raise IsAContainer(artifact=name)
            core.ledger.commit(EntryRemoved(found.ino, parent, name, core.clock_ns()))
            core.lives.bury(found.ino)

    async def rmdir(self, parent: Ino, name: bytes) -> None:
        """rmdir(2).  ``NotAContainer``, ``ContainerNotEmpty``."""
        core = self._core
        with core.door.names("rmdir", parent, name) as passage:
            core.check_writable()
            found = await core.entry(parent, name)
            listed: Inode | None = None
            while found is not listed:
                if not found.is_container:
                    raise NotAContainer(artifact=name)
                listed = await core.container(found.ino)
                found = await core.entry(parent, name)
            passage.inode = found
            if found.children:
                raise ContainerNotEmpty(artifact=name)
            core.ledger.commit(EntryRemoved(found.ino, parent, name, core.clock_ns()))
            core.lives.bury(found.ino)

    async def rename(self, parent: Ino, name: bytes, new_parent: Ino, new_name: bytes, mode: RenameMode) -> None:
        """renameat2(2).  Two names of one inode: nothing happens.  ``InvalidRequest`` for a move into itself."""
        with self._core.door.names("rename", parent, name) as passage:
            passage.target = EntryKey(new_parent, new_name)
            passage.inode = await rename(self._core, parent, name, new_parent, new_name, mode)

    async def _vacancy(self, parent: Ino, name: bytes) -> Inode:
        """The container for a new entry whose name is free."""
        home = await self._core.home(parent, name)
        if self._core.namespace.child(parent, name) is not None:
            raise AlreadyExists(artifact=name)
        return home

    def _introduce(self, ino: Ino) -> Inode:
        self._core.lives.remember(ino)
        return self._core.namespace.get(ino)


def _node_kind(st_mode: int) -> Kind:
    if not stat.S_IFMT(st_mode):
        return Kind.FILE
    try:
        kind = kind_of(st_mode)
    except KeyError:
        raise InvalidRequest("no such type of file") from None
    if kind in (Kind.CONTAINER, Kind.SYMLINK):
        raise InvalidRequest("mknod makes no containers and no symlinks")
    return kind
