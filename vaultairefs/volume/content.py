"""The bytes of one file: reading, writing, resizing and making them safe, whoever holds it open.

Promise: a write is in the body file, and in the journal if the body is partial, before it returns (P1); room is found
before a byte is acknowledged (P7); bytes that are on their way from the engine never cover newer ones.  Nothing here
waits while the bytes are local and there is room.

Does not: know handles or events.
"""

import contextlib
import stat
import zlib
from collections.abc import Iterator
from typing import Final

import trio

from vaultairefs.buffer import Phase
from vaultairefs.ledger.observing import observe
from vaultairefs.model.changes import AttributesSet, BodyEvicted, BodyOpened, ExtentsWritten, Truncated, XattrSet
from vaultairefs.model.context import OperationContext
from vaultairefs.model.errors import OutOfSpace, Stale, TimedOut, TooLarge
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume import privileges
from vaultairefs.volume.core import Core
from vaultairefs.volume.requests import SYNC_XATTR, SyncLevel

FILE_BYTES_MAX: Final = (1 << 44) - 4096
"""The largest file of ext4 with 4 KiB blocks, which a body is."""

ROOM_SECONDS: Final = 30.0
"""How long a write waits for room before ENOSPC: it cannot be interrupted meanwhile."""

FLUSH_SECONDS: Final = 0.5
"""How often a writer that waits for room looks what there is to evict."""

STORED_SECONDS: Final = 60.0
"""How long fsync at level ``stored`` waits for the engine before EIO (the bytes are kept and go on being flushed)."""

_SET_ID: Final = stat.S_ISUID | stat.S_ISGID


class Content:
    """See the module's text."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def read(self, inode: Inode, offset: int, length: int) -> tuple[bytes, bool]:
        """Up to ``length`` bytes, fewer only at the end, and whether all of them were local already.

        ``Stale`` when the engine's version is gone, ``Unavailable``, ``DeviceFailed``.
        """
        core = self._core
        body = core.buffer.find(inode.ino)
        if body is not None and body.passed is not None:
            observe(core.ledger, inode.ino)
        if offset >= inode.size:
            return b"", True
        local = body is not None and body.has(offset, length)
        if body is None or not body.complete:
            core.fetcher.follow(inode.ino, offset, length)
        if not local:
            await core.fetcher.ensure(inode.ino, offset, length)
        return core.buffer.read(inode.ino, offset, length), local

    async def write(self, inode: Inode, offset: int, data: bytes, writer: OperationContext) -> None:
        """All of ``data`` at ``offset``.  ``TooLarge``, ``OutOfSpace``, ``DeviceFailed``.

        ``Stale`` when somebody else took the file's name and its other bytes away in the engine.
        """
        core, ino, length = self._core, inode.ino, len(data)
        if offset + length > FILE_BYTES_MAX:
            raise TooLarge
        if not length:
            return
        if not core.buffer.has_room(length):
            await self._make_room(length)
        body = core.buffer.find(ino)
        if ino in core.flusher.gate.closed or body is None or not body.complete:
            await self._until_free(ino, offset, length)
            body = core.ledger.begin_body(ino)
        if inode.mode & _SET_ID or inode.xattrs:
            self.drop_privileges(inode, writer)
        now_ns = core.clock_ns()
        if not body.complete:
            if not inode.nlink and not core.ledger.backlog.refs_of(ino):
                raise Stale("the file was replaced or removed in the engine")
            core.buffer.write(ino, offset, data)
            core.ledger.commit(ExtentsWritten(ino, offset, length, zlib.crc32(data), now_ns))
            return
        if body.phase is not Phase.OPEN:
            core.ledger.commit(BodyOpened(ino))
        elif body.passed is not None:
            observe(core.ledger, ino)
        core.buffer.write(ino, offset, data)
        core.ledger.note_write(ino, offset, length, now_ns)

    async def resize(self, inode: Inode, size: int, *, always: bool) -> None:
        """Set the size in bytes; an unchanged one moves the times only if ``always`` (ftruncate, O_TRUNC: open(2))."""
        core, ino = self._core, inode.ino
        if size > FILE_BYTES_MAX:
            raise TooLarge
        observe(core.ledger, ino)
        if size == inode.size and not always:
            return
        await self._until_free(ino, min(size, inode.size), FILE_BYTES_MAX)
        core.ledger.commit(Truncated(ino, size, core.clock_ns()))
        core.buffer.truncate_file(ino, size)

    async def sync(self, inode: Inode) -> str:
        """Make the bytes and what leads to them safe at the file's level; returns the level's name.

        ``DeviceFailed``: not safe.  ``TimedOut``: safe on the local disk, not yet in the engine.
        """
        core, level = self._core, self.level_of(inode)
        if level is SyncLevel.BUFFERED:
            return level.value
        observe(core.ledger, inode.ino)
        body = core.buffer.find(inode.ino)
        if body is not None and body.phase is not Phase.ABSENT:
            await core.ledger.sync_body(inode.ino)
        await core.ledger.sync()
        if level is SyncLevel.STORED and inode.nlink and not core.read_only:
            with _deadline():
                await core.flusher.flush(inode.ino)
        return level.value

    async def sync_names(self, container: Inode) -> str:
        """Make the names in a container safe at the mount's level; returns the level's name.  Errors as ``sync``."""
        core, level, owed = self._core, self._core.sync_level, self._core.ledger.backlog.owed_names
        if level is SyncLevel.BUFFERED:
            return level.value
        await core.ledger.sync()
        if level is SyncLevel.STORED and container.nlink and not core.read_only:
            waiting = {key for key in owed if key.container == container.ino}
            with _deadline():
                await core.flusher.flush(container.ino)
                while not waiting.isdisjoint(owed):
                    await core.flusher.flush_some()
        return level.value

    def level_of(self, inode: Inode) -> SyncLevel:
        """The file's own sync level, or the mount's."""
        own = (inode.xattrs or {}).get(SYNC_XATTR)
        try:
            return SyncLevel(own.decode()) if own is not None else self._core.sync_level
        except ValueError:
            return self._core.sync_level

    def drop_privileges(self, inode: Inode, writer: OperationContext) -> None:
        """What a write or truncation by ``writer`` takes away: setuid, setgid, file capabilities."""
        core = self._core
        if inode.xattrs and privileges.CAPABILITY in inode.xattrs:
            core.ledger.commit(XattrSet(inode.ino, privileges.CAPABILITY, None, core.clock_ns()))
        mode = inode.mode if privileges.keeps_set_id(writer) else privileges.mode_without_set_id(inode.mode)
        if mode != inode.mode:
            times = inode.atime_ns, inode.mtime_ns, core.clock_ns()
            core.ledger.commit(AttributesSet(inode.ino, mode, inode.uid, inode.gid, *times))

    async def _until_free(self, ino: Ino, offset: int, length: int) -> None:
        """Wait until no copy of the file is being made and no byte of the range is on its way from the engine."""
        gate, fetcher = self._core.flusher.gate, self._core.fetcher
        while ino in gate.closed or fetcher.range_is_busy(ino, offset, length):
            await gate.passed(ino)
            await fetcher.settled(ino, offset, length)

    async def _make_room(self, length: int) -> None:
        """Evict and flush until ``length`` more bytes fit; ``OutOfSpace`` after ``ROOM_SECONDS``."""
        core = self._core
        core.flusher.hurry()
        with trio.move_on_after(ROOM_SECONDS):
            while True:
                for ino in core.buffer.evictable(max(length, core.buffer.eviction_bytes)):
                    core.ledger.commit(BodyEvicted(ino))
                # The files of evicted bodies go once the record of it is safe.
                await core.ledger.sync()
                if core.buffer.has_room(length):
                    return
                with trio.move_on_after(FLUSH_SECONDS):
                    await core.flusher.flush_some()
                if not core.buffer.evictable(1):
                    await trio.sleep(FLUSH_SECONDS)
        raise OutOfSpace("the buffer is full and the engine did not take enough of it in time")


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    """Give the engine ``STORED_SECONDS``; ``TimedOut`` after that."""
    with trio.move_on_after(STORED_SECONDS) as scope:
        yield
    if scope.cancelled_caught:
        raise TimedOut("the engine did not take everything in time; it is kept and will go on being flushed")
