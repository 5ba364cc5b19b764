"""Handlers of the calls about one inode: attributes, link text, extended attributes, and the volume's figures.

Promise: each answers with what the volume says and nothing else.

Does not: hold attributes itself; the kernel caches them for ``ttl_seconds``.
"""

from collections.abc import Sequence

from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileNameT,
    InodeT,
    RequestContext,
    SetattrFields,
    StatvfsData,
    XAttrNameT,
)

from vaultairefs.fuse import encoding
from vaultairefs.fuse.handling import HandlerBase, for_caller
from vaultairefs.model.values import Ino


class InodeHandlers(HandlerBase):
    """getattr .. removexattr."""

    @for_caller
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(await self._volume.inodes.getattr(Ino(inode)))

    @for_caller
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        request = encoding.attribute_request(attr, fields)
        return self._entry(await self._volume.inodes.setattr(Ino(inode), request, fh))

    @for_caller
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        return await self._volume.inodes.readlink(Ino(inode))

    @for_caller
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        return encoding.filesystem_figures(await self._volume.inodes.statfs())

    @for_caller
    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        return await self._volume.xattrs.getxattr(Ino(inode), name)

    @for_caller
    async def setxattr(self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext) -> None:
        # pyfuse3 has asked getxattr by now for XATTR_CREATE and XATTR_REPLACE, with no wait in between.
        await self._volume.xattrs.setxattr(Ino(inode), name, value)

    @for_caller
    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        return await self._volume.xattrs.listxattr(Ino(inode))

    @for_caller
    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> None:
        await self._volume.xattrs.removexattr(Ino(inode), name)
