"""Nobody starves: neither what changes all the time, nor what stands behind something that fails or is many."""

import pytest
import trio

from tests.unit.flush.world import World
from vaultairefs.flush.due import LOOKS_MAX
from vaultairefs.model import changes
from vaultairefs.model.errors import DeviceFailed
from vaultairefs.model.values import ROOT, Kind


async def test_a_file_that_is_replaced_by_rename_all_the_time_is_flushed_every_half_minute(world: World) -> None:
    await world.drain()
    world.engine.calls.clear()
    for _ in range(70):
        world.create(ROOT, b"state.tmp", b"newest")
        world.rename(ROOT, b"state.tmp", ROOT, b"state")
        world.seconds += 0.9
        await world.tick()
    assert world.engine.calls["put"] == 2
    await world.drain()
    await world.check_equal()


async def test_a_defect_at_one_name_stops_no_other(world: World) -> None:
    world.create(ROOT, b"a", b"1")
    await world.drain()

    def fail(verb: str) -> None:
        if verb == "move":
            raise RuntimeError("a defect of this engine")

    world.engine.before = fail
    world.rename(ROOT, b"a", ROOT, b"b")
    world.create(ROOT, b"c", b"2")
    world.seconds += 60
    await world.tick()
    assert world.engine_holds().keys() == {b"a", b"c"}
    assert "a defect of this engine" in world.flusher.status().flush_errors[0]
    world.engine.before = lambda verb: None
    await world.drain()
    await world.check_equal()


async def test_a_defect_while_sending_waits_for_its_next_try(world: World) -> None:
    def fail(verb: str) -> None:
        if verb == "put":
            raise RuntimeError("a defect of this engine")

    world.engine.before = fail
    world.create(ROOT, b"a", b"1")
    world.seconds += 60
    for _ in range(5):
        await world.tick()
    assert world.engine.calls["put"] == 0  # counted behind the defect
    assert "a defect of this engine" in world.flusher.status().flush_errors[0]
    assert not world.flusher._passes._queue
    world.engine.before = lambda verb: None
    await world.drain()
    await world.check_equal()


async def test_nobody_waits_for_a_volume_that_refuses_every_change(world: World) -> None:
    ino = world.create(ROOT, b"a", b"1")
    world.ledger.refusal = DeviceFailed("a sync failed")
    with trio.fail_after(5):
        with pytest.raises(DeviceFailed):
            await world.flusher.flush(ino)
        with pytest.raises(DeviceFailed):
            await world.flusher.drain()
        with pytest.raises(DeviceFailed):
            await world.flusher.flush_some()
    assert world.flusher.progress().artifacts == 2


async def test_nothing_is_remembered_of_files_that_are_gone(world: World) -> None:
    for number in range(10):
        world.create(ROOT, b"%d" % number, b"1")
        await world.drain()
        world.remove(ROOT, b"%d" % number)
        await world.drain()
    assert len(world.flusher._desk.flushed_generation) + len(world.flusher._desk.flushed_at) < 5


async def test_a_pass_looks_at_a_bounded_part_of_a_long_backlog(world: World) -> None:
    for number in range(12_000):
        ino = world.ledger.namespace.allocate()
        world.ledger.commit(changes.NodeCreated(ino, ROOT, b"%d" % number, world.attributes(Kind.FIFO)))
    looks = 0

    def seconds() -> float:
        nonlocal looks
        looks += 1
        return world.seconds

    world.flusher._urgency._clock = seconds
    most = 0
    for _ in range(4):
        looks = 0
        await world.flusher._passes.run()
        most = max(most, looks)
    assert 0 < most <= 4 * LOOKS_MAX
    await world.drain()
    await world.check_equal()


async def test_others_have_their_turn_while_a_pass_looks_at_a_long_backlog(world: World) -> None:
    for number in range(3000):
        ino = world.ledger.namespace.allocate()
        world.ledger.commit(changes.NodeCreated(ino, ROOT, b"%d" % number, world.attributes(Kind.FIFO)))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await world.ledger.sync()
        before = turns
        world.flusher._desk.ledger.sync = trio.lowlevel.checkpoint  # type: ignore[method-assign]
        await world.flusher._passes.run()
        assert turns - before > 10
        nursery.cancel_scope.cancel()


async def test_whoever_waits_is_served_before_a_long_queue(world: World) -> None:
    for number in range(3000):
        ino = world.ledger.namespace.allocate()
        world.ledger.commit(changes.NodeCreated(ino, ROOT, b"%d" % number, world.attributes(Kind.FIFO)))
    last = world.create(ROOT, b"awaited", b"1")
    world.seconds += 60
    await world.flusher._passes.run()
    with world.flusher._urgency.one(last):
        await world.flusher._passes.run()
        await world.flusher._passes.work_once()
    assert b"awaited" in world.engine_holds()


async def test_a_long_backlog_is_drained_by_the_running_flusher(world: World) -> None:
    world.seconds += 10
    for number in range(2500):
        ino = world.ledger.namespace.allocate()
        world.ledger.commit(changes.NodeCreated(ino, ROOT, b"%d" % number, world.attributes(Kind.FIFO)))
    with trio.fail_after(60):
        await world.flusher.drain()
    await world.check_equal()
