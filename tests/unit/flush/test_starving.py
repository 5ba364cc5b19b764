"""Nobody starves: neither what changes all the time, nor what stands behind something that fails or is many."""

import os
from pathlib import Path

import pytest
import trio

from tests.unit.flush.world import World
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.errors import DeviceFailed
from vaultairefs.model.values import ROOT, EntryPath


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


async def test_a_copy_is_never_made_of_a_body_that_left_while_it_waited(tmp_path: Path) -> None:
    """Its holes would be stored as zeros."""
    engine = MemoryEngine(capabilities=Capabilities(moves=False, links=False, inline_bytes_max=1 << 20))
    world = World(tmp_path / "state", engine)
    await world.open()
    ino = world.create(ROOT, b"a", b"bytes" * 100)
    await world.drain()
    world.rename(ROOT, b"a", ROOT, b"b")
    desk = world.flusher._desk
    async with trio.open_nursery() as nursery, desk.budget.taken(1 << 40):
        nursery.start_soon(world.drain)
        while not desk.budget._waiting:
            await trio.sleep(0.001)
        world.evict_everything()
        world.ledger.begin_body(ino)
        os.pwrite(world.ledger.buffer.descriptor(ino), b"s", 499)  # as if its end had been read
    assert [(path, content) for path, _, content in engine.walk() if path.name] == [
        (EntryPath(b"", b"b"), b"bytes" * 100)
    ]
    world.drop_everything()


async def test_nothing_is_remembered_of_files_that_are_gone(world: World) -> None:
    for number in range(10):
        world.create(ROOT, b"%d" % number, b"1")
        await world.drain()
        world.remove(ROOT, b"%d" % number)
        await world.drain()
    assert len(world.flusher._desk.flushed_generation) + len(world.flusher._desk.flushed_at) < 5
