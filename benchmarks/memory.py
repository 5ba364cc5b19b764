"""What a known entry costs in memory, all rooms together, and what a checkpoint of all of them costs.

    python benchmarks/memory.py [--number N] [--per-container N] [--json FILE] [--base DIRECTORY] [--known] [--owed]

Discovers N clean files in containers, as listings of an engine do, and divides what the process grew by through N.
``--known``: the kernel holds all of them.  ``--owed``: they were made by programs and nothing is flushed.
"resident" is from /proc; "objects" are Python's own, by tracemalloc, and need a second run of the process
(``--objects``), because tracing costs memory itself.
"""

import argparse
import gc
import json
import os
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio

from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.ledger import Ledger
from vaultairefs.model.changes import ArtifactDiscovered, ContainerCreated, FileCreated
from vaultairefs.model.values import ROOT, Attributes, Ino, Kind, Version
from vaultairefs.volume.lives import Lives

_BEGUN_NS = 1_760_000_000_000_000_000


def resident_bytes() -> int:
    """The process' resident memory (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def attributes(kind: Kind, number: int) -> Attributes:
    """As an engine gives them: times that differ, an owner of its own."""
    born = _BEGUN_NS + number * 1_234_567
    return Attributes(kind, 0o644, 1000, 1000, born, born + 1, born + 2)


def populate(ledger: Ledger, lives: Lives, chosen: argparse.Namespace) -> None:
    """N files, one after another."""
    namespace, home = ledger.namespace, ROOT
    for number in range(chosen.number):
        if number % chosen.per_container == 0:
            home = namespace.allocate()
            ledger.commit(ContainerCreated(home, ROOT, b"folder-%06d" % number, attributes(Kind.CONTAINER, number)))
        ino, name = namespace.allocate(), b"file-%07d.dat" % number
        born = attributes(Kind.FILE, number)
        if chosen.owed:
            ledger.commit(FileCreated(ino, home, name, born))
        else:
            version = Version(f"{number:032x}")
            ledger.commit(ArtifactDiscovered(ino, home, name, born, 1000 + number, version))
        if chosen.known:
            lives.remember(_same(ledger, home, name))


def _same(ledger: Ledger, home: Ino, name: bytes) -> Ino:
    children = ledger.namespace.get(home).children
    assert children is not None
    return children[name]


async def longest_stall(work: Callable[[], Awaitable[object]]) -> float:
    """For how long, in seconds, the loop did not turn at worst while ``work`` was done."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await trio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await work()
        nursery.cancel_scope.cancel()
    return longest


async def measure(base: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    state = StateDirectory.open(base / "state", "memory:")
    ledger = await Ledger.open(state, buffer_size=1 << 40, checkpoint_bytes=1 << 40)
    lives = Lives(ledger)
    gc.collect()
    if chosen.objects:
        tracemalloc.start()
    before, began = resident_bytes(), time.process_time()
    populate(ledger, lives, chosen)
    gc.collect()
    grown, seconds = resident_bytes() - before, time.process_time() - began
    if chosen.objects:
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    began = time.process_time()
    gc.collect()
    collected = time.process_time() - began
    began = time.process_time()
    await ledger.checkpoint()
    here = time.process_time() - began
    ledger.commit(ContainerCreated(ledger.namespace.allocate(), ROOT, b"one more", attributes(Kind.CONTAINER, 0)))
    began = time.perf_counter()
    stall = await longest_stall(ledger.checkpoint_elsewhere)
    elsewhere = time.perf_counter() - began
    return {
        "entries": chosen.number,
        "per_container": chosen.per_container,
        "owed": chosen.owed,
        "known": chosen.known,
        "measure": "objects" if chosen.objects else "resident",
        "bytes_per_entry": round(grown / chosen.number, 1),
        "cpu_us_per_entry": round(seconds / chosen.number * 1e6, 1),
        "gc_seconds": round(collected, 4),
        "checkpoint_here_cpu_seconds": round(here, 3),
        "checkpoint_elsewhere_seconds": round(elsewhere, 3),
        "longest_stall_meanwhile_seconds": round(stall, 4),
        "longest_stall_in_idle_seconds": round(await longest_stall(partial(trio.sleep, elsewhere)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=1_000_000)
    parser.add_argument("--per-container", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--base", type=Path, help="a directory on the disk to use")
    parser.add_argument("--known", action="store_true", help="as if the kernel held all of them")
    parser.add_argument("--owed", action="store_true", help="made by programs, nothing flushed")
    parser.add_argument("--objects", action="store_true", help="count Python's objects instead of resident memory")
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-bench-", dir=chosen.base))
    try:
        found = trio.run(measure, base, chosen)
    finally:
        shutil.rmtree(base)
    print(json.dumps(found, indent=1))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
