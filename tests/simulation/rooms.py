"""All rooms of a volume as the daemon builds them, without a kernel, by a plan that the seed draws."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self, cast

import trio

from tests.simulation.machine import Machine
from tests.simulation.network import Network, Weather
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.engine.interface import Capabilities, Engine
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.ledger import Ledger
from vaultairefs.ledger.shelf import IN_USE_MAX
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.volume import SyncLevel, Volume


@dataclass(frozen=True)
class Plan:
    """What differs from seed to seed about the mount and its store."""

    lives: int
    moves: bool
    copies_chunks: bool
    disturbs_times: bool
    inline_bytes_max: int
    chunk_bytes: int
    page_entries: int
    ttl_seconds: float
    flush_delay: float
    flush_workers: int
    sync_level: SyncLevel
    buffer_size: int
    checkpoint_bytes: int
    in_use_max: int
    entries_max: int
    record_io: bool

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """One of many."""
        choice = random.choice
        return cls(
            lives=choice((0, 1, 2, 2, 3, 4)),
            moves=choice((True, False)),
            copies_chunks=choice((True, False)),
            disturbs_times=choice((True, False)),
            inline_bytes_max=choice((64, 4096, 1 << 20)),
            chunk_bytes=choice((1000, 20_000, 50_000)),
            page_entries=choice((1, 3, 1000)),
            ttl_seconds=choice((0.0, 0.5, 5.0, 20.0)),
            flush_delay=choice((0.5, 1.0, 5.0)),
            flush_workers=choice((1, 2, 4)),
            sync_level=choice((SyncLevel.BUFFERED, SyncLevel.JOURNALED, SyncLevel.JOURNALED, SyncLevel.STORED)),
            buffer_size=choice((1 << 30, 1 << 30, 600_000)),
            checkpoint_bytes=choice((2000, 20_000, 32 << 20)),
            in_use_max=choice((4, IN_USE_MAX)),
            entries_max=choice((10, sys.maxsize)),
            record_io=choice((True, False)),
        )

    def capabilities(self, weather: Weather) -> Capabilities:
        """What the store says that it can do."""
        return Capabilities(
            moves=self.moves,
            links=self.moves,
            names_checked=self.moves,
            conditional=not weather.unconditional,
            container_times_disturbed=self.moves and self.disturbs_times,
            copies_chunks=self.copies_chunks,
            inline_bytes_max=self.inline_bytes_max,
            chunk_bytes=self.chunk_bytes,
        )


class Rooms:
    """The rooms of one process; made by ``open`` only."""

    state: StateDirectory
    ledger: Ledger
    flusher: Flusher
    volume: Volume

    @classmethod
    async def open(cls, directory: Path, network: Network, plan: Plan, machine: Machine) -> Self:
        """What ``app/build.py`` does."""
        rooms, engine = cls(), cast(Engine, network)
        rooms.state = await trio.to_thread.run_sync(StateDirectory.open, directory, engine.identity)
        rooms.ledger = ledger = await Ledger.open(
            rooms.state,
            tenant="t",
            clock_ns=machine.clock_ns,
            buffer_size=plan.buffer_size,
            checkpoint_bytes=plan.checkpoint_bytes,
            in_use_max=plan.in_use_max,
        )
        discovery = Discovery(ledger, engine, ttl_seconds=plan.ttl_seconds)
        fetcher = Fetcher(ledger, engine)
        rooms.flusher = Flusher(
            ledger,
            engine,
            fetcher,
            flush_delay=plan.flush_delay,
            flush_workers=plan.flush_workers,
            in_flight_bytes=200_000,
            mount_id=rooms.state.mount_id,
            is_listed=discovery.is_fresh,
            clock_ns=machine.clock_ns,
        )
        rooms.volume = Volume(
            ledger,
            engine,
            discovery,
            fetcher,
            rooms.flusher,
            tenant="t",
            mount_id=rooms.state.mount_id,
            sync_level=plan.sync_level,
            record_io=plan.record_io,
            entries_max=plan.entries_max,
            clock_ns=machine.clock_ns,
        )
        return rooms

    async def inhabited(self, life: Callable[[Self], Awaitable[None]], chance: Random) -> None:
        """``life``, with what the daemon does meanwhile, and an operator who evicts what can be."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ledger.run)
            nursery.start_soon(self.volume.forgetting.run)
            nursery.start_soon(self.flusher.run)
            nursery.start_soon(self._evict_now_and_then, chance)
            await life(self)
            nursery.cancel_scope.cancel()

    async def _evict_now_and_then(self, chance: Random) -> None:
        while True:
            await trio.sleep(chance.choice((0.5, 2.0, 10.0)))
            for ino in self.ledger.buffer.evictable(1 << 60):
                if self.ledger.refusal is None and chance.random() < 0.8:
                    self.ledger.commit(BodyEvicted(ino))

    async def end(self) -> None:
        """As a clean unmount ends."""
        await self.ledger.close()
        await trio.to_thread.run_sync(lambda: self.state.close(clean=True))
