"""The garbage collector looks at what lives long once, and not again when that took long."""

import gc
from collections.abc import Iterator

import pytest

from vaultairefs.app import collecting
from vaultairefs.app.collecting import STALL_SECONDS, Watch


@pytest.fixture(autouse=True)
def everything_is_looked_at_again() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """What the clock says next."""
    times: list[float] = []
    monkeypatch.setattr(collecting.time, "perf_counter", lambda: times.pop(0))
    yield times
    assert times == []


def collected(clock: list[float], seconds: float, generation: int = 2) -> int:
    """How many objects are set aside after a collection that took so long."""
    clock += [10.0, 10.0 + seconds] if generation == 2 else []
    watch = Watch()
    for phase in ("start", "stop"):
        watch(phase, {"generation": generation})
    return gc.get_freeze_count()


def test_a_short_collection_sets_nothing_aside(clock: list[float]) -> None:
    assert collected(clock, STALL_SECONDS / 2) == 0


def test_a_long_collection_is_the_last_to_look_at_what_it_saw(clock: list[float]) -> None:
    assert collected(clock, STALL_SECONDS * 2) > 1000


def test_only_full_collections_are_judged(clock: list[float]) -> None:
    assert collected(clock, STALL_SECONDS * 2, generation=1) == 0


def test_the_watch_is_called_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    before, thresholds = list(gc.callbacks), gc.get_threshold()
    monkeypatch.setattr(collecting, "STALL_SECONDS", -1.0)
    try:
        collecting.keep_short()
        gc.collect()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.callbacks[:] = before
        gc.set_threshold(*thresholds)
