"""The pieces of work whose requests are counted, with what they may cost and what peers were seen to need.

Promise: each does the same system calls on every system, and nothing in it depends on time.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.compare.systems import System

MIB: Final = 1 << 20
_FILES: Final = 200
_PAGE: Final = random.Random(1).randbytes(4096)
_BLOCK: Final = random.Random(2).randbytes(MIB)


class Work(NamedTuple):
    """``act`` is counted, on what ``prepare`` left in the store: by a mount that knows it, or by a ``fresh`` one with
    nothing on the local disk.  ``limit`` and ``peers`` are for people; ``requests_max`` and ``down_max`` (bytes) say
    the limit in numbers where it is one."""

    act: Callable[[Path], None]
    prepare: Callable[[System], None] = lambda system: None
    fresh: bool = False
    limit: str = ""
    peers: str = ""
    requests_max: int | None = None
    down_max: int | None = None


def _create(folder: Path) -> None:
    folder.mkdir()
    for number in range(_FILES):
        (folder / f"file{number:03}").write_bytes(_PAGE)


def _list(folder: Path) -> None:
    """What ``ls -l`` asks for."""
    with os.scandir(folder) as entries:
        assert sum(bool(entry.stat(follow_symlinks=False).st_size) for entry in entries) == _FILES


def _put_by_others(system: System) -> None:
    client = system.store.client()
    for number in range(_FILES):
        client.put_object(Bucket=system.bucket, Key=f"folder/file{number:03}", Body=_PAGE)


def _append(path: Path) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(20):
        os.write(descriptor, b"one line of a log that nobody wants to lose\n")
        os.fsync(descriptor)
    os.close(descriptor)


def _write(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(_BLOCK)


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, _PAGE, 20 * MIB)
    os.close(descriptor)


def _read_page(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    assert len(os.pread(descriptor, 4096, 30 * MIB)) == 4096
    os.close(descriptor)


def _read_all(path: Path, mib: int) -> None:
    with path.open("rb", buffering=0) as file:
        assert sum(len(file.read(MIB)) for _ in range(mib + 1)) == mib * MIB


def _make_tree(tree: Path) -> None:
    """Something like a source tree: 2,000 files of a few kilobytes, 40 to a directory."""
    generator = random.Random(3)
    for number in range(2000):
        folder = tree / f"part{number // 400}" / f"module{number // 40}"
        if number % 40 == 0:
            folder.mkdir(parents=True)
        (folder / f"file{number}.c").write_bytes(generator.randbytes(int(generator.lognormvariate(8, 1))))


def _folder(path: Path) -> Path:
    return path / "folder"


def _large(path: Path) -> Path:
    return path / "large"


def _with_files(system: System) -> None:
    _create(_folder(system.path))


def _with_large(system: System) -> None:
    _write(_large(system.path), 64)


WORKS: Final[dict[str, Work]] = {
    "nothing, where 200 files are": Work(lambda path: None, _with_files),
    "create 200 x 4 KiB in a new directory": Work(
        lambda path: _create(_folder(path)), limit="204", peers="juicefs 200, rclone 402, s3fs 1811", requests_max=204
    ),
    "`ls -l` of 200, fresh mount": Work(
        lambda path: _list(_folder(path)), _with_files, True, "5", "rclone 202, s3fs 203", 5
    ),
    "`ls -l` of 200 that others put there, fresh mount": Work(
        lambda path: _list(_folder(path)), _put_by_others, True, "one HEAD each, once", requests_max=210
    ),
    "rename a directory of 200": Work(
        lambda path: _folder(path).rename(path / "renamed"), _with_files, False, "400", "s3fs 623, rclone 1001", 400
    ),
    "`rm -r` of 200": Work(lambda path: shutil.rmtree(_folder(path)), _with_files, False, "5", requests_max=5),
    "append 20 lines, fsync each": Work(lambda path: _append(path / "log"), limit="4", requests_max=4),
    "write 64 MiB": Work(lambda path: _write(_large(path), 64), limit="4 parts + 4", requests_max=8),
    "overwrite 4 KiB in 64 MiB": Work(
        lambda path: _overwrite(_large(path)), _with_large, limit="1 part up, 3 copied, where copies are pinned"
    ),
    "read 4 KiB in 64 MiB, fresh mount": Work(
        lambda path: _read_page(_large(path)), _with_large, True, "1 MiB down", down_max=MIB
    ),
    "read 64 MiB in order, fresh mount": Work(lambda path: _read_all(_large(path), 64), _with_large, True),
    "a tree of 2,000 files": Work(lambda path: _make_tree(path / "tree")),
}
