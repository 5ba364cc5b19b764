"""Bytes that come before they are asked for: in parallel, within bounds, and never in anybody's way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.unit.fetch.test_fetcher import local, stored
from tests.unit.flush.world import NATIVE, Interfering, World
from vaultairefs.fetch.ahead import RANGES_MAX
from vaultairefs.fetch.windows import AHEAD_BYTES_MAX, AHEAD_BYTES_MIN
from vaultairefs.model.changes import Truncated
from vaultairefs.model.errors import Unavailable
from vaultairefs.model.values import ANY, EntryPath, Extent, Ino, Version

KIB = 1 << 10
MIB = 1 << 20
SECONDS = 0.05
"""What a range takes, however large, by the clock of the test."""


class Far(Interfering):
    """Far away: each read takes a while; ``asked`` are the ranges, ``together`` the most under way at once."""

    def __init__(self) -> None:
        super().__init__(capabilities=NATIVE)
        self.asked: list[Extent] = []
        self.together = self.bytes_together = 0
        self.broken: set[int] = set()
        self._now = self._bytes_now = 0

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        self.asked.append(Extent(offset, length))
        self._now += 1
        self._bytes_now += length
        self.together = max(self.together, self._now)
        self.bytes_together = max(self.bytes_together, self._bytes_now)
        try:
            await trio.sleep(SECONDS)
            if any(offset <= place < offset + length for place in self.broken):
                raise Unavailable("down")
            return await super().read(path, version, offset, length, descriptor, position)
        finally:
            self._now -= 1
            self._bytes_now -= length


@asynccontextmanager
async def far(directory: Path, size: int) -> AsyncIterator[tuple[World, Far, Ino]]:
    """A world whose fetcher runs, and a file of that size."""
    engine = Far()
    world = World(directory, engine)
    await world.open()
    ino = await stored(world, b"a", bytes(range(256)) * (size // 256))
    async with trio.open_nursery() as nursery:
        await nursery.start(world.fetcher.run)
        yield world, engine, ino
        nursery.cancel_scope.cancel()
    world.drop_everything()


async def read(world: World, ino: Ino, offset: int, length: int) -> None:
    """As the volume does it, and right bytes."""
    world.fetcher.follow(ino, offset, length)
    await world.fetcher.ensure(ino, offset, length)
    assert local(world, ino, offset, length) == world.contents[ino][offset : offset + length]


async def scan(world: World, ino: Ino, start: int, end: int, length: int = 128 * KIB) -> None:
    for offset in range(start, end, length):
        await read(world, ino, offset, length)


async def test_a_scan_waits_for_few_round_trips(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with far(tmp_path / "s", 64 * MIB) as (world, engine, ino):
        began = trio.current_time()
        await scan(world, ino, 0, 64 * MIB)
        assert (trio.current_time() - began) / SECONDS < 12
        assert engine.together > 3
        assert sum(extent.length for extent in engine.asked) == 64 * MIB, "each byte once"
        assert len(engine.asked) <= 40


async def test_the_first_bytes_come_by_a_small_range_and_the_next_beside_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 64 * MIB) as (world, engine, ino):
        began = trio.current_time()
        await read(world, ino, 0, 128 * KIB)
        assert trio.current_time() - began == pytest.approx(SECONDS)
        assert Extent(0, 128 * KIB) in engine.asked and engine.together > 1


async def test_a_reader_that_stops_is_not_run_ahead_of(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with far(tmp_path / "s", 64 * MIB) as (world, _, ino):
        await scan(world, ino, 0, MIB)
        await trio.sleep(1000)
        fetched = world.fetcher.bytes_downloaded
        assert fetched <= MIB + max(2 * MIB, AHEAD_BYTES_MIN)
        assert not world.fetcher.range_is_busy(ino, 0, 64 * MIB)


async def test_a_page_out_of_nowhere_is_one_small_range(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with far(tmp_path / "s", 64 * MIB) as (world, engine, ino):
        await read(world, ino, 30 * MIB, 4 * KIB)
        await trio.sleep(1000)
        assert engine.asked == [Extent(30 * MIB, 128 * KIB)]


async def test_a_scan_backwards_waits_for_few_round_trips(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 32 * MIB) as (world, engine, ino):
        began = trio.current_time()
        for offset in range(32 * MIB - 128 * KIB, -1, -128 * KIB):
            await read(world, ino, offset, 128 * KIB)
        assert (trio.current_time() - began) / SECONDS < 16
        assert sum(extent.length for extent in engine.asked) == 32 * MIB


async def test_reads_with_equal_holes_wait_for_few_round_trips_and_leave_the_holes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 64 * MIB) as (world, _, ino):
        began = trio.current_time()
        for offset in range(0, 64 * MIB, MIB):
            await read(world, ino, offset, 16 * KIB)
        assert (trio.current_time() - began) / SECONDS < 12
        assert world.fetcher.bytes_downloaded < 4 * MIB


async def test_what_is_under_way_ahead_is_bounded_over_all_files(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 96 * MIB) as (world, engine, ino):
        others = [await stored(world, name, bytes(40 * MIB)) for name in (b"b", b"c")]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scan, world, ino, 0, 96 * MIB, MIB)
            for other in others:
                nursery.start_soon(scan, world, other, 0, 40 * MIB, MIB)
        in_demand = 3 * 8 * MIB
        assert engine.bytes_together <= AHEAD_BYTES_MAX + in_demand
        assert engine.together <= RANGES_MAX + 3


async def test_a_failure_ahead_fails_no_read_that_needs_other_bytes(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 8 * MIB) as (world, engine, ino):
        engine.broken = {6 * MIB}
        await scan(world, ino, 0, 5 * MIB)
        with pytest.raises(Unavailable):
            await read(world, ino, 6 * MIB, 128 * KIB)
        engine.broken = set()
        await scan(world, ino, 5 * MIB, 8 * MIB)


async def test_a_file_that_is_cut_while_ranges_fly_ends_where_it_was_cut(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 16 * MIB) as (world, _, ino):
        await scan(world, ino, 0, 2 * MIB)
        assert world.fetcher.range_is_busy(ino, 2 * MIB, 14 * MIB)
        world.ledger.commit(Truncated(ino, 2 * MIB + 5, world.tick_ns()))
        world.ledger.buffer.truncate_file(ino, 2 * MIB + 5)
        world.contents[ino] = world.contents[ino][: 2 * MIB + 5]
        await trio.sleep(10)
        await read(world, ino, 2 * MIB, 5)
        status = world.ledger.buffer.stat(ino)
        assert status is not None and status.st_size == 2 * MIB + 5


async def test_a_version_that_is_replaced_while_ranges_fly_is_not_mixed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 16 * MIB) as (world, engine, ino):
        await scan(world, ino, 0, 2 * MIB)
        attributes = world.ledger.namespace.get(ino).attributes()
        await engine.put(EntryPath(b"", b"a"), b"y" * (16 * MIB), attributes, expected=ANY, token="")
        await trio.sleep(10)
        body = world.ledger.buffer.find(ino)
        assert body is not None
        for gap_start, gap_end in _present(body.present):
            here = world.ledger.buffer.read(ino, gap_start, gap_end - gap_start)
            assert here == world.contents[ino][gap_start:gap_end]


def _present(extents: Any) -> list[tuple[int, int]]:
    missing = extents.gaps(0, 16 * MIB)
    edges = [0, *(edge for gap in missing for edge in (gap.offset, gap.end)), 16 * MIB]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


async def test_a_scan_of_more_than_the_buffer_holds_stays_within_it(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 64 * MIB) as (world, _, ino):
        buffer = world.ledger.buffer
        buffer.buffer_size = 16 * MIB
        most = 0
        for offset in range(0, 64 * MIB, MIB):
            await read(world, ino, offset, MIB)
            most = max(most, buffer.used_bytes)
        assert most <= 16 * MIB + 8 * MIB, "what somebody waits for may pass the mark by one range"


async def test_without_a_running_fetcher_nothing_comes_before_it_is_needed(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    engine = Far()
    world = World(tmp_path / "s", engine)
    await world.open()
    ino = await stored(world, b"a", bytes(4 * MIB))
    await read(world, ino, 0, 128 * KIB)
    assert engine.together == 1
    world.drop_everything()


async def test_the_end_of_the_fetcher_ends_what_it_has_under_way(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 16 * MIB) as (world, _, ino):
        await scan(world, ino, 0, 2 * MIB)
        assert world.fetcher.range_is_busy(ino, 2 * MIB, 14 * MIB)
    assert not world.fetcher.range_is_busy(ino, 0, 16 * MIB)
    assert world.fetcher._ahead.bytes_under_way == 0


async def test_a_whole_file_comes_by_several_ranges_at_a_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with far(tmp_path / "s", 96 * MIB) as (world, engine, ino):
        began = trio.current_time()
        await world.fetcher.complete(ino)
        assert (trio.current_time() - began) / SECONDS == pytest.approx(2)
        assert engine.together == 8
