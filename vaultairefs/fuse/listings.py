"""Handlers of open containers.

Promise: each name once per pass through a container, whatever changes meanwhile, and an entry that the kernel
is given counts as looked up.

Does not: keep listings; the volume's offsets say where a pass goes on.
"""

import pyfuse3
from pyfuse3 import FileHandleT, InodeT, ReaddirToken, RequestContext

from vaultairefs.fuse.handling import HandlerBase, for_caller, for_handle
from vaultairefs.model.values import Ino

_DOTS = (b".", b"..")


class ListingHandlers(HandlerBase):
    """opendir .. releasedir."""

    @for_caller
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        return await self._volume.listings.opendir(Ino(inode))

    @for_handle
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        self.under_way += 1
        try:
            rows = await self._volume.listings.readdir(fh, start_id)
        finally:
            self.under_way -= 1
        for name, inode, next_offset in rows:
            if not pyfuse3.readdir_reply(token, name, self._entry(inode), next_offset):
                break
            if name not in _DOTS:
                # The kernel never takes "." and ".." for a lookup.
                self._volume.inodes.remember(inode.ino)

    @for_handle
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        await self._volume.listings.fsyncdir(fh, datasync)

    @for_handle
    async def releasedir(self, fh: FileHandleT) -> None:
        await self._volume.listings.releasedir(fh)
