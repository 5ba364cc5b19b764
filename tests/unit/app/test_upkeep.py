"""What an engine puts off is done now and then and at the end, and nothing depends on it."""

from typing import cast

import trio
import trio.testing

from vaultairefs.app import upkeep
from vaultairefs.engine.interface import Capabilities, Engine
from vaultairefs.model.errors import Unavailable


class PuttingOff:
    """Answers ``upkeep`` by the list, over and over its last entry; an error is raised."""

    def __init__(self, *answers: float | Exception | None, able: bool = True) -> None:
        self.capabilities = Capabilities(upkeep=able)
        self.answers = list(answers)
        self.calls: list[tuple[float, bool]] = []

    async def upkeep(self, *, everything: bool) -> float | None:
        self.calls.append((trio.current_time(), everything))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if everything and answer is not None:
            await trio.sleep(answer)
        return answer


def times(engine: PuttingOff) -> list[float]:
    began = engine.calls[0][0]
    return [at - began for at, _ in engine.calls]


async def test_upkeep_goes_on_after_a_failure_and_comes_when_the_engine_asks_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    engine = PuttingOff(Unavailable("away"), 2.0, 0.1, None)
    with trio.move_on_after(14):
        await upkeep.keep_up(cast(Engine, engine))
    assert times(engine) == [0, 5, 7, 8, 13]


async def test_an_engine_that_puts_nothing_off_is_not_woken(autojump_clock: trio.testing.MockClock) -> None:
    engine = PuttingOff(None, able=False)
    await upkeep.keep_up(cast(Engine, engine))
    await upkeep.finish(cast(Engine, engine), trio.current_time() + 100)
    assert engine.calls == []


async def test_the_end_of_a_mount_waits_for_it_and_not_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    for answer, deadline, expected in ((2.5, 100, 2.5), (1000.0, 100, 15.0), (1000.0, 3, 3.0)):
        engine, began = PuttingOff(answer), trio.current_time()
        await upkeep.finish(cast(Engine, engine), began + deadline)
        assert trio.current_time() - began == expected and engine.calls[0][1]
    failing = PuttingOff(Unavailable("away"))
    await upkeep.finish(cast(Engine, failing), trio.current_time() + 100)
    assert len(failing.calls) == 1
