"""P1 and P11 under real programs: kill -9 of the daemon at any moment, on every engine, loses nothing of what they were
told is done; what is drained afterwards is in the store, and a fresh state directory shows the same.

The store may die as well, before or after the daemon, and the next daemon may be killed in the middle of its recovery.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.crash.labourers import Labourers
from tests.crash.relay import Relay
from tests.support import stores
from tests.support.daemon import SECONDS_MAX, Daemon, workshop
from tests.support.manifests import differences, manifest
from tests.support.stored import shown, stored, unlike
from vaultairefs.control import client

DYING = Path(__file__).parent / "dying_launcher.py"
STEPS_MAX = 160
CALLS_MAX = 400
"""Of a recovery; most take fewer, and die right after it then."""
ROUNDS = 10
"""Of one test that runs with ``--slow``."""
SETTLED = 5
"""Rounds after which the store is looked at, too; in between the volume goes from crash to crash."""


class Rounds:
    """One volume, and what happens to it again and again; each round has a seed and a folder of its own."""

    def __init__(self, daemon: Daemon, server: stores.Server | None, relay: Relay | None) -> None:
        self.daemon, self.server, self.relay = daemon, server, relay
        self._options = list(daemon.options)

    def run(self, seed: int, *, again: int = 0) -> None:
        """One round; ``again`` is how often the next daemon dies while it recovers."""
        source = random.Random(seed)
        self._mount(source)
        place = self.daemon.mountpoint / f"round{seed}"
        place.mkdir()
        labourers = Labourers(place, seed)
        labourers.wait_for(source.randrange(1, STEPS_MAX))
        store_dies_first = source.random() < 0.5
        if self.relay is not None and store_dies_first:
            self.relay.die()
            labourers.wait_for(labourers.steps + source.randrange(STEPS_MAX))
        self.daemon.kill()
        labourers.finish()
        if self.relay is not None:
            if not store_dies_first:
                self.relay.die()
            self.relay.start()
        for _ in range(again):
            self._die_while_recovering(source.randrange(1, CALLS_MAX))
        self._mount(source)
        failures = [
            f"round {seed}, {program}: {verdict}"
            for program, verdict in labourers.verdicts("written", "synced").items()
            if verdict.found < verdict.acknowledged or verdict.complaints
        ]
        assert not failures, "\n".join(failures)

    def _mount(self, source: random.Random) -> None:
        """Killed in the middle of its flushes, or before it has flushed anything."""
        if not self.daemon.mountpoint.is_mount():
            self.daemon.options = [*self._options, f"flush_delay={source.choice(['0.05', '600'])}"]
            self.daemon.mount()

    def _die_while_recovering(self, calls: int) -> None:
        options = ",".join([*self.daemon.options, f"state={self.daemon.state}"])
        command = [sys.executable, str(DYING), str(calls), "mount", self.daemon.spec, str(self.daemon.mountpoint)]
        done = subprocess.run([*command, "-o", options], capture_output=True, timeout=SECONDS_MAX)
        if done.returncode == 0:
            self.daemon.end()
        else:
            assert b"died during its start" in done.stderr, done.stderr
            self.daemon.detach()

    def settle(self) -> None:
        """Drain; the store must hold what the mount shows, and a fresh state directory show the same."""
        self.daemon.flush()
        status = self.daemon.status()
        assert status["flush_errors"] == []
        assert status["conflicts"] == status["quarantined"] == 0
        seen, names = shown(self.daemon.mountpoint), manifest(self.daemon.mountpoint)
        self.daemon.umount()
        assert unlike(seen, stored(self.daemon, self.server)) == []
        self.daemon.forget_state()
        self.daemon.mount()
        assert differences(names, manifest(self.daemon.mountpoint)) == []
        for place in self.daemon.mountpoint.iterdir():
            shutil.rmtree(place)


class Asked(Daemon):
    """A daemon whose status is asked for at its socket, which costs no start of a program."""

    def status(self) -> dict[str, Any]:
        return client.ask(self.state, "status", timeout_seconds=SECONDS_MAX)


class Scene(NamedTuple):
    """Where the rounds are, whether the store dies too, and how often the next daemon dies while it recovers."""

    store: str
    store_dies: bool = False
    again: int = 0

    @property
    def id(self) -> str:
        words = ["the store too"] * self.store_dies + ["recovery too"] * bool(self.again)
        return ", ".join([self.store, *words])


QUICK = (Scene("local", again=2), Scene("moto"), Scene("moto", store_dies=True, again=1))
SLOW = (
    *QUICK,
    Scene("local"),
    Scene("moto", store_dies=True, again=2),
    Scene("ceph", again=2),
    Scene("ceph", store_dies=True, again=1),
)
SLOW_CHUNKS = 3

CASES = [pytest.param(scene, range(1, 2), id=scene.id) for scene in QUICK] + [
    pytest.param(scene, range(first, first + ROUNDS), id=f"{scene.id}, {first}", marks=pytest.mark.slow)
    for scene in SLOW
    for first in range(100, 100 + SLOW_CHUNKS * ROUNDS, ROUNDS)
]


@contextmanager
def volume(scene: Scene) -> Iterator[Rounds]:
    with workshop() as base, stores.store(scene.store) as server:
        relay = Relay(server.endpoint_url) if server is not None and scene.store_dies else None
        behind = (
            server._replace(endpoint_url=relay.endpoint_url) if server is not None and relay is not None else server
        )
        daemon = Asked(base, server=behind)
        try:
            yield Rounds(daemon, server, relay)
        finally:
            daemon.end()
            if relay is not None:
                relay.die()


@pytest.mark.parametrize(("scene", "seeds"), CASES)
def test_kill_9_under_programs_loses_nothing_that_they_were_told_is_done(scene: Scene, seeds: range) -> None:
    with volume(scene) as rounds:
        for seed in seeds:
            rounds.run(seed, again=scene.again)
            if seed % SETTLED == 0 or seed == seeds[-1]:
                rounds.settle()
        rounds.daemon.umount()
