"""Zeros without writing them where a file has holes.

Promise: after ``blank`` the range reads as zeros; nothing is durable.
"""

import os
from collections.abc import Iterator
from typing import Final

from vaultairefs.disk.durable import write_all

_ZEROS: Final = bytes(1 << 20)


def blank(fd: int, start: int, end: int) -> None:
    """Overwrite whatever data lies in the range with zeros; holes stay holes."""
    for offset, length in _data(fd, start, end):
        for at in range(offset, offset + length, len(_ZEROS)):
            write_all(fd, memoryview(_ZEROS)[: min(len(_ZEROS), offset + length - at)], at)


def _data(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
            stop = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError:
            return  # Nothing but a hole up to the end (lseek(2), ENXIO); there is no other way to fail here.
        if start < end:
            yield start, min(stop, end) - start
        start = stop
