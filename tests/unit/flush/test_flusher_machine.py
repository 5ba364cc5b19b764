"""Whatever programs do and whenever, and whatever fails or is killed meanwhile: after a drain the engine holds exactly
what programs see, every byte, name, link and attribute."""

import shutil
from collections import deque
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledgers import scratch_directory
from tests.unit.flush.acting import Programs, acts
from tests.unit.flush.world import NATIVE, PLAIN, Crash, Interfering, World, is_crash
from vaultairefs.engine.interface import Capabilities
from vaultairefs.model.errors import OutOfSpace, Unavailable
from vaultairefs.model.values import Ino

VERBS = [
    "put", "put", "move", "link", "delete", "create_container", "delete_container", "set_attributes", "begin_upload",
    "put_chunk", "commit_upload", "stat", "read", "copy", "copy", "list",
]  # fmt: skip

steps = st.one_of(
    st.tuples(st.just("act"), acts),
    st.tuples(st.just("act"), acts),
    st.tuples(st.just("act"), acts),
    st.tuples(st.just("tick"), st.sampled_from([0.0, 0.6, 2.0, 40.0])),
    st.tuples(st.just("tick"), st.just(2.0)),
    st.tuples(st.just("during"), st.tuples(st.integers(0, 5), st.booleans(), acts)),
    st.tuples(st.just("during"), st.tuples(st.integers(0, 5), st.booleans(), acts)),
    st.tuples(st.just("fail"), st.tuples(st.sampled_from(VERBS), st.booleans(), st.booleans())),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("crash_during"), st.tuples(st.integers(0, 5), st.booleans())),
)


class Machine:
    """Runs one history.  ``agenda`` holds what happens inside coming engine calls: (calls to go, afterwards?, what)."""

    def __init__(self, world: World, engine: Any) -> None:
        self.world = world
        self.engine = engine
        self.programs = Programs(world)
        self.agenda: deque[list[Any]] = deque()
        engine.before = lambda verb: self.interfere(afterwards=False)
        engine.after = lambda verb: self.interfere(afterwards=True)

    def interfere(self, *, afterwards: bool) -> None:
        due = []
        for item in list(self.agenda):
            if item[1] is afterwards:
                item[0] -= 1
                if item[0] < 0:
                    due.append(item)
                    self.agenda.remove(item)
        for _, _, what in due:
            if what is None:
                self.agenda.clear()
                raise Crash
            self.perform(what)

    def perform(self, what: Any) -> None:
        self.programs.act(what)

    async def step(self, step: tuple[str, Any]) -> None:
        kind, value = step
        if kind == "act":
            self.programs.act(value)
        elif kind == "tick":
            self.world.seconds += value
            await self.surviving(self.world.tick)
        elif kind == "during":
            self.agenda.append(list(value))
        elif kind == "fail":
            verb, applied, full = value
            self.engine.fail_next(verb, OutOfSpace() if full else Unavailable("not now"), applied=applied)
        elif kind == "crash":
            await self.world.crash()
        else:
            self.agenda.append([*value, None])

    async def surviving(self, work: Any) -> None:
        try:
            await work()
        except BaseException as error:
            if not is_crash(error):
                raise
            await self.world.crash()

    async def finish(self) -> None:
        self.agenda.clear()
        await self.check_handles()
        for ino in list(self.world.held):
            while ino in self.world.held:
                self.world.let_go(ino)
        await self.world.drain()
        await self.world.check_equal()

    async def check_handles(self) -> None:
        """Unlinked or not, what is open can be read to its last byte."""
        for _ in range(20):
            if self.world.ledger.backlog.doubts.begun:
                self.world.seconds += 60
                await self.world.tick()
        for ino in self.world.held:
            expected = self.world.contents[ino]
            for _ in range(3):
                try:
                    await self.world.fetcher.ensure(ino, 0, len(expected))
                    break
                except (Unavailable, OutOfSpace):
                    continue
            assert self.world.ledger.buffer.read(ino, 0, len(expected)) == expected, Ino(ino)


async def live(capabilities: Capabilities, history: list[tuple[str, Any]]) -> None:
    directory = scratch_directory()
    try:
        world = World(directory / "state", Interfering(capabilities=capabilities))
        machine = Machine(world, world.engine)
        await world.open()
        for step in history:
            await machine.step(step)
        await machine.surviving(machine.finish)
        await machine.finish()
        assert world.engine.collisions == []
        world.drop_everything()
    finally:
        shutil.rmtree(directory)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("capabilities", [NATIVE, PLAIN], ids=["native", "plain"])
@given(history=st.lists(steps, max_size=60))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_engine_ends_as_programs_left_the_tree(capabilities: Capabilities, history: list[tuple[str, Any]]) -> None:
    trio.run(live, capabilities, history)
