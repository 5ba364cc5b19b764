"""What could grow while a daemon lives: looked at from outside, kept as rows, judged as slopes.

Promise: a sample costs the daemon one ``status``; numbers are bytes and counts as proc(5) and stat(2) give them.
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vaultairefs.control import client

Sample = dict[str, float]
GROWING: Final = ("rss_bytes", "worker_rss_bytes", "descriptors", "worker_descriptors", "threads", "journal_bytes")
WARM_UP_SHARE: Final = 0.25
_TELLS: Final = ("dirty_artifacts", "dirty_bytes", "cached_bytes", "inodes", "flushed_artifacts", "conflicts")


class Sampler(threading.Thread):
    """Looks at the daemon of ``state`` every ``interval_seconds`` until ``end``; ``samples`` is what it saw."""

    def __init__(self, state: Path, interval_seconds: float, end: threading.Event) -> None:
        super().__init__(name=f"sampler of {state}")
        self.samples: list[Sample] = []
        self.failure: Exception | None = None
        self._state, self._interval, self._end = state, interval_seconds, end
        self._began = time.monotonic()

    def run(self) -> None:
        try:
            while not self._end.wait(self._interval):
                self.samples.append({"seconds": time.monotonic() - self._began, **look(self._state)})
        except Exception as error:
            self.failure = error
            self._end.set()


def look(state: Path) -> Sample:
    """One sample of the daemon that serves this state directory, and of its engine worker if there is one."""
    told: dict[str, Any] = client.ask(state, "status", timeout_seconds=120)
    sample: Sample = {name: float(told[name]) for name in _TELLS}
    sample |= {"flush_errors": float(len(told["flush_errors"])), **_process(int(told["pid"]), "")}
    worker = told["worker"] and told["worker"]["pid"]
    if worker:
        sample |= _process(int(worker), "worker_")
        sample["worker_restarts"] = float(told["worker"]["restarts"])
    return sample | {f"{name}_bytes": _disk_bytes(state / name) for name in ("journal", "bodies", "events")}


def _process(pid: int, prefix: str) -> Sample:
    place = Path(f"/proc/{pid}")
    told = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    clock = (place / "stat").read_text().rpartition(")")[2].split()
    return {
        f"{prefix}rss_bytes": float(int(told["VmRSS"].split()[0]) << 10),
        f"{prefix}peak_bytes": float(int(told["VmHWM"].split()[0]) << 10),
        f"{prefix}threads": float(told["Threads"]),
        f"{prefix}descriptors": float(len(os.listdir(place / "fd"))),
        f"{prefix}processor_seconds": (int(clock[11]) + int(clock[12])) / os.sysconf("SC_CLK_TCK"),
    }


def _disk_bytes(folder: Path) -> float:
    """Blocks that the files there take; one that goes meanwhile takes none."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks << 9
            except FileNotFoundError:
                continue
    return float(total)


def judge(samples: list[Sample]) -> dict[str, dict[str, float]]:
    """For each thing that could grow, after the warm-up: least, most, and what a line through it gains in an hour.

    ``early`` and ``late`` are the medians of the first and the last third.
    """
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    return {name: _trend(warm, name) for name in GROWING if all(name in sample for sample in warm)}


def _trend(samples: list[Sample], name: str) -> dict[str, float]:
    values, third = [sample[name] for sample in samples], max(len(samples) // 3, 1)
    slope = statistics.linear_regression([sample["seconds"] for sample in samples], values).slope
    return {
        "least": min(values),
        "most": max(values),
        "early": statistics.median(values[:third]),
        "late": statistics.median(values[-third:]),
        "per_hour": slope * 3600,
    }


def write(path: Path, make: Callable[[], dict[str, Any]]) -> None:
    """Keep what there is so far; a reader finds the old or the new file."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(make(), indent=1))
    os.replace(beside, path)
