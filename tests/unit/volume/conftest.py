"""A volume over a memory engine, with a clock that ticks at every look."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.rooms import House
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model import context
from vaultairefs.model.context import OperationContext

ROOT_CALLER = OperationContext(pid=7, uid=0, gid=0, umask=0o022, comm="root-program")
USER = OperationContext(pid=8, uid=1000, gid=100, umask=0o022, comm="user-program")


@contextlib.contextmanager
def calling_as(caller: OperationContext) -> Iterator[None]:
    """Everything inside the block is asked by ``caller``."""
    token = context.enter(caller)
    try:
        yield
    finally:
        context.leave(token)


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
async def house(tmp_path: Path, engine: MemoryEngine) -> AsyncIterator[House]:
    ticks = itertools.count(1_000_000_000_000_000_000)
    house = await House.open(tmp_path / "state", engine, clock_ns=lambda: next(ticks))
    with calling_as(ROOT_CALLER):
        yield house
    await house.close()
