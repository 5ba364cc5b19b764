"""A filesystem with little room, to run out of space for real."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


@contextlib.contextmanager
def small_disk(where: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a tmpfs of ``size_bytes`` at ``where``; skips the test where the caller may not mount."""
    where.mkdir()
    if _libc.mount(b"tmpfs", os.fsencode(where), b"tmpfs", 0, f"size={size_bytes},mode=700".encode()) != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield where
    finally:
        _libc.umount2(os.fsencode(where), _MNT_DETACH)


def fill(directory: Path) -> Path:
    """Write a file until nothing more fits; returns it, so that removing it makes room again."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return path
