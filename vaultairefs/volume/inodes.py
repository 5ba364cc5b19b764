"""Attributes of inodes, how long the kernel needs them, and the figures of the whole volume.

Promise: a setattr is checked as a whole before its first part happens.  Times are what stat(2) and utimensat(2) say;
reading does not move atime (as with mount option noatime), because in an object store that would be a rewrite.

Does not: check who may change what (the kernel has); see ``privileges.py`` for what it leaves to us.
"""

from collections.abc import Iterable
from typing import Final

import trio

from vaultairefs.buffer import Phase
from vaultairefs.engine.interface import Usage
from vaultairefs.model.changes import AttributesSet, XattrSet
from vaultairefs.model.context import current
from vaultairefs.model.errors import InvalidRequest, IsAContainer
from vaultairefs.model.values import Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import privileges
from vaultairefs.volume.content import Content
from vaultairefs.volume.core import Core
from vaultairefs.volume.requests import AttributeRequest

USAGE_SECONDS: Final = 1.0
"""How long statfs may show the same figures: df and installers ask many times."""

BLOCK_BYTES: Final = 512
"""The unit of st_blocks (stat(2))."""


class Inodes:
    """See the module's text."""

    def __init__(self, core: Core, content: Content) -> None:
        self._core = core
        self._content = content
        self._usage = Usage()
        self._usage_until = float("-inf")

    async def getattr(self, ino: Ino) -> Inode:
        """stat(2) by inode; ``Stale`` for one that is gone.  Does not count a lookup."""
        with self._core.door.inode("getattr", ino) as passage:
            passage.inode = await self._core.inode(ino)
            return passage.inode

    async def setattr(self, ino: Ino, request: AttributeRequest, handle: int | None = None) -> Inode:
        """chmod, chown, utimens, truncate (``handle``: the open file of an ftruncate).  Does not count a lookup.

        ``Stale``, ``ReadOnly``, ``IsAContainer``/``InvalidRequest`` for a size of something else than a file,
        ``TooLarge``, ``OutOfSpace``.
        """
        with self._core.door.inode("setattr", ino) as passage:
            passage.inode = inode = await self._core.inode(ino)
            self._core.check_writable()
            if request.size is not None:
                if inode.is_container:
                    raise IsAContainer
                if inode.kind is not Kind.FILE:
                    raise InvalidRequest("only a file has a size to set")
                passage.length = request.size
                await self._content.resize(inode, request.size, always=handle is not None)
            self._set(inode, request)
            return inode

    async def readlink(self, ino: Ino) -> bytes:
        """The text of a symlink; ``InvalidRequest`` for anything else."""
        with self._core.door.inode("readlink", ino) as passage:
            passage.inode = inode = await self._core.inode(ino)
            if inode.kind is not Kind.SYMLINK:
                raise InvalidRequest("not a symlink")
            return inode.target

    async def statfs(self) -> Usage:
        """Capacity and use of the engine, at most a second old."""
        with self._core.door.inode("statfs", Ino(0)) as passage:
            passage.cache_hit = trio.current_time() < self._usage_until
            if not passage.cache_hit:
                self._usage = await self._core.engine.usage()
                self._usage_until = trio.current_time() + USAGE_SECONDS
            return self._usage

    def blocks(self, inode: Inode) -> int:
        """st_blocks: 512-byte units that the artifact occupies.

        For a complete local body what it takes on disk (holes are not counted), else what its size would take.
        """
        if inode.kind is not Kind.FILE:
            return 0
        whole = -(-inode.size // BLOCK_BYTES)
        body = self._core.buffer.find(inode.ino)
        if body is None or not body.complete:
            return whole
        return min(whole, -(-body.allocated // BLOCK_BYTES))

    def remember(self, ino: Ino, count: int = 1) -> None:
        """Count lookups that the adapter itself gave to the kernel (readdirplus)."""
        self._core.lives.remember(ino, count)

    def knows(self, ino: Ino) -> bool:
        """Whether the kernel holds the inode: lookups of it are counted."""
        return self._core.lives.is_known(ino)

    def forget(self, forgotten: Iterable[tuple[Ino, int]]) -> None:
        """Take back counted lookups; an inode without name, handle and lookup leaves memory and disk."""
        self._core.lives.forget(forgotten)

    def _set(self, inode: Inode, request: AttributeRequest) -> None:
        """Everything but the size, as one change."""
        core = self._core
        owned = request.uid is not None or request.gid is not None
        killed = owned or request.size is not None or request == AttributeRequest()
        if killed and inode.xattrs and privileges.CAPABILITY in inode.xattrs:
            core.ledger.commit(XattrSet(inode.ino, privileges.CAPABILITY, None, core.clock_ns()))
        mode = self._mode_after(inode, request, owned)
        if mode == inode.mode and not owned and request.mode is None and not _sets_times(request):
            return
        core.ledger.commit(
            AttributesSet(
                inode.ino,
                mode,
                inode.uid if request.uid is None else request.uid,
                inode.gid if request.gid is None else request.gid,
                inode.atime_ns if request.atime_ns is None else request.atime_ns,
                inode.mtime_ns if request.mtime_ns is None else request.mtime_ns,
                core.clock_ns() if request.ctime_ns is None else request.ctime_ns,
            )
        )
        body = core.buffer.find(inode.ino)
        if request.mtime_ns is not None and body is not None and body.phase is Phase.OPEN:
            core.buffer.set_times(inode.ino, request.mtime_ns)

    @staticmethod
    def _mode_after(inode: Inode, request: AttributeRequest, owned: bool) -> int:
        if request.mode is not None:
            return request.mode & 0o7777
        if owned:
            return privileges.mode_after_chown(inode)
        if (request.size is not None or request == AttributeRequest()) and not privileges.keeps_set_id(current()):
            return privileges.mode_without_set_id(inode.mode)
        return inode.mode


def _sets_times(request: AttributeRequest) -> bool:
    return request.atime_ns is not None or request.mtime_ns is not None or request.ctime_ns is not None
