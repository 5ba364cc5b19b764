"""One volume under soak: mounted on its store, worked on by hands and readers, sampled, drained, and compared.

Promise: a soak ends with the store's own bytes, read past the mount, compared with what the hands know must be there;
nothing of it is left mounted or running.  Which faults the network has is the caller's plan.
"""

import os
import shutil
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.soak.hands import DATABASE, ROWS_MAX, Hand, Reader, row
from benchmarks.soak.sampling import Sampler, judge
from tests.support.daemon import Daemon
from tests.support.stored import shown, stored, stored_bytes, unlike
from tests.support.stores import Server
from vaultairefs.control import client

FAULTS: Final = ("500", "503", "slow down", "reset", "applied and reset", "applied and 503", "truncated", "stalled")
"""Those of ``tests/support/fault_proxy.py`` that come from time to time and deny nothing."""
OPTIONS: Final = ("buffer_size=64M", "chunk_size=5M", "flush_delay=0.5")

_LOOK_SECONDS: Final = 0.2


class Load(NamedTuple):
    """How much is done: ``pace`` is operations of each hand a second."""

    hands: int = 4
    readers: int = 2
    pace: float = 2.0
    interval_seconds: float = 10.0
    seed: int = 1


class Soak:
    """One volume.  ``start``, some time, ``stop``, ``check``; ``report`` at any time after ``start``."""

    def __init__(self, daemon: Daemon, mirror: Path, load: Load, server: Server | None) -> None:
        self._daemon, self._mirror, self._server = daemon, mirror, server
        self.end = threading.Event()
        self.complaints: list[str] = []
        self._sampler = Sampler(daemon.state, load.interval_seconds, self.end)
        seeds = range(load.seed * 1000, load.seed * 1000 + load.hands)
        places = [(daemon.mountpoint / f"hand{seed}", mirror / f"hand{seed}") for seed in seeds]
        self._hands = [
            Hand(*place, seed, load.pace, self.end, self._evict) for seed, place in zip(seeds, places, strict=True)
        ]
        folders = [mount for mount, _ in places]
        self._readers = [Reader(folders, seed, load.pace, self.end) for seed in range(load.readers)]

    def start(self) -> None:
        self._mirror.mkdir()
        self._daemon.mount()
        for thread in self._threads():
            thread.start()

    def wait_for(self, operations: int) -> None:
        """Until the hands have done so many, or something has failed."""
        while not self.end.is_set() and sum(hand.done.total() for hand in self._hands) < operations:
            self.end.wait(_LOOK_SECONDS)

    def stop(self) -> None:
        """Until everybody has finished what he was about."""
        self.end.set()
        for thread in self._threads():
            thread.join()
            if thread.failure is not None:
                self.complaints.append(f"{thread.name}: {thread.failure!r}")

    def check(self) -> None:
        """Drain, unmount, and compare; a fresh state directory must show the same.  No faults any more by now."""
        self._daemon.flush()
        self.complaints += [f"flush error: {words}" for words in self._daemon.status()["flush_errors"]]
        seen = shown(self._daemon.mountpoint)
        self._daemon.umount()
        self._compare("store", seen, stored(self._daemon, self._server))
        self._compare("mirror", shown(self._mirror), {k: v for k, v in seen.items() if not of_sqlite(k)})
        self._check_databases(seen)
        self._daemon.forget_state()
        self._daemon.mount()
        self._compare("fresh state", seen, shown(self._daemon.mountpoint))
        self._daemon.umount()

    def report(self) -> dict[str, Any]:
        done: Counter[str] = Counter()
        for worker in (*self._hands, *self._readers):
            done.update(worker.done)
        samples = list(self._sampler.samples)
        trends = judge(samples) if len(samples) > 8 else {}
        return {"done": done, "complaints": self.complaints, "trends": trends, "samples": samples}

    def _threads(self) -> list[Any]:
        return [*self._hands, *self._readers, self._sampler]

    def _evict(self, path: Path) -> None:
        client.ask(self._daemon.state, "evict", timeout_seconds=120, ino=os.lstat(path).st_ino)

    def _compare(self, what: str, expected: dict[str, str], found: dict[str, str]) -> None:
        self.complaints += [f"{what}: {line}" for line in unlike(expected, found)]

    def _check_databases(self, seen: dict[str, str]) -> None:
        """As a program finds them that copies them out of the store."""
        for hand in self._hands:
            copy = self._mirror.with_name("databases") / hand.mount.name
            copy.mkdir(parents=True)
            for name in seen:
                if name.startswith(f"{hand.mount.name}/{DATABASE}"):
                    (copy / Path(name).name).write_bytes(stored_bytes(self._daemon, self._server, name))
            database = sqlite3.connect(copy / DATABASE)
            if database.execute("pragma integrity_check").fetchall() != [("ok",)]:
                self.complaints.append(f"{copy}: not whole")
            rows = database.execute("select * from line order by number").fetchall()
            database.close()
            first = max(0, hand.rows - ROWS_MAX)
            if [line for line in rows if line[0] >= first] != [row(number) for number in range(first, hand.rows)]:
                self.complaints.append(f"{copy}: a row is not what was committed")
            shutil.rmtree(copy)


def of_sqlite(name: str) -> bool:
    return Path(name).name.startswith(DATABASE)
