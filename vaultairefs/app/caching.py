"""Bring bytes near and let them go: ``warm`` and ``evict`` of a running volume.

Promise: ``warm`` never passes the disk budget and never pushes out what it brought itself; ``evict`` lets go of
nothing that the engine does not have, nor of what a program writes on.
"""

from collections.abc import AsyncIterator
from typing import Final

import trio

from vaultairefs.app.build import Rooms
from vaultairefs.buffer import Body, Phase
from vaultairefs.control.protocol import Message
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import Stale, VaultaireError
from vaultairefs.model.values import Ino, Kind

_FILES_AT_ONCE: Final = 4
_EVICTED_AT_ONCE: Final = 500
"""Before other tasks get their turn."""


class Warming:
    """One run of ``warm``; ``told`` is what to say of it so far."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._brought: set[Ino] = set()
        self._coming = 0
        self.files = self.bytes = 0
        self.left_files = self.left_bytes = 0
        self.failures: list[str] = []

    @property
    def told(self) -> Message:
        return {
            "files": self.files,
            "bytes": self.bytes,
            "left_files": self.left_files,
            "left_bytes": self.left_bytes,
            "failures": self.failures[:20],
        }

    async def run(self, ino: Ino) -> None:
        """Everything at and below the inode."""
        send, receive = trio.open_memory_channel[Ino](0)
        async with trio.open_nursery() as nursery:
            for _ in range(_FILES_AT_ONCE):
                nursery.start_soon(self._work, receive.clone())
            receive.close()
            async with send:
                async for file in self._files(ino):
                    await send.send(file)

    async def _files(self, ino: Ino) -> AsyncIterator[Ino]:
        waiting = [ino]
        while waiting:
            at = waiting.pop()
            inode = self._rooms.ledger.namespace.find(at)
            if inode is None:
                continue
            if inode.kind is Kind.FILE:
                yield at
            if inode.kind is Kind.CONTAINER:
                try:
                    await self._rooms.discovery.ensure_listed(at)
                    waiting += [child for _, child, _ in self._rooms.ledger.namespace.entries(at)]
                except Stale:
                    continue  # removed meanwhile

    async def _work(self, files: trio.MemoryReceiveChannel[Ino]) -> None:
        async with files:
            async for ino in files:
                try:
                    await self._bring(ino)
                except Stale:
                    continue  # removed or replaced meanwhile
                except VaultaireError as error:
                    self.failures.append(str(error))

    async def _bring(self, ino: Ino) -> None:
        inode, body = self._rooms.ledger.namespace.find(ino), self._rooms.ledger.buffer.find(ino)
        if inode is None:
            return
        here = 0
        if body is not None and body.phase is not Phase.ABSENT:
            here = inode.size if body.complete else body.present.total()
        wanted = inode.size - here
        self._brought.add(ino)
        if wanted > 0 and not await self._has_room(wanted):
            self.left_files += 1
            self.left_bytes += wanted
            return
        self._coming += wanted
        try:
            await self._rooms.fetcher.complete(ino)
        finally:
            self._coming -= wanted
        self.files += 1
        self.bytes += wanted

    async def _has_room(self, length: int) -> bool:
        """Whether so much fits beside what is on its way already, if need be after others' clean bodies have left."""
        buffer = self._rooms.ledger.buffer
        if buffer.has_room(length + self._coming):
            return True
        others = [ino for ino in buffer.evictable(buffer.used_bytes) if ino not in self._brought]
        for ino in others:
            if buffer.used_bytes - buffer.leaving_bytes + length + self._coming <= buffer.buffer_size:
                break
            self._rooms.ledger.commit(BodyEvicted(ino))
        await self._rooms.ledger.sync()  # what left takes its room until the record of it is safe
        return buffer.has_room(length + self._coming)


async def evict(rooms: Rooms, ino: Ino) -> Message:
    """Let go of every clean body at and below the inode; says what went and what had to stay."""
    files = freed = stayed = 0
    rooms.volume.passing.look_at_all()  # what programs had a moment ago is let go
    for number, body in enumerate(rooms.ledger.buffer.all()):
        if number % _EVICTED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        if not _is_below(rooms, ino, body) or body.phase is Phase.ABSENT:
            continue
        if body.failed or (body.file is not None and body.file.pins):
            stayed += 1
            continue
        size = body.allocated
        try:
            rooms.ledger.commit(BodyEvicted(body.ino))
        except VaultaireError:
            stayed += 1
            continue
        files += 1
        freed += size
    await rooms.ledger.sync()  # their files go when the record of it is safe
    return {"files": files, "bytes": freed, "stayed": stayed}


def _is_below(rooms: Rooms, ino: Ino, body: Body) -> bool:
    namespace = rooms.ledger.namespace
    inode = namespace.peek(body.ino)
    if inode is None or body.ino == ino:
        return inode is not None
    return any(namespace.is_ancestor(ino, key.container) for key in inode.refs)
