"""The histories of the flusher's machine against a real directory."""

import shutil
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledgers import scratch_directory
from tests.unit.flush.directories import Directory
from tests.unit.flush.test_flusher_machine import Machine, steps
from tests.unit.flush.world import World


async def live(history: list[tuple[str, Any]]) -> None:
    directory = scratch_directory()
    try:
        engine = Directory(directory / "engine")
        world = World(directory / "state", engine)
        machine = Machine(world, engine)
        await world.open()
        for step in history:
            await machine.step(step)
        await machine.surviving(machine.finish)
        await machine.finish()
        world.drop_everything()
        await engine.close()
    finally:
        shutil.rmtree(directory)


@pytest.mark.timeout(600)
@given(st.lists(steps, max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_directory_ends_as_programs_left_the_tree(history: list[tuple[str, Any]]) -> None:
    trio.run(live, history)
