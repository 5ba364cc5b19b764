"""Handlers of the calls that follow or change names.

Promise: each answers with what the volume says and nothing else.

Does not: check permissions (the kernel does, ``default_permissions``) or count lookups (the volume does).
"""

from collections.abc import Sequence
from typing import Final

import pyfuse3
import structlog
from pyfuse3 import EntryAttributes, FileNameT, FlagT, InodeT, ModeT, RequestContext

from vaultairefs.fuse import encoding
from vaultairefs.fuse.handling import HandlerBase, for_caller
from vaultairefs.model.errors import InvalidRequest, NotFound
from vaultairefs.model.values import Ino
from vaultairefs.volume import RenameMode

_RENAME_MODES: Final[dict[int, RenameMode]] = {
    0: RenameMode.REPLACE,
    int(pyfuse3.RENAME_NOREPLACE): RenameMode.NO_REPLACE,
    int(pyfuse3.RENAME_EXCHANGE): RenameMode.EXCHANGE,
}

_log: Final = structlog.get_logger(__name__)


class NameHandlers(HandlerBase):
    """lookup .. rename."""

    @for_caller
    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        try:
            return self._entry(await self._volume.tree.lookup(Ino(parent_inode), name))
        except NotFound:
            # An entry without an inode, unlike ENOENT, is an answer that the kernel may keep.
            self.teller.told_free(Ino(parent_inode))
            return encoding.free_name(self._ttl_seconds)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        """The kernel dropped inodes; it takes no answer, so nothing may be raised."""
        try:
            self._volume.inodes.forget([(Ino(inode), count) for inode, count in inode_list])
            self.teller.forgotten([Ino(inode) for inode, _ in inode_list])
        except Exception as error:
            _log.error("a handler failed unexpectedly", handler="forget", exc_info=error)

    @for_caller
    async def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(await self._volume.tree.mkdir(Ino(parent_inode), name, mode & 0o7777))

    @for_caller
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        return self._entry(await self._volume.tree.mknod(Ino(parent_inode), name, mode, rdev))

    @for_caller
    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        return self._entry(await self._volume.tree.symlink(Ino(parent_inode), name, target))

    @for_caller
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        return self._entry(await self._volume.tree.link(Ino(inode), Ino(new_parent_inode), new_name))

    @for_caller
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self._volume.tree.unlink(Ino(parent_inode), name)

    @for_caller
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self._volume.tree.rmdir(Ino(parent_inode), name)

    @for_caller
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        mode = _RENAME_MODES.get(flags)
        if mode is None:
            raise InvalidRequest("unknown flags of renameat2", operation="rename")
        await self._volume.tree.rename(Ino(parent_inode_old), name_old, Ino(parent_inode_new), name_new, mode)
