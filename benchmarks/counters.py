"""What one operation makes the daemon do: counts, which repeat where times do not.

    python benchmarks/counters.py [--write] [--base DIRECTORY]

On a real mount, by strace(1): requests of the kernel, system calls on files, bytes that went into the journal and into
the event log, calls of the engine.  In this process, on the handlers alone: calls of functions, Python's and C's, the
one count that stands for the processor's time.  ``--write`` makes what was counted the baseline, ``counters.json``;
``tests/mount/test_counters.py`` compares, and fails when a count has grown.

Waiting (poll, epoll, futexes, spins) depends on the clock and is not counted.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import trio
from pyfuse3 import FUSEError

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.operations import BLOCK, Mount, create
from tests.support.rooms import House
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.fuse.adapter import Adapter
from vaultairefs.model.values import ROOT

BASELINE: Final = Path(__file__).with_suffix(".json")
CALLS: Final = 100
WARM_UP: Final = 300
"""Files made before anything is counted: body files lie in 256 directories, and each is made once."""

_ON_FILES: Final = "openat,close,newfstatat,fstat,ftruncate,fdatasync,fsync,pwrite64,pread64,read"
"""Not what is done later, by whoever tidies up: removals of files, renames of checkpoints."""
_LINE: Final = re.compile(r"^\d+ +(\w+)\((?:\w+<([^>]*)>)?.*= (-?\d+)")

Counts = dict[str, dict[str, float]]
"""Operation -> counted thing -> per call of the program."""


def counted(lines: list[str], calls: int) -> dict[str, float]:
    """What strace saw, per call; background work that happens once disappears in the rounding."""
    counts: Counter[str] = Counter()
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        call, path, result = found[1], found[2] or "", int(found[3])
        if call == "read":
            counts["requests"] += "/dev/fuse" in path
            continue
        counts[call] += 1
        if call == "pwrite64":
            for log in ("journal", "events"):
                counts[f"{log} bytes"] += result if f"/{log}/" in path else 0
    digits = {name: 0 if name.endswith("bytes") else 1 for name in counts}
    return {name: rounded for name, count in sorted(counts.items()) if (rounded := round(count / calls, digits[name]))}


class Traced:
    """A mount whose daemon is watched by strace."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.counts: Counts = {}

    def count(self, operation: str, call: Callable[[int], object]) -> None:
        """``call(0..CALLS - 1)``, as one row."""
        log = self.mount.path.parent / "strace"
        engine = self._engine_calls()
        arguments = ["strace", "-f", "-y", "-qq", "-s", "0", "-e", f"trace={_ON_FILES}", "-o", str(log)]
        with subprocess.Popen([*arguments, "-p", str(self.mount.pid)]) as tracer:
            self._wait_until_watched()
            for number in range(CALLS):
                call(number)
            # A release comes behind the close that asked for it.
            time.sleep(0.2)
            tracer.send_signal(signal.SIGINT)
        self.counts[operation] = counted(log.read_text().splitlines(), CALLS)
        self.counts[operation]["engine calls"] = round((self._engine_calls() - engine) / CALLS, 1)

    def _wait_until_watched(self) -> None:
        status = Path(f"/proc/{self.mount.pid}/status")
        while "TracerPid:\t0" in status.read_text():
            time.sleep(0.01)
        time.sleep(0.1)

    def _engine_calls(self) -> int:
        return sum(self.mount.status()["requests"].values())


def count_on_a_mount(base: Path) -> Counts:
    """The operations of a program, each on files of its own."""
    mount = Mount(base, [])
    traced = Traced(mount)
    folder = str(mount.path)
    with mount.mounted():
        for number in range(WARM_UP):
            create(f"{folder}/w{number}")
        traced.count("create, write 4 KiB, close", lambda n: create(f"{folder}/f{n}"))
        traced.count("open, close", lambda n: os.close(os.open(f"{folder}/f{n}", os.O_RDONLY)))
        traced.count("stat of a free name", lambda n: os.access(f"{folder}/none{n}", os.F_OK))
        traced.count("append 4 KiB, fsync", lambda n: _append(f"{folder}/w0"))
        traced.count("rename", lambda n: os.rename(f"{folder}/f{n}", f"{folder}/r{n}"))
        traced.count("mkdir", lambda n: os.mkdir(f"{folder}/d{n}"))
        traced.count("unlink", lambda n: os.unlink(f"{folder}/r{n}"))
        traced.count("chmod", lambda n: os.chmod(f"{folder}/w{n}", 0o600))
    return traced.counts


def _append(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, BLOCK)
    os.fsync(descriptor)
    os.close(descriptor)


async def _count_calls(base: Path) -> dict[str, float]:
    """Calls of functions per call of a handler."""
    house = await House.open(base / "state", MemoryEngine(), clock_ns=lambda: 1_760_000_000_000_000_000)
    adapter: Any = Adapter(house.volume)
    request = SimpleNamespace(pid=os.getpid(), uid=0, gid=0, umask=0o022)
    rows: dict[str, float] = {}
    handles: list[Any] = []
    inos: list[Any] = []

    async def row(name: str, work: Callable[[int], Awaitable[object]]) -> None:
        calls = 0

        def note(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            for number in range(CALLS):
                await work(number)
        finally:
            sys.setprofile(None)
        rows[name] = round(calls / CALLS)

    async def make(number: int) -> None:
        info, entry = await adapter.create(ROOT, b"f%d" % number, 0o644, os.O_WRONLY, request)
        handles.append(info.fh)
        inos.append(entry.st_ino)

    async def ask(number: int) -> None:
        with suppress(FUSEError):
            await adapter.getxattr(ROOT, b"security.selinux", request)

    await adapter.getattr(ROOT, request)
    await row("getxattr of what is not there", ask)
    await row("getattr", lambda n: adapter.getattr(ROOT, request))
    await row("lookup of a free name", lambda n: adapter.lookup(ROOT, b"none%d" % n, request))
    await row("create", make)
    await row("write 4 KiB", lambda n: adapter.write(handles[n], 0, BLOCK))
    await row("flush", lambda n: adapter.flush(handles[n]))
    await row("release", lambda n: adapter.release(handles[n]))
    await row("lookup", lambda n: adapter.lookup(ROOT, b"f%d" % n, request))
    await row("unlink", lambda n: adapter.unlink(ROOT, b"f%d" % n, request))
    await row("forget", lambda n: adapter.forget([(inos[n], 2)]))
    await house.close()
    return rows


def count_in_process(base: Path) -> dict[str, float]:
    """``_count_calls`` in a loop of its own."""
    return trio.run(_count_calls, base)


def count_all(base: Path) -> dict[str, Any]:
    """Everything that is in the baseline."""
    for part in ("mount", "handlers"):
        (base / part).mkdir()
    return {"mount": count_on_a_mount(base / "mount"), "handlers": count_in_process(base / "handlers")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="this is the baseline from now on")
    parser.add_argument("--base", type=Path, help="a directory on the disk to use")
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-bench-", dir=chosen.base))
    try:
        found = count_all(base)
    finally:
        shutil.rmtree(base)
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if chosen.write:
        BASELINE.write_text(text)


if __name__ == "__main__":
    main()
