"""A volume over a memory engine, with a clock that ticks at every look."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.values import ROOT


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
async def house(tmp_path: Path, engine: MemoryEngine) -> AsyncIterator[House]:
    ticks = itertools.count(1_000_000_000_000_000_000)
    house = await House.open(tmp_path / "state", engine, clock_ns=lambda: next(ticks))
    await house.discovery.ensure_listed(ROOT)
    with calling_as(ROOT_CALLER):
        yield house
    await house.close()
