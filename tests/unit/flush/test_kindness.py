"""Draining leaves the processor to programs: while its workers have work, it does not look for more."""

import pytest
import trio
import trio.testing

from tests.unit.flush.world import World
from vaultairefs.model.errors import OutOfSpace
from vaultairefs.model.values import ROOT


async def test_a_file_that_was_sent_begins_no_pass_while_others_are_queued(world: World) -> None:
    """A pass looks at thousands of names and syncs the journal; one after each file took half of all time."""
    for name in (b"a", b"b"):
        world.create(ROOT, name, b"x")
    flusher = world.flusher
    world.seconds += 10
    await flusher._passes.run()
    assert flusher._passes.has_queue
    second = trio.Event()
    puts = 0

    async def hold_the_second(verb: str) -> None:
        nonlocal puts
        if verb == "put":
            puts += 1
            if puts > 1:
                await second.wait()

    world.engine.on_call = hold_the_second
    world.ledger.sync = trio.lowlevel.checkpoint  # type: ignore[method-assign]  # nobody would wait for a thread
    flusher._poked = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher._work)
        await trio.testing.wait_all_tasks_blocked()
        assert puts == 2
        poked_between = flusher._poked.is_set()
        second.set()
        await trio.testing.wait_all_tasks_blocked()
        assert flusher._poked.is_set(), "there may be more"
        nursery.cancel_scope.cancel()
    assert not poked_between


async def test_while_the_journal_cannot_be_synced_nothing_is_sent_and_the_reason_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full() -> None:
        await trio.lowlevel.checkpoint()
        raise OutOfSpace("the journal is full")

    world.create(ROOT, b"a", b"x")
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "sync", full)
        for _ in range(5):
            world.seconds += 60
            await world.tick()
    assert world.engine_holds() == {}
    assert "the journal is full" in str(world.flusher.status().flush_errors)
    await world.drain()
    await world.check_equal()


async def test_a_drain_hardly_looks_while_the_engine_says_nothing(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    mock_clock.autojump_threshold = 0
    world.ledger.sync = trio.lowlevel.checkpoint  # type: ignore[method-assign]  # the clock would not wait for a thread
    world.create(ROOT, b"a", b"x")
    passes = 0
    run = world.flusher._passes.run

    async def counted() -> None:
        nonlocal passes
        passes += 1
        await run()

    async def say_nothing(verb: str) -> None:
        if verb == "put":
            await trio.sleep_forever()

    world.flusher._passes.run = counted  # type: ignore[method-assign]
    world.engine.on_call = say_nothing
    await world.flusher.drain(trio.current_time() + 60)
    assert 10 < passes < 200
