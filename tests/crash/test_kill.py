"""P1: kill -9 of the daemon at any moment loses nothing that had returned, and the event log has no gap."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.checking import Observed, complaints
from tests.crash.conftest import Crew
from tests.support.daemon import Daemon
from tests.support.manifests import differences, manifest

WRITERS = 4
STEPS_BEFORE_THE_KILL = 600


@pytest.fixture(params=["flush_delay=0.05", "flush_delay=600", "flush_delay=0.05,passthrough=auto"])
def daemon(base: Path, request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """One that is killed in the middle of its flushes, one that has flushed nothing yet, and one whose files the kernel
    writes where it can."""
    daemon = Daemon(base, options=[request.param])
    daemon.mount()
    try:
        yield daemon
    finally:
        daemon.end()


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(2, id="few"), pytest.param(40, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_kill_9_loses_nothing_that_had_returned(daemon: Daemon, rounds: int) -> None:
    (daemon.mountpoint / "work").mkdir()
    for number in range(rounds):
        place = daemon.mountpoint / "work" / f"round{number}"
        place.mkdir()
        crew = Crew(place, range(number * WRITERS, (number + 1) * WRITERS))
        crew.wait_for(STEPS_BEFORE_THE_KILL)
        daemon.kill()
        crew.finish()
        daemon.mount()
        for writer in crew.writers:
            found = complaints(Observed(writer.folder), writer.seed, writer.begun, writer.done)
            assert not found, "\n".join(found)
    recovered = manifest(daemon.mountpoint / "work")
    events = daemon.events()
    daemon.umount()
    assert differences(recovered, manifest(daemon.engine / "work")) == []
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
