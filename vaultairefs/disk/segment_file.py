"""One segment file of a log: create it with room reserved, read it, cut it.

Promise: a segment that could not be created with its room leaves no file behind.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vaultairefs.disk.copying import read_all
from vaultairefs.disk.durable import preallocate, sync_all, unlink, write_all
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import OutOfSpace, QuotaExceeded

PIECE_BYTES: Final = 1 << 16
"""Small enough for an allocator to give it back to whoever asks next."""


def create(path: Path, header: bytes, capacities: Sequence[int]) -> tuple[int, int]:
    """A new segment with the first of ``capacities`` (bytes) that the disk has room for: its descriptor and capacity.

    A file that an earlier life left at ``path`` is emptied first.  ``OutOfSpace``/``QuotaExceeded`` when none fits.
    """
    with translated("append"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        capacity = _reserve(fd, capacities)
        write_all(fd, header, 0)
    except BaseException:
        os.close(fd)
        unlink(path, missing_ok=True)
        raise
    return fd, capacity


def _reserve(fd: int, capacities: Sequence[int]) -> int:
    for capacity in capacities[:-1]:
        try:
            preallocate(fd, capacity)
        except (OutOfSpace, QuotaExceeded):
            continue
        return capacity
    preallocate(fd, capacities[-1])
    return capacities[-1]


def load(path: Path) -> bytes:
    """Every byte of the file.  ``NotFound`` when it is gone."""
    with translated("read"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return read_all(fd, 0, os.fstat(fd).st_size)
        finally:
            os.close(fd)


def pieces(path: Path) -> Iterator[bytes]:
    """``load``, a piece at a time."""
    with translated("read"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while piece := os.read(fd, PIECE_BYTES):
                yield piece
        finally:
            os.close(fd)


def cut(path: Path, size: int) -> None:
    """Durably end the file after ``size`` bytes."""
    with translated("truncate"):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            sync_all(fd)
        finally:
            os.close(fd)


def trim(file: Path | int, size: int) -> None:
    """Give back unused space behind ``size`` bytes, if the disk lets us: the log is right either way."""
    try:
        os.truncate(file, size)
    except OSError:
        return
