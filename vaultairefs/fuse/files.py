"""Handlers of open files.

Promise: the kernel's page cache stays valid from open to open, because an inode's bytes change through this mount
only: a new version in the engine is a new inode.

Does not: buffer or split anything.
"""

import os
from typing import Final

import pyfuse3
import structlog
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FileNameT, FlagT, InodeT, ModeT, RequestContext

from vaultairefs.fuse import answering
from vaultairefs.fuse.handling import HandlerBase, for_caller, for_handle
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Ino
from vaultairefs.volume.passing import Way

_log: Final = structlog.get_logger(__name__)


class FileHandlers(HandlerBase):
    """open .. release."""

    @for_caller
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        handle = await self._volume.files.open(Ino(inode), flags)
        self._open_files.add(handle)
        way = self._volume.files.way_of(handle)
        # Who cannot write has nothing to hear at close(2).
        no_flush = answering.NO_FLUSH if flags & os.O_ACCMODE == os.O_RDONLY else 0
        if way is None:
            if no_flush and self.answering is not None:
                self.answering.answer_open(handle, answering.KEEP_CACHE | no_flush)
            return FileInfo(fh=pyfuse3.FileHandleT(handle), keep_cache=True)
        self.teller.tell_now(Ino(inode))
        if way.backing and self.answering is not None:
            self.answering.answer_open(handle, _passed(way) | no_flush, way.backing)
        return FileInfo(fh=pyfuse3.FileHandleT(handle), direct_io=way.direct)

    @for_caller
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        inode, handle = await self._volume.files.create(Ino(parent_inode), name, mode & 0o7777, flags)
        self._open_files.add(handle)
        entry = self._entry(inode)
        way = self._volume.files.way_of(handle)
        if way is not None and self.answering is not None:
            self.answering.answer_create(handle, entry, _passed(way), way.backing)
        return FileInfo(fh=pyfuse3.FileHandleT(handle), keep_cache=True), entry

    @for_handle
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        return await self._volume.files.read(fh, off, size)

    @for_handle
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        return await self._volume.files.write(fh, off, buf)

    @for_handle
    async def flush(self, fh: FileHandleT) -> None:
        await self._volume.files.flush(fh)

    @for_handle
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        await self._volume.files.fsync(fh, datasync)

    @for_handle
    async def release(self, fh: FileHandleT) -> None:
        self._open_files.discard(fh)
        await self._volume.files.release(fh)

    async def release_all(self) -> None:
        """Close what the kernel no longer will: an unmount drops RELEASE requests that are still queued."""
        while self._open_files:
            try:
                await self._volume.files.release(self._open_files.pop())
            except VaultaireError as error:
                _log.warning("an open file could not be closed at unmount", error=str(error))


def _passed(way: Way) -> int:
    return answering.PASSTHROUGH | answering.DIRECT_IO if way.direct else answering.PASSTHROUGH
