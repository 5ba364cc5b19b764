"""A world for tests of single rules."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.flush.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "state")
    await world.open()
    yield world
    world.drop_everything()
