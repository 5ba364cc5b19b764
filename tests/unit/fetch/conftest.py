"""The flush tests' world, whose engine other programs fill."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.flush.world import World
from vaultairefs.fetch.discovery import Discovery


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "state")
    await world.open()
    yield world
    world.drop_everything()


@pytest.fixture
def discovery(world: World) -> Discovery:
    return Discovery(world.ledger, world.engine, ttl_seconds=5, clock=lambda: world.seconds)
