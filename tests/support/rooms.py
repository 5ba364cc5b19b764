"""The rooms of one volume without a kernel, a command line or background tasks, for tests."""

import shutil
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import trio

from tests.support.ledgers import IN_USE_MAX
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.engine.interface import Engine
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.ledger import Ledger
from vaultairefs.volume import SyncLevel, Volume

R = TypeVar("R")


class House:
    """A volume over ``engine`` with its state in ``directory``.  Nothing is flushed but by ``drain``."""

    state: StateDirectory
    ledger: Ledger
    fetcher: Fetcher
    discovery: Discovery
    flusher: Flusher
    volume: Volume

    @classmethod
    async def open(
        cls,
        directory: Path,
        engine: Engine,
        *,
        ttl_seconds: float = 3600.0,
        buffer_size: int = 1 << 30,
        sync_level: SyncLevel = SyncLevel.JOURNALED,
        record_io: bool = False,
        read_only: bool = False,
        clock_ns: Callable[[], int] | None = None,
    ) -> Self:
        house = cls()
        house.state = StateDirectory.open(directory, engine.identity)
        clocks: dict[str, Any] = {} if clock_ns is None else {"clock_ns": clock_ns}
        house.ledger = ledger = await Ledger.open(
            house.state, tenant="t", buffer_size=buffer_size, in_use_max=IN_USE_MAX, **clocks
        )
        house.discovery = Discovery(ledger, engine, ttl_seconds=ttl_seconds)
        house.fetcher = Fetcher(ledger, engine)
        house.flusher = Flusher(
            ledger,
            engine,
            house.fetcher,
            flush_delay=0.0,
            flush_workers=2,
            in_flight_bytes=64 << 20,
            conflict="keep-both",
            mount_id=house.state.mount_id,
        )
        house.volume = Volume(
            ledger,
            engine,
            house.discovery,
            house.fetcher,
            house.flusher,
            tenant="t",
            mount_id=house.state.mount_id,
            sync_level=sync_level,
            record_io=record_io,
            read_only=read_only,
            **clocks,
        )
        return house

    async def drain(self) -> None:
        """Bring everything owed into the engine."""
        await self.flusher.drain()

    async def close(self) -> None:
        """End as a clean unmount does."""
        await self.ledger.close()
        self.state.close(clean=True)

    def copy_state(self, target: Path) -> None:
        """What kill -9 would leave at this moment."""
        shutil.copytree(self.state.path, target, copy_function=_copy_sparse)


def _copy_sparse(source: str, target: str) -> None:
    """Copy one file with its times; holes need not stay holes, but preallocated space is not worth copying twice."""
    shutil.copy2(source, target)


class Portal:
    """A trio loop in a thread of its own, for tests whose framework is not async (Hypothesis' state machines)."""

    def __init__(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve, ready))
        self._thread.start()
        ready.wait()

    async def _serve(self, ready: threading.Event) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._end = trio.Event()
        ready.set()
        await self._end.wait()

    def run(self, function: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Call ``function`` inside the loop and hand its result or exception back."""
        return trio.from_thread.run(function, *args, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join()
