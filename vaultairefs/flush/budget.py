"""Bounds on what an upload may hold or hold up."""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from vaultairefs.model.values import Ino


class ByteBudget:
    """At most ``total_bytes`` under way at once, first come first served.

    A single request for more than everything gets everything.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self.used_bytes = 0
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold ``size`` bytes of the budget inside the block."""
        size = min(size, self._total_bytes)
        await self._take(size)
        try:
            yield
        finally:
            self.used_bytes -= size
            self._admit()

    async def _take(self, size: int) -> None:
        if not self._waiting and self.used_bytes + size <= self._total_bytes:
            self.used_bytes += size
            return
        place = (size, trio.Event())
        self._waiting.append(place)
        try:
            await place[1].wait()
        except BaseException:
            if place[1].is_set():
                self.used_bytes -= size
            else:
                self._waiting.remove(place)
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and self.used_bytes + self._waiting[0][0] <= self._total_bytes:
            size, admitted = self._waiting.popleft()
            self.used_bytes += size
            admitted.set()


class Gate:
    """Keeps writers out of single files, briefly, while a frozen copy is made.

    Writers look at ``closed`` (a dict, mostly empty) and wait for ``passed`` right before a write, then write without
    waiting again.
    """

    def __init__(self) -> None:
        self.closed: dict[Ino, trio.Event] = {}

    @contextmanager
    def shut(self, ino: Ino) -> Iterator[None]:
        """Nobody writes this file inside the block."""
        opened = self.closed[ino] = trio.Event()
        try:
            yield
        finally:
            del self.closed[ino]
            opened.set()

    async def passed(self, ino: Ino) -> None:
        """Wait until the file may be written."""
        while (opened := self.closed.get(ino)) is not None:
            await opened.wait()
