"""Draining leaves the processor to programs: what has work for its workers does not look for more."""

import pytest
import trio

from tests.unit.flush.world import World
from vaultairefs.model.values import ROOT

FILES = 300


async def test_many_files_are_drained_in_a_few_passes(
    world: World, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    """A pass looks at thousands of names and syncs the journal; one after each file took half of all time."""
    for number in range(FILES):
        world.create(ROOT, b"%d" % number, b"x")

    async def take_time(verb: str) -> None:
        await trio.sleep(0.05)

    world.engine.on_call = take_time
    passes = 0
    run = world.flusher._passes.run

    async def counted() -> None:
        nonlocal passes
        passes += 1
        await run()

    monkeypatch.setattr(world.flusher._passes, "run", counted)
    await world.flusher.drain()
    assert world.is_idle()
    assert passes < 15
