"""What one small operation costs the daemon: CPU of its process per call of a program, flusher quiet.

    python benchmarks/operations.py [--number N] [--clients N] [--json FILE] [--base DIRECTORY] [--option k=v ...]

Mounts a fresh volume over a local engine, runs each operation N times from one process or from several at once, and
reads the daemon's user and system time from /proc before and after.  With one client the time includes the daemon's
short spins, sleeps and wake-ups between the requests of a synchronous program; with several there is always a request
waiting, and what is left is the work itself.  "requests" is what reached the daemon per call, counted by its event
log.  Numbers of a busy machine are worth little; compare rows of one run, or runs of one hour.
"""

import argparse
import ctypes
import json
import mmap
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

COMMAND: Final = Path(sys.executable).with_name("vaultairefs")
BLOCK: Final = bytes(range(256)) * 16
TICKS: Final = os.sysconf("SC_CLK_TCK")
QUIET: Final = ("flush_delay=1h", "ttl=1h")
_AT_EMPTY_PATH: Final = 0x1000
_AT_STATX_FORCE_SYNC: Final = 0x2000
_STATX_BASIC_STATS: Final = 0x7FF

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Row(NamedTuple):
    """One operation; microseconds are per call."""

    operation: str
    calls: int
    cpu_us: float
    user_us: float
    elapsed_us: float
    requests: float


class Mount:
    """One mounted volume, measured from outside."""

    def __init__(self, base: Path, options: list[str], clients: int = 1) -> None:
        self.clients = clients
        self.path = base / "mount"
        self.engine = base / "engine"
        self.state = base / "state"
        self.options = [*QUIET, f"state={self.state}", *options]
        self.path.mkdir()
        self.engine.mkdir()
        self.rows: list[Row] = []

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Until the end of the block; nothing is drained."""
        _run("mount", f"file://{self.engine}", str(self.path), "-o", ",".join(self.options))
        try:
            self.pid = int(self.status()["pid"])
            yield
        finally:
            _run("umount", str(self.path), "--no-drain")

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(_run("status", str(self.path), "--json"))
        return answer

    def measure(self, operation: str, calls: int, call: Callable[[int], object]) -> None:
        """``call(0..calls - 1)``, shared among the clients, as one row."""
        events = self.status()["event_sequence"]
        user, system, began = *cpu_seconds(self.pid), time.perf_counter()
        if self.clients == 1:
            for number in range(calls):
                call(number)
        else:
            _in_turns(self.clients, calls, call)
        elapsed, (user_after, system_after) = time.perf_counter() - began, cpu_seconds(self.pid)
        requests = self.status()["event_sequence"] - events
        used = user_after - user
        cpu = used + system_after - system
        micro = 1e6 / calls
        self.rows.append(Row(operation, calls, cpu * micro, used * micro, elapsed * micro, requests / calls))


def _in_turns(clients: int, calls: int, call: Callable[[int], object]) -> None:
    """``call`` in ``clients`` processes at once, each with every so-manieth number."""
    children = [multiprocessing.Process(target=_every, args=(first, clients, calls, call)) for first in range(clients)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise ChildProcessError(f"a client ended with status {child.exitcode}")


def _every(first: int, step: int, calls: int, call: Callable[[int], object]) -> None:
    for number in range(first, calls, step):
        call(number)


def _run(*arguments: str) -> str:
    return subprocess.run([COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and system time of the process (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def create(path: str) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(descriptor, BLOCK)
    os.close(descriptor)


def _open_close(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def measure_first_mount(mount: Mount, number: int) -> None:
    """What needs no cold kernel."""
    folder = str(mount.path)
    mount.measure("negative lookup", number, lambda n: os.access(f"{folder}/none{n}", os.F_OK))
    mount.measure("create, write 4 KiB, close", number, lambda n: create(f"{folder}/f{n}"))
    mount.measure("open, close", number, lambda n: _open_close(f"{folder}/f{n}"))
    big = os.open(f"{folder}/big", os.O_CREAT | os.O_RDWR, 0o644)
    buffer = ctypes.create_string_buffer(256)

    def getattr(_: int) -> None:
        if _libc.statx(big, b"", _AT_EMPTY_PATH | _AT_STATX_FORCE_SYNC, _STATX_BASIC_STATS, buffer):
            raise OSError(ctypes.get_errno(), "statx")

    mount.measure("getattr", number, getattr)
    mount.measure("write 4 KiB", number, lambda n: os.pwrite(big, BLOCK, n * len(BLOCK)))
    os.close(big)
    direct = os.open(f"{folder}/big", os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, len(BLOCK))
    mount.measure("read 4 KiB", number, lambda n: os.preadv(direct, [page], n * len(BLOCK)))
    os.close(direct)
    idle_seconds = 2
    mount.measure(f"one idle second, {number} files owed", idle_seconds, lambda _: time.sleep(1))


def measure_second_mount(mount: Mount, number: int) -> None:
    """What needs a kernel that has seen no name."""
    folder = str(mount.path)
    mount.measure("lookup", number, lambda n: os.stat(f"{folder}/f{n}"))
    mount.measure("unlink", number, lambda n: os.unlink(f"{folder}/f{n}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=1, help="processes that work at once")
    parser.add_argument("--json", type=Path, help="write the rows and the circumstances there")
    parser.add_argument("--base", type=Path, help="a directory on the disk to measure")
    parser.add_argument("--option", action="append", default=[], help="one more option of the mount")
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-bench-", dir=chosen.base))
    try:
        mount = Mount(base, chosen.option, chosen.clients)
        with mount.mounted():
            measure_first_mount(mount, chosen.number)
        with mount.mounted():
            measure_second_mount(mount, chosen.number)
    finally:
        shutil.rmtree(base)
    load = os.getloadavg()[0]
    print(f"load {load:.1f}, {os.cpu_count()} processors, Linux {platform.release()}", end=", ")
    print(f"Python {platform.python_version()}, {chosen.clients} clients")
    print(f"{'µs per call':36}{'daemon CPU':>11}{'user':>9}{'elapsed':>10}{'requests':>10}")
    for row in mount.rows:
        print(f"{row.operation:36}{row.cpu_us:11.1f}{row.user_us:9.1f}{row.elapsed_us:10.1f}{row.requests:10.2f}")
    if chosen.json is not None:
        chosen.json.write_text(
            json.dumps(
                {"load": load, "clients": chosen.clients, "rows": [row._asdict() for row in mount.rows]}, indent=1
            )
        )


if __name__ == "__main__":
    main()
