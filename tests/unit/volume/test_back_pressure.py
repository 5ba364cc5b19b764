"""P7: a full buffer, a full disk, an engine that is slow or away: writers wait, then fail before anything is
acknowledged; what is cached is read meanwhile, and everything drains afterwards."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.rooms import House
from tests.support.small_disk import fill, small_disk
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.errors import OutOfSpace, Unavailable
from vaultairefs.model.values import ROOT
from vaultairefs.volume.content import ROOM_SECONDS

MIB = 1 << 20


class Sluggish(MemoryEngine):
    """``is_away`` refuses everything; else each verb takes ``seconds``."""

    is_away = False
    seconds = 0.0

    @asynccontextmanager
    async def _call(self, verb: str) -> AsyncIterator[None]:
        if self.is_away:
            raise Unavailable("the engine is away", operation=verb)
        if self.seconds:
            await trio.sleep(self.seconds)
        async with super()._call(verb):
            yield


@pytest.fixture
def engine() -> Sluggish:
    return Sluggish()


@pytest.fixture
def clock(mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """Jumps when all tasks wait.  What else runs in threads runs in the loop: the clock would not wait for those."""

    async def at_once(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    mock_clock.autojump_threshold = 0
    return mock_clock


async def make(house: House, name: bytes, content: bytes) -> None:
    _, handle = await house.volume.files.create(ROOT, name, 0o644, os.O_RDWR)
    try:
        await house.volume.files.write(handle, 0, content)
    finally:
        await house.volume.files.release(handle)


async def content_of(house: House, name: bytes) -> bytes:
    inode = await house.volume.tree.lookup(ROOT, name)
    handle = await house.volume.files.open(inode.ino, os.O_RDONLY)
    try:
        return await house.volume.files.read(handle, 0, 64 * MIB)
    finally:
        await house.volume.files.release(handle)


def held_by(engine: MemoryEngine) -> dict[bytes, bytes]:
    return {path.joined: content for path, _, content in engine.walk()}


@asynccontextmanager
async def running(directory: Path, engine: Sluggish, **options: Any) -> AsyncIterator[House]:
    house = await House.open(directory, engine, **options)
    with calling_as(ROOT_CALLER):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.flusher.run)
            yield house
            nursery.cancel_scope.cancel()
    await house.close()


async def test_an_engine_that_is_away_for_an_hour_costs_enospc_and_no_byte(
    tmp_path: Path, engine: Sluggish, clock: trio.testing.MockClock
) -> None:
    async with running(tmp_path / "state", engine, buffer_size=16 * MIB) as house:
        await house.discovery.ensure_listed(ROOT)
        engine.is_away = True
        kept: dict[bytes, bytes] = {}
        refused = 0
        end = trio.current_time() + 3600
        while trio.current_time() < end:
            name = b"%d" % (len(kept) + refused)
            content = os.urandom(2 * MIB)
            began = trio.current_time()
            try:
                await make(house, name, content)
                kept[name] = content
            except OutOfSpace:
                refused += 1
                kept[name] = b""
                assert trio.current_time() - began <= ROOM_SECONDS + 1, "a write that cannot be had waited for longer"
                clock.jump(600)
        assert refused > 3 and len([one for one in kept.values() if one]) >= 7
        for name, content in kept.items():
            assert await content_of(house, name) == content, "what is cached is read while the engine is away"
        assert house.flusher.status().flush_errors
        engine.is_away = False
        await house.drain()
        assert held_by(engine) == kept
        assert not house.flusher.status().flush_errors


async def test_a_writer_that_waits_goes_on_when_the_engine_is_back_in_time(
    tmp_path: Path, engine: Sluggish, clock: trio.testing.MockClock
) -> None:
    async with running(tmp_path / "state", engine, buffer_size=16 * MIB) as house:
        await house.discovery.ensure_listed(ROOT)
        engine.is_away = True
        for number in range(7):
            await make(house, b"%d" % number, bytes(2 * MIB))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(make, house, b"late", b"x" * 4 * MIB)
            await trio.sleep(ROOM_SECONDS / 4)
            engine.is_away = False
        assert await content_of(house, b"late") == b"x" * 4 * MIB


async def test_a_slow_engine_slows_writers_down_and_refuses_nobody(
    tmp_path: Path, engine: Sluggish, clock: trio.testing.MockClock
) -> None:
    async with running(tmp_path / "state", engine, buffer_size=16 * MIB) as house:
        await house.discovery.ensure_listed(ROOT)
        engine.seconds = 1.0
        began = trio.current_time()
        for number in range(40):
            await make(house, b"%d" % number, bytes([number]) * 2 * MIB)
        assert trio.current_time() - began > 10, "nobody waited for the engine"
        engine.seconds = 0.0
        await house.drain()
        assert {name: content[:1] for name, content in held_by(engine).items()} == {
            b"%d" % number: bytes([number]) for number in range(40)
        }


async def test_a_disk_that_others_filled_refuses_writes_and_still_drains(
    tmp_path: Path, engine: Sluggish, clock: trio.testing.MockClock
) -> None:
    with small_disk(tmp_path / "disk", 112 * MIB) as disk:
        async with running(disk / "state", engine) as house:
            await house.discovery.ensure_listed(ROOT)
            assert house.ledger._journal.reserve.hold()
            engine.is_away = True
            for number in range(4):
                await make(house, b"%d" % number, bytes([number]) * MIB)
            fill(disk)
            with pytest.raises(OutOfSpace):
                await make(house, b"late", b"x" * MIB)
            assert await content_of(house, b"2") == b"\2" * MIB
            await house.volume.tree.unlink(ROOT, b"3")
            engine.is_away = False
            await house.drain()
            assert {name: content[:1] for name, content in held_by(engine).items()} == {
                b"0": b"\0",
                b"1": b"\1",
                b"2": b"\2",
                b"late": b"",
            }
            (disk / "filler").unlink()
