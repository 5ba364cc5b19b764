"""What programs do, timed from the outside.

Promise: each workload runs on a fresh mount of an empty bucket and does the same system calls on every system.  A
*rate* (per second) is better when it is larger, *seconds* when smaller; the name of a measure says which it is.
"""

import os
import random
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.compare.systems import System

Measures = dict[str, float]

MIB: Final = 1 << 20
_BLOCK: Final = os.urandom(MIB)
_PAGE: Final = _BLOCK[:4096]


class Inputs:
    """What the workloads read: a tar file and a git repository of ``files`` files, and a file of ``size`` bytes.

    ``listed`` is how many files the long listing has.
    """

    def __init__(self, base: Path, files: int, size: int, listed: int) -> None:
        self.files, self.size, self.listed = files, size, listed
        self.tar, self.repository, self.large = base / "tree.tar", base / "tree.git", base / "large"
        tree = base / "tree"
        _make_tree(tree, files)
        with tarfile.open(self.tar, "w") as tar:
            tar.add(tree, "tree")
        self._git(tree, "init", "-q", "-b", "main")
        self._git(tree, "add", ".")
        self._git(tree, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", "tree")
        self._git(base, "clone", "-q", "--bare", str(tree), str(self.repository))

    def make_large(self) -> Path:
        """A file of ``size`` random bytes."""
        if not self.large.exists():
            with self.large.open("wb") as file:
                for _ in range(self.size // MIB):
                    file.write(os.urandom(MIB))
        return self.large

    @staticmethod
    def _git(directory: Path, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(directory), *arguments], check=True)


def _make_tree(tree: Path, files: int) -> None:
    """Something like a source tree: 40 files to a directory, most of them a few kilobytes."""
    generator = random.Random(1)
    for number in range(files):
        path = tree / f"part{number // 400}" / f"module{number // 40}" / f"file{number}.c"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(int(generator.lognormvariate(8, 1))))


class Clock:
    """Collects the measures of one workload."""

    def __init__(self) -> None:
        self.measures: Measures = {}

    @contextmanager
    def seconds(self, name: str) -> Iterator[None]:
        """How long the block takes."""
        began = time.perf_counter()
        yield
        self.measures[f"{name}: seconds"] = time.perf_counter() - began

    @contextmanager
    def rate(self, name: str, count: float) -> Iterator[None]:
        """How many of ``count`` there are per second."""
        began = time.perf_counter()
        yield
        self.measures[f"{name}: per second"] = count / (time.perf_counter() - began)


def large_file(system: System, inputs: Inputs) -> Measures:
    """Sequential and random I/O on one file, the page cache as it comes.

    Each on a quiet system: what was written before is in the store by then, for that shares the processors with us.
    """
    clock, size = Clock(), inputs.size
    pages = size >> 12
    with clock.rate("write, blocks of 4 KiB (MiB)", size / MIB):
        _write(system.path / "small-blocks", _PAGE, pages)
    system.drain()
    with clock.rate("write, blocks of 1 MiB (MiB)", size / MIB):
        _write(system.path / "large-blocks", _BLOCK, size // MIB)
    system.drain()
    for name, block in (("4 KiB", 4096), ("1 MiB", MIB)):
        with clock.rate(f"read again, blocks of {name} (MiB)", size / MIB):
            _read(system.path / "large-blocks", block)
    offsets = [random.Random(2).randrange(pages) << 12 for _ in range(20_000)]
    descriptor = os.open(system.path / "large-blocks", os.O_RDWR)
    with clock.rate("read 4 KiB at random", len(offsets)):
        for offset in offsets:
            os.pread(descriptor, 4096, offset)
    with clock.rate("write 4 KiB at random", len(offsets)):
        for offset in offsets:
            os.pwrite(descriptor, _PAGE, offset)
    os.close(descriptor)
    with clock.seconds("those pages until in the store"):
        system.drain()
    (system.path / "one").write_bytes(_PAGE)
    system.drain()
    with clock.rate("open and close", 2000):
        for _ in range(2000):
            os.close(os.open(system.path / "one", os.O_RDONLY))
    return clock.measures


def small_files(system: System, inputs: Inputs) -> Measures:
    """Many files of 4 KiB: created, in the store, listed by a machine that knows nothing, removed."""
    clock, count = Clock(), inputs.files
    folder = system.path / "files"
    folder.mkdir()
    began = time.perf_counter()
    with clock.rate("create 4 KiB", count):
        for number in range(count):
            _write(folder / f"f{number}", _PAGE, 1)
    system.drain()
    clock.measures["create 4 KiB until in the store: per second"] = count / (time.perf_counter() - began)
    _go_cold(system)
    with clock.seconds(f"ls -l of {count}, cold"):
        subprocess.run(["ls", "-l", str(folder)], check=True, stdout=subprocess.DEVNULL)
    with clock.rate("unlink", count):
        for number in range(count):
            os.unlink(folder / f"f{number}")
    with clock.seconds("unlink until in the store"):
        system.drain()
    return clock.measures


def programs(system: System, inputs: Inputs) -> Measures:
    """tar, git, and a log that is synced after each line."""
    clock = Clock()
    for name, command in (
        ("untar", ["tar", "-xf", str(inputs.tar), "-C", str(system.path)]),
        ("git clone", ["git", "clone", "-q", str(inputs.repository), str(system.path / "clone")]),
    ):
        began = time.perf_counter()
        with clock.seconds(name):
            subprocess.run(command, check=True)
        system.drain()
        clock.measures[f"{name} until in the store: seconds"] = time.perf_counter() - began
    with clock.seconds("git status"):
        subprocess.run(["git", "-C", str(system.path / "clone"), "status", "-s"], check=True)
    lines = 200
    descriptor = os.open(system.path / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with clock.rate("append a line and fsync", lines):
        for _ in range(lines):
            os.write(descriptor, b"one line of a log that nobody wants to lose\n")
            os.fsync(descriptor)
    os.close(descriptor)
    return clock.measures


def cold_read(system: System, inputs: Inputs) -> Measures:
    """A large file through the mount into the store, and back by a machine that knows nothing."""
    clock, large = Clock(), inputs.make_large()
    with clock.rate("copy in until in the store (MiB)", inputs.size / MIB):
        subprocess.run(["cp", str(large), str(system.path / "large")], check=True)
        system.drain()
    _go_cold(system)
    began = time.perf_counter()
    with (system.path / "large").open("rb", buffering=0) as file:
        file.read(4096)
    clock.measures["first byte, cold: seconds"] = time.perf_counter() - began
    _go_cold(system)
    with clock.rate("read 1 MiB blocks, cold (MiB)", inputs.size / MIB):
        _read(system.path / "large", MIB)
    return clock.measures


def listing(system: System, inputs: Inputs) -> Measures:
    """A long directory, listed by a machine that knows nothing, and the same keys by a client that only lists."""
    clock, folder = Clock(), system.path / "long"
    folder.mkdir()
    for number in range(inputs.listed):
        _write(folder / f"f{number}", b"a few bytes", 1)
    system.drain()
    _go_cold(system)
    with clock.seconds("ls -l of a long directory, cold"):
        subprocess.run(["ls", "-l", str(folder)], check=True, stdout=subprocess.DEVNULL)
    if system.is_in_store:
        with clock.seconds("the same keys listed by boto3"):
            system.store.count(system.bucket)
    return clock.measures


WORKLOADS: Final[dict[str, Callable[[System, Inputs], Measures]]] = {
    "large-file": large_file,
    "small-files": small_files,
    "programs": programs,
    "cold-read": cold_read,
    "listing": listing,
}


def _go_cold(system: System) -> None:
    system.account()
    system.unmount()
    system.forget()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    system.mount()


def _write(path: Path, block: bytes, count: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    for _ in range(count):
        os.write(descriptor, block)
    os.close(descriptor)


def _read(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    while os.read(descriptor, size):
        pass
    os.close(descriptor)
