"""Whatever a power cut leaves of the local disk, and whenever: the promises hold, also when it fails once more."""

import shutil
from pathlib import Path
from random import Random

import pytest
import trio

from tests.crash.crash_history import CrashHistory, without_threads
from tests.crash.crash_judging import Judge
from tests.support.ledgers import scratch_directory

STEPS, CUT_AGAIN = 30, 8
"""In a history; of how many cases one is cut again while it recovers."""


async def judged(seed: int, base: Path, patch: pytest.MonkeyPatch, *, every: int, states: int) -> Judge:
    """Judge all cases at each ``every``-th point of a history."""
    history = CrashHistory(base / "history", seed, patch)
    await history.live(STEPS)
    judge, random = Judge(history, base), Random(seed)
    for case in judge.cases(iter(range(random.randrange(every), len(history.disk.ops) + 1, every)), random, states):
        if random.randrange(CUT_AGAIN) == 0:
            wrong = await judge.judge_twice(case, random, patch)
        else:
            wrong = await judge.judge(case)
        assert not wrong, f"seed {seed}, {case}: {wrong}"
    return judge


def run(seed: int, patch: pytest.MonkeyPatch, *, every: int, states: int) -> Judge:
    base = scratch_directory()
    try:
        with patch.context() as inside:
            without_threads(inside)
            return trio.run(lambda: judged(seed, base, inside, every=every, states=states))
    finally:
        shutil.rmtree(base)


def report(judges: list[Judge]) -> None:
    points, tried, again = (sum(getattr(judge, what) for judge in judges) for what in ("points", "tried", "again"))
    print(f"{len(judges)} histories, {points} crash points, {tried} disks, {again} of them cut twice")
    assert points > 0 and tried > points and again > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, 24, 6))
def test_the_promises_hold_at_every_third_crash_point(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report([run(seed, monkeypatch, every=3, states=5) for seed in range(first, first + 6)])


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("first", range(100, 128, 7))
def test_the_promises_hold_at_every_crash_point_of_more_histories(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    report([run(seed, monkeypatch, every=1, states=8) for seed in range(first, first + 7)])
