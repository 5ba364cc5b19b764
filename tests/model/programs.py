"""A program that works on a volume by paths, as system calls would: resolves, calls, forgets."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tests.model.reference import Node, Path
from vaultairefs.model import context
from vaultairefs.model.context import OperationContext
from vaultairefs.model.values import ROOT, Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import AttributeRequest, RenameMode, Volume


class Program:
    """System calls of one caller on one volume."""

    def __init__(self, volume: Volume, caller: OperationContext) -> None:
        self._volume = volume
        self._caller = caller

    @contextlib.asynccontextmanager
    async def _at(self, path: Path) -> AsyncIterator[Ino]:
        """The inode at ``path``, looked up for as long as the block runs, as the kernel's dentries are."""
        token = context.enter(self._caller)
        walked: list[tuple[Ino, int]] = []
        try:
            ino = ROOT
            for name in path:
                ino = (await self._volume.tree.lookup(ino, name)).ino
                walked.append((ino, 1))
            yield ino
        finally:
            self._volume.inodes.forget(walked)
            context.leave(token)

    def _forget(self, inode: Inode) -> None:
        self._volume.inodes.forget([(inode.ino, 1)])

    async def mkdir(self, path: Path, mode: int) -> None:
        async with self._at(path[:-1]) as parent:
            self._forget(await self._volume.tree.mkdir(parent, path[-1], mode))

    async def mknod(self, path: Path, st_mode: int, rdev: int) -> None:
        async with self._at(path[:-1]) as parent:
            self._forget(await self._volume.tree.mknod(parent, path[-1], st_mode, rdev))

    async def symlink(self, path: Path, target: bytes) -> None:
        async with self._at(path[:-1]) as parent:
            self._forget(await self._volume.tree.symlink(parent, path[-1], target))

    async def link(self, source: Path, path: Path) -> None:
        async with self._at(source) as ino, self._at(path[:-1]) as parent:
            self._forget(await self._volume.tree.link(ino, parent, path[-1]))

    async def unlink(self, path: Path) -> None:
        async with self._at(path[:-1]) as parent:
            await self._volume.tree.unlink(parent, path[-1])

    async def rmdir(self, path: Path) -> None:
        async with self._at(path[:-1]) as parent:
            await self._volume.tree.rmdir(parent, path[-1])

    async def rename(self, source: Path, path: Path, mode: RenameMode) -> None:
        async with self._at(source[:-1]) as parent, self._at(path[:-1]) as new_parent:
            await self._volume.tree.rename(parent, source[-1], new_parent, path[-1], mode)

    async def create(self, path: Path, mode: int, flags: int) -> tuple[Ino, int]:
        """The new file and its handle."""
        async with self._at(path[:-1]) as parent:
            inode, handle = await self._volume.files.create(parent, path[-1], mode, flags)
            self._forget(inode)
            return inode.ino, handle

    async def open(self, path: Path, flags: int) -> tuple[Ino, int]:
        """The file and its handle."""
        async with self._at(path) as ino:
            return ino, await self._volume.files.open(ino, flags)

    async def ftruncate(self, ino: Ino, handle: int, size: int) -> None:
        async with self._at(()):
            await self._volume.inodes.setattr(ino, AttributeRequest(size=size), handle)

    async def setattr(self, path: Path, request: AttributeRequest) -> None:
        async with self._at(path) as ino:
            await self._volume.inodes.setattr(ino, request)

    async def setxattr(self, path: Path, name: bytes, value: bytes) -> None:
        async with self._at(path) as ino:
            await self._volume.xattrs.setxattr(ino, name, value)

    async def removexattr(self, path: Path, name: bytes) -> None:
        async with self._at(path) as ino:
            await self._volume.xattrs.removexattr(ino, name)

    async def content(self, path: Path) -> bytes:
        """A file's bytes, read in uneven pieces."""
        _, handle = await self.open(path, 0)
        try:
            pieces = []
            while piece := await self._volume.files.read(handle, sum(map(len, pieces)), 3001):
                pieces.append(piece)
            return b"".join(pieces)
        finally:
            await self._volume.files.release(handle)

    async def walk(self) -> dict[Path, Inode]:
        """Every path and its inode, as readdir and lookup say."""
        found: dict[Path, Inode] = {}
        async with self._at(()) as root:
            found[()] = await self._volume.inodes.getattr(root)
            await self._walk((), root, found)
        return found

    async def _walk(self, path: Path, ino: Ino, found: dict[Path, Inode]) -> None:
        listings = self._volume.listings
        handle = await listings.opendir(ino)
        offset, rows = 0, []
        while page := await listings.readdir(handle, offset):
            rows += page
            offset = page[-1].next_offset
        await listings.releasedir(handle)
        assert [row.name for row in rows[:2]] == [b".", b".."]
        names = [row.name for row in rows[2:]]
        assert len(set(names)) == len(names)
        for name in names:
            inode = await self._volume.tree.lookup(ino, name)
            found[(*path, name)] = inode
            if inode.kind is Kind.CONTAINER:
                await self._walk((*path, name), inode.ino, found)
            self._forget(inode)


def appearance(inode: Inode) -> dict[str, Any]:
    """What stat, readlink and listxattr show, times apart."""
    return {
        "kind": inode.kind,
        "mode": inode.mode,
        "owner": (inode.uid, inode.gid),
        "nlink": inode.nlink,
        "rdev": inode.rdev,
        "size": inode.size if inode.kind in (Kind.FILE, Kind.SYMLINK) else 0,
        "target": inode.target,
        "xattrs": inode.xattrs or {},
    }


def expected_appearance(node: Node) -> dict[str, Any]:
    """The same, as the reference has it."""
    size = {Kind.FILE: len(node.data), Kind.SYMLINK: len(node.target)}.get(node.kind, 0)
    return {
        "kind": node.kind,
        "mode": node.mode,
        "owner": (node.uid, node.gid),
        "nlink": node.nlink,
        "rdev": node.rdev,
        "size": size,
        "target": node.target,
        "xattrs": node.xattrs,
    }
