"""What cannot reach the engine before somebody decides: kept, told of, never zeros, and no drain waits for it."""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.rooms import House
from tests.unit.flush.test_conflicts import contents, put
from tests.unit.flush.world import World
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.disk import durable
from vaultairefs.engine.interface import Deletion, EntryInfo
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.errors import DeviceFailed, Lost, Unavailable, Withheld
from vaultairefs.model.values import ROOT, EntryPath

SECONDS_MAX = 60


@pytest.fixture
async def world_of(tmp_path: Path) -> AsyncIterator[Any]:
    opened: list[World] = []

    async def make(conflict: str) -> World:
        world = World(tmp_path / conflict, conflict=conflict)
        await world.open()
        opened.append(world)
        return world

    yield make
    for world in opened:
        world.drop_everything()


async def drained(world: World) -> None:
    """A drain without a deadline ends."""
    await with_clock(world, world.flusher.drain)


async def with_clock(world: World, work: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """The clock runs as the work does, which ends."""

    async def clock() -> None:
        while True:
            world.seconds += 1
            await trio.sleep(0.001)

    failure: Withheld | None = None
    with trio.fail_after(SECONDS_MAX):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clock)
            try:
                await work(*arguments)
            except Withheld as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def partial_and_changed(world: World) -> int:
    """A file of 200 bytes of which only two, changed ones, are local."""
    ino = world.create(ROOT, b"a", b"x" * 200)
    await world.drain()
    world.evict_everything()
    world.write(ino, 10, b"yy")
    return ino


@pytest.mark.parametrize("conflict", ["keep-both", "overwrite"])
async def test_a_file_that_cannot_be_completed_goes_on_beside_the_foreign_one(world_of: Any, conflict: str) -> None:
    world = await world_of(conflict)
    ino = await partial_and_changed(world)
    await put(world, b"a", b"theirs")
    await drained(world)
    assert contents(world) == {b"a": b"theirs"}
    theirs = world.ledger.namespace.child(ROOT, b"a")
    assert theirs is not None and theirs.ino != ino and theirs.size == 6
    (kept,) = world.ledger.namespace.get(ino).refs
    assert kept.name.startswith(b"a.conflict-")
    assert world.ledger.buffer.read(ino, 10, 2) == b"yy"
    with pytest.raises(Lost):
        await world.fetcher.ensure(ino, 0, 10)
    assert "recover" in world.flusher.status().flush_errors[0]
    assert world.flusher.status().conflicts == 1


async def test_a_file_that_cannot_be_completed_keeps_the_name_that_nobody_took(world: World) -> None:
    ino = await partial_and_changed(world)
    await world.engine.delete([Deletion(EntryPath(b"", b"a"))])
    await drained(world)
    assert contents(world) == {}
    assert [key.name for key in world.ledger.namespace.get(ino).refs] == [b"a"]
    assert world.ledger.buffer.read(ino, 10, 2) == b"yy"
    with pytest.raises(Lost):
        await world.fetcher.ensure(ino, 0, 10)


async def test_what_is_kept_survives_a_crash_and_the_next_drain_ends_too(world: World) -> None:
    ino = await partial_and_changed(world)
    await put(world, b"a", b"theirs")
    await drained(world)
    await world.crash()
    await drained(world)
    assert contents(world) == {b"a": b"theirs"}
    assert world.ledger.buffer.read(ino, 10, 2) == b"yy"


async def test_once_the_program_has_written_the_rest_it_is_stored(world: World) -> None:
    ino = await partial_and_changed(world)
    await put(world, b"a", b"theirs")
    await drained(world)
    world.write(ino, 0, b"z" * 200)
    await drained(world)
    assert world.is_idle()
    assert sorted(contents(world).values()) == [b"theirs", b"z" * 200]
    assert not world.flusher.status().flush_errors


async def test_removing_what_cannot_be_stored_ends_the_complaint(world: World) -> None:
    ino = await partial_and_changed(world)
    await put(world, b"a", b"theirs")
    await drained(world)
    (kept,) = world.ledger.namespace.get(ino).refs
    world.remove(ROOT, kept.name)
    await drained(world)
    assert world.is_idle() and not world.flusher.status().flush_errors


async def test_with_policy_fail_a_drain_ends_and_everything_is_as_it_was(world_of: Any) -> None:
    world = await world_of("fail")
    changed, renamed = world.create(ROOT, b"a", b"old"), world.create(ROOT, b"r", b"renamed")
    container = world.mkdir(ROOT, b"d")
    world.create(container, b"inside", b"x")
    await put(world, b"d", b"their file")
    world.create(ROOT, b"free", b"y")
    await put(world, b"a", b"theirs")
    world.write(changed, 0, b"new")
    await drained(world)
    assert contents(world) == {b"a": b"theirs", b"d": b"their file", b"free": b"y", b"r": b"renamed"}
    assert world.ledger.buffer.read(changed, 0, 3) == b"new"
    errors = world.flusher.status().flush_errors
    assert len(errors) == 2 and all("conflict=fail" in error for error in errors)
    assert world.flusher.status().conflicts == 2
    inside = world.ledger.namespace.child(container, b"inside")
    assert inside is not None
    for ino in (changed, inside.ino):
        with pytest.raises(Withheld, match="conflict=fail"):
            await with_clock(world, world.flusher.flush, ino)
    await with_clock(world, world.flusher.flush, renamed)
    assert [event.operation for event in world.ledger.events.read()].count("conflict") == 2


async def test_what_is_withheld_goes_when_the_reason_is_gone(world_of: Any) -> None:
    world = await world_of("fail")
    world.create(ROOT, b"a", b"ours")
    await put(world, b"a", b"theirs")
    await drained(world)
    await world.engine.delete([Deletion(EntryPath(b"", b"a"))])
    await drained(world)
    assert world.is_idle() and contents(world) == {b"a": b"ours"}


async def test_an_engine_that_is_away_is_waited_for_whatever_else_is_withheld(
    world_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await world_of("fail")
    world.create(ROOT, b"a", b"ours")
    await put(world, b"a", b"theirs")
    world.create(ROOT, b"b", b"more")

    async def away(path: EntryPath, *arguments: Any, **named: Any) -> Any:
        if path.name == b"b":
            raise Unavailable("away")
        return await store(path, *arguments, **named)

    store = world.engine.put
    monkeypatch.setattr(world.engine, "put", away)
    with trio.move_on_after(0.5) as scope:
        await drained(world)
    assert scope.cancelled_caught
    monkeypatch.undo()
    await drained(world)
    assert contents(world) == {b"a": b"theirs", b"b": b"more"}


async def test_a_body_whose_sync_failed_is_quarantined_and_no_drain_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ino = world.create(ROOT, b"a", b"old")
    await world.drain()
    world.write(ino, 0, b"new bytes")
    monkeypatch.setattr(durable.os, "fdatasync", _failing)
    with pytest.raises(DeviceFailed):
        await world.ledger.sync_body(ino)
    monkeypatch.undo()
    (report,) = world.state.quarantined()
    assert report.size_bytes == 9 and "fdatasync failed" in report.reason
    assert (world.state.path / "quarantine" / report.name).read_bytes() == b"new bytes"
    await drained(world)
    assert contents(world) == {b"a": b"old"}
    assert "quarantine" in world.flusher.status().flush_errors[0]
    with pytest.raises(DeviceFailed):
        world.ledger.buffer.read(ino, 0, 3)
    with pytest.raises(Withheld):
        await with_clock(world, world.flusher.flush, ino)
    await world.crash()
    with pytest.raises(DeviceFailed):
        world.ledger.buffer.read(ino, 0, 3)
    await drained(world)
    world.truncate(ino, 0)
    world.write(ino, 0, b"anew")
    await drained(world)
    assert contents(world) == {b"a": b"anew"}


async def _at_once(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return function(*arguments)


def _failing(descriptor: int) -> None:
    raise OSError(5, "a fault was injected here")


class Vanished(MemoryEngine):
    """Answers nothing any more."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.is_away = False

    async def stat(self, path: EntryPath) -> EntryInfo:
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        return await super().stat(path)

    async def put(self, *arguments: Any, **named: Any) -> Any:
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        return await super().put(*arguments, **named)


async def test_draining_to_an_engine_that_is_away_asks_ever_more_rarely(
    tmp_path: Path,
    mock_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An hour of it costs a few hundred passes and requests, not a hundred thousand."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(trio.to_thread, "run_sync", _at_once)  # the clock would not wait for a thread
    mock_clock.autojump_threshold = 0
    engine = Vanished()
    house = await House.open(tmp_path / "state", engine)
    passes = 0
    run = house.flusher._passes.run

    async def counted() -> None:
        nonlocal passes
        passes += 1
        await run()

    house.flusher._passes.run = counted  # type: ignore[method-assign]
    with calling_as(ROOT_CALLER):
        for number in range(3):
            _, handle = await house.volume.files.create(ROOT, b"%d" % number, 0o644, os.O_RDWR)
            await house.volume.files.write(handle, 0, b"x")
            await house.volume.files.release(handle)
    engine.is_away = True
    engine.asked = 0
    with trio.move_on_after(3600) as scope:
        await house.drain()
    assert scope.cancelled_caught
    assert engine.asked < 3600
    assert passes < 3 * 3600
    engine.is_away = False
    await house.drain()
    assert len(list(engine.walk())) == 3
    await house.close()
