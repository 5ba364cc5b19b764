"""Open files: open..release, and what went through each handle.

Promise: pages that the kernel has cached stay right for as long as the inode lives (foreign changes make a new inode),
so every open may keep the page cache.  Bytes of an unlinked file stay until its last handle is closed.

Does not: move bytes; ``content.py`` does.
"""

import itertools
import os
from typing import Final

from vaultairefs.buffer import Phase
from vaultairefs.model.changes import FileCreated
from vaultairefs.model.context import OperationContext, current, enter, leave
from vaultairefs.model.errors import (
    AlreadyExists,
    BadHandle,
    DeviceFailed,
    InvalidRequest,
    IsAContainer,
    Stale,
)
from vaultairefs.model.values import Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume.births import attributes_for
from vaultairefs.volume.content import Content
from vaultairefs.volume.core import Core
from vaultairefs.volume.door import IoSummary, Passage
from vaultairefs.volume.passing import Passing, Way
from vaultairefs.volume.requests import SyncLevel

WRITTEN: Final = "written"
"""The durability of a write that has returned: it survives our own crash (P1)."""

_READABLE: Final = (os.O_RDONLY, os.O_RDWR)
_WRITABLE: Final = (os.O_WRONLY, os.O_RDWR)


class OpenFile:
    """One open file description (open(2)): what may be done with it, who opened it, what it did."""

    __slots__ = ("caller", "inode", "io", "readable", "sync_each", "way", "writable")

    def __init__(self, inode: Inode, flags: int, caller: OperationContext) -> None:
        access = flags & os.O_ACCMODE
        self.inode = inode
        self.caller = caller
        self.readable = access in _READABLE
        self.writable = access in _WRITABLE
        self.sync_each = bool(flags & (os.O_SYNC | os.O_DSYNC))
        self.io = IoSummary()
        self.way: Way | None = None


class Files:
    """See the module's text."""

    def __init__(self, core: Core, content: Content, passing: Passing) -> None:
        self._core = core
        self._content = content
        self._passing = passing
        self._open: dict[int, OpenFile] = {}
        self._handles = itertools.count(1)

    async def open(self, ino: Ino, flags: int) -> int:
        """open(2) without O_CREAT; truncates with O_TRUNC.

        ``IsAContainer``, ``InvalidRequest`` for what is no file, ``Stale``, ``ReadOnly``, ``OutOfSpace``.
        """
        with self._core.door.inode("open", ino) as passage:
            passage.inode = inode = self._core.namespace.get(ino)
            if inode.is_container:
                raise IsAContainer
            if inode.kind is not Kind.FILE:
                raise InvalidRequest("the kernel opens everything else itself")
            opened = OpenFile(inode, flags, current())
            if opened.writable or flags & os.O_TRUNC:
                self._core.check_writable()
            handle = self._keep(opened)
            try:
                if flags & os.O_TRUNC:
                    await self._content.resize(inode, 0, always=True)
                    self._content.drop_privileges(inode, opened.caller)
                opened.way = self._pass(opened, flags)
            except BaseException:
                self._close(handle)
                raise
            return handle

    async def create(self, parent: Ino, name: bytes, mode: int, flags: int) -> tuple[Inode, int]:
        """open(2) with O_CREAT for a name that is free; counts one lookup.

        A name that is taken: ``AlreadyExists`` with O_EXCL, else ``Stale``, upon which the kernel looks the name up
        again, checks permissions and opens it.  Else like ``Tree.mknod``.
        """
        core = self._core
        with core.door.names("create", parent, name) as passage:
            home = await core.home(parent, name)
            if core.namespace.child(parent, name) is not None:
                if flags & os.O_EXCL:
                    raise AlreadyExists(artifact=name)
                raise Stale("the name was free and is taken now", artifact=name)
            caller = current()
            attributes = attributes_for(Kind.FILE, mode, home, caller, core.clock_ns())
            ino = core.namespace.allocate()
            writable = flags & os.O_ACCMODE in _WRITABLE
            core.ledger.commit(FileCreated(ino, parent, name, attributes, writable))
            passage.inode = inode = core.namespace.get(ino)
            core.lives.remember(ino)
            opened = OpenFile(inode, flags, caller)
            handle = self._keep(opened)
            opened.way = self._pass(opened, flags)
            return inode, handle

    def way_of(self, handle: int) -> Way | None:
        """How the kernel is to be answered for a handle that was just made; None for the ordinary path."""
        return self._open[handle].way

    async def read(self, handle: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes, fewer only at the end.

        ``BadHandle``, ``Stale``, ``Unavailable``, ``DeviceFailed``.
        """
        if self._core.record_io:
            with self._passage("read", handle) as passage:
                passage.offset = offset
                data, passage.cache_hit = await self._read(handle, offset, length)
                passage.length = len(data)
                return data
        try:
            return (await self._read(handle, offset, length))[0]
        except Exception:
            with self._passage("read", handle, offset, length):
                raise

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        """All of ``data``; waits up to 30 s for room.

        ``BadHandle``, ``OutOfSpace``, ``TooLarge``, ``DeviceFailed``.
        """
        if self._core.record_io:
            with self._passage("write", handle, offset, len(data)) as passage:
                passage.durability = await self._write(handle, offset, data)
                return len(data)
        try:
            await self._write(handle, offset, data)
            return len(data)
        except Exception:
            with self._passage("write", handle, offset, len(data)):
                raise

    async def flush(self, handle: int) -> None:
        """One close(2) of perhaps several of this handle: reports that the disk has refused bytes of this file."""
        with self._passage("flush", handle):
            opened = self._opened(handle)
            body = self._core.buffer.find(opened.inode.ino)
            if body is not None and body.failed:
                raise DeviceFailed("the local disk lost bytes of this file")

    async def fsync(self, handle: int, data_only: bool) -> None:
        """fsync(2), and fdatasync alike: bytes, size and name are safe at the file's sync level.

        ``DeviceFailed``, ``TimedOut`` (level ``stored``: kept, but not in the engine yet), the engine's errors.
        """
        with self._passage("fdatasync" if data_only else "fsync", handle) as passage:
            passage.durability = await self._content.sync(self._opened(handle).inode)

    async def release(self, handle: int) -> None:
        """The last close of the handle; its event sums up what went through it."""
        with self._passage("release", handle) as passage:
            opened = self._opened(handle)
            passage.io = opened.io
            passage.length = opened.io.bytes_read + opened.io.bytes_written
            self._close(handle)

    def _opened(self, handle: int) -> OpenFile:
        try:
            return self._open[handle]
        except KeyError:
            raise BadHandle from None

    def _passage(self, operation: str, handle: int, offset: int | None = None, length: int | None = None) -> Passage:
        opened = self._open.get(handle)
        if opened is None:
            passage = self._core.door.inode(operation, Ino(0))
        else:
            passage = self._core.door.inode(operation, opened.inode.ino, opened.caller)
            passage.inode = opened.inode
        passage.offset, passage.length = offset, length
        return passage

    def _keep(self, opened: OpenFile) -> int:
        self._core.buffer.hold(opened.inode.ino, writing=opened.writable)
        handle = next(self._handles)
        self._open[handle] = opened
        return handle

    def _pass(self, opened: OpenFile, flags: int) -> Way | None:
        if not self._passing.may_pass:
            return None
        stored = self._content.level_of(opened.inode) is SyncLevel.STORED
        return self._passing.begin(opened, flags, stored=stored)

    def _close(self, handle: int) -> None:
        """Forget the handle; the last writer's close writes the body's size down."""
        core, opened = self._core, self._open.pop(handle)
        ino = opened.inode.ino
        body = core.buffer.let_go(ino, writing=opened.writable)
        try:
            if opened.way is not None and opened.way.backing:
                self._passing.end(ino)
            if body.passed is not None:
                self._passing.settle(body)
            elif not body.writers and body.phase is Phase.OPEN:
                core.ledger.commit(core.ledger.body_closed(ino))
        finally:
            if not body.handles:
                core.lives.bury(ino)

    async def _read(self, handle: int, offset: int, length: int) -> tuple[bytes, bool]:
        opened = self._opened(handle)
        if not opened.readable:
            raise BadHandle("not open for reading")
        data, local = await self._content.read(opened.inode, offset, length)
        opened.io.note_read(offset, len(data))
        return data, local

    async def _write(self, handle: int, offset: int, data: bytes) -> str:
        """Returns the durability reached.  What it commits is told of the open that made the handle."""
        opened = self._opened(handle)
        if not opened.writable:
            raise BadHandle("not open for writing")
        token = enter(opened.caller)
        try:
            await self._content.write(opened.inode, offset, data, opened.caller)
            opened.io.note_write(offset, len(data))
            return await self._content.sync(opened.inode) if opened.sync_each else WRITTEN
        finally:
            leave(token)
