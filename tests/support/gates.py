"""Gates for engines in a worker process (``worker_engines.py``), and calls that are under way."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

_LOOK_SECONDS = 0.005
_SECONDS_MAX = 60


class Gate:
    """Calls of the verb wait while this is closed."""

    def __init__(self, directory: Path, verb: str) -> None:
        self._path = directory / verb
        self._path.touch()

    def open(self) -> None:
        self._path.unlink()

    def count(self, what: str = "waits") -> int:
        """How many calls have come here so far, or were ``cancelled`` here."""
        path = self._path.with_name(f"{self._path.name}.{what}")
        return path.stat().st_size if path.exists() else 0

    async def reached(self, count: int, what: str = "waits") -> None:
        """Wait for that many."""
        with trio.fail_after(_SECONDS_MAX):
            while self.count(what) < count:
                await trio.sleep(_LOOK_SECONDS)


@asynccontextmanager
async def begun(*calls: Callable[[], Awaitable[object]]) -> AsyncIterator[tuple[trio.CancelScope, list[object]]]:
    """The calls under way, with the scope that cancels them and what they returned so far."""
    results: list[object] = []
    scope = trio.CancelScope()

    async def one(call: Callable[[], Awaitable[object]]) -> None:
        results.append(await call())

    async def run() -> None:
        with scope:
            async with trio.open_nursery() as inner:
                for call in calls:
                    inner.start_soon(one, call)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield scope, results
