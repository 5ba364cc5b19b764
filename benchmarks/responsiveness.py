"""How long programs wait for the mount while it flushes at full speed, with the engine in a worker and in the daemon.

    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... python benchmarks/responsiveness.py s3://BUCKET/PREFIX \
        -o endpoint_url=http://... [--bytes 2147483648] [--small 1000] [--rounds 3] [--output FILE.json]

Each round mounts with ``worker=on``, then with ``worker=off``.  A mount is first idle: this process asks for the
attributes of files (past the kernel's cache: statx(2) with AT_STATX_FORCE_SYNC) and creates empty ones, in turn, and
measures each.  It does the same while one large file is flushed.  Then
``--small`` files of 4 KiB are flushed with nobody else at work, which tells the daemon's CPU for each request.

CPU is from /proc, of the daemon and of its worker.  The store works on the same machine: mind its load.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("vaultairefs")
IDLE_SECONDS = 10.0
FILES = 200
PIECE = 1 << 20
AT_FDCWD = -100
AT_STATX_FORCE_SYNC = 0x2000
STATX_BASIC_STATS = 0x7FF
_libc = ctypes.CDLL(None, use_errno=True)
_answer = ctypes.create_string_buffer(256)


def ask_attributes(path: bytes) -> None:
    if _libc.statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, _answer) != 0:
        raise OSError(ctypes.get_errno(), "statx")


def create(path: bytes) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def ask_and_create(folder: Path, prefix: str, number: int, taken: dict[str, list[float]]) -> None:
    """One of each.  What is created goes again, so that the flusher has nothing else in hand than the large file."""
    known, new = os.fsencode(folder / f"known{number % FILES}"), os.fsencode(folder / f"{prefix}{number}")
    for operation, call, path in (("getattr", ask_attributes, known), ("create", create, new)):
        began = time.perf_counter()
        call(path)
        taken[operation].append((time.perf_counter() - began) * 1e6)
    os.unlink(new)


def measured(folder: Path, prefix: str, is_over: Callable[[], bool]) -> dict[str, Any]:
    """Latencies of both operations until it is over, in microseconds."""
    taken: dict[str, list[float]] = {"getattr": [], "create": []}
    number = 0
    while not is_over():
        ask_and_create(folder, prefix, number, taken)
        number += 1
    return {operation: summary(values) for operation, values in taken.items()}


def summary(values: list[float]) -> dict[str, float]:
    values.sort()
    return {
        "count": len(values),
        "p50_us": round(values[len(values) // 2], 1),
        "p99_us": round(values[len(values) * 99 // 100], 1),
        "p999_us": round(values[len(values) * 999 // 1000], 1),
        "max_us": round(values[-1], 1),
    }


class Mount:
    """One mount with a fresh state directory."""

    def __init__(self, base: Path, spec: str, options: list[str]) -> None:
        self.path = base / "mount"
        self.path.mkdir()
        words = ",".join([*options, f"state={base / 'state'}", "supervise=off"])
        subprocess.run([COMMAND, "mount", spec, self.path, "-o", words], check=True)

    def status(self) -> dict[str, Any]:
        done = subprocess.run([COMMAND, "status", self.path, "--json"], check=True, capture_output=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def cpu_seconds(self) -> dict[str, float]:
        status = self.status()
        pids = {"daemon": status["pid"], "worker": (status["worker"] or {"pid": 0})["pid"]}
        return {name: _cpu_of(pid) if pid else 0.0 for name, pid in pids.items()}

    def flush(self, path: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([COMMAND, "flush", path])


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def mounted(spec: str, options: list[str]) -> Iterator[Mount]:
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-bench-"))
    try:
        mount = Mount(base, spec, options)
        try:
            yield mount
        finally:
            subprocess.run([COMMAND, "umount", "--no-drain", mount.path], check=True)
    finally:
        shutil.rmtree(base)


def spent(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: round(after[name] - before[name], 2) for name in before}


def one(spec: str, options: list[str], size: int, small: int) -> dict[str, Any]:
    with mounted(spec, [*options, "flush_delay=1h"]) as mount:
        folder = mount.path / "responsiveness"
        folder.mkdir()
        for number in range(FILES):
            create(os.fsencode(folder / f"known{number}"))
        with (mount.path / "large").open("wb", buffering=0) as file:
            for _ in range(size // PIECE):
                file.write(os.urandom(PIECE))
        until = time.monotonic() + IDLE_SECONDS
        idle = measured(folder, "idle", lambda: time.monotonic() > until)
        before, began = mount.cpu_seconds(), time.perf_counter()
        with mount.flush(mount.path / "large") as flushing:
            busy = measured(folder, "busy", lambda: flushing.poll() is not None)
        elapsed, cpu = time.perf_counter() - began, spent(before, mount.cpu_seconds())
    return {
        "idle": idle,
        "flushing": busy,
        "flush_seconds": round(elapsed, 2),
        "mib_s": round(size / elapsed / 2**20, 1),
        "cpu_seconds": cpu,
        "small": flush_small(spec, options, small),
    }


def flush_small(spec: str, options: list[str], count: int) -> dict[str, Any]:
    with mounted(spec, [*options, "flush_delay=1h", "flush_workers=16"]) as mount:
        folder = mount.path / "small"
        folder.mkdir(exist_ok=True)
        for number in range(count):
            (folder / f"{time.time_ns()}-{number}").write_bytes(os.urandom(4096))
        before, began = mount.cpu_seconds(), time.perf_counter()
        mount.flush(folder).wait()
        elapsed, cpu = time.perf_counter() - began, spent(before, mount.cpu_seconds())
    each = {f"{name}_us_per_file": round(seconds / count * 1e6) for name, seconds in cpu.items()}
    return {"files_s": round(count / elapsed), **each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("-o", dest="options", action="append", default=[])
    parser.add_argument("--bytes", type=int, default=2 << 30)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    rounds = []
    for number in range(chosen.rounds):
        for worker in ("on", "off"):
            spec = f"{chosen.spec}/{os.getpid()}-{number}-{worker}"
            found = one(spec, [*chosen.options, f"worker={worker}"], chosen.bytes, chosen.small)
            rounds.append({"worker": worker, "load": os.getloadavg()[0], **found})
            print(json.dumps(rounds[-1]), flush=True)
    report = {"processors": os.cpu_count(), "kernel": os.uname().release, "bytes": chosen.bytes, "rounds": rounds}
    if chosen.output is not None:
        chosen.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
