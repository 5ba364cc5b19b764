"""What reading a file that is only in an object store asks of it, through the kernel."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.daemon import Daemon, workshop

MIB = 1 << 20
SIZE = 48 * MIB
CONTENT = random.Random(1).randbytes(SIZE)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A mount that has the file ``large`` in its store and nothing on its disk."""
    with stores.moto() as server, workshop() as base:
        daemon = Daemon(base, server=server)
        try:
            server.client().put_object(Bucket=daemon.bucket, Key="large", Body=CONTENT)
            daemon.mount()
            yield daemon
            daemon.umount()
        finally:
            daemon.end()


def gets(daemon: Daemon) -> int:
    return int(daemon.status()["store_requests"].get("get", 0))


def read(path: Path, offsets: range, length: int) -> None:
    """Without the kernel's own read-ahead."""
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    for offset in offsets:
        assert os.pread(descriptor, length, offset) == CONTENT[offset : offset + length]
    os.close(descriptor)


def test_a_scan_fetches_each_byte_once_by_few_ranges(daemon: Daemon) -> None:
    assert (daemon.mountpoint / "large").read_bytes() == CONTENT
    assert daemon.status()["bytes_downloaded"] == SIZE
    assert gets(daemon) <= 40


def test_a_page_of_a_large_file_fetches_about_a_page(daemon: Daemon) -> None:
    before = gets(daemon)
    read(daemon.mountpoint / "large", range(30 * MIB, 30 * MIB + 1), 4096)
    assert gets(daemon) - before == 1
    assert daemon.status()["bytes_downloaded"] <= MIB // 4


def test_a_scan_backwards_has_the_right_bytes_by_few_ranges(daemon: Daemon) -> None:
    step = MIB // 4
    read(daemon.mountpoint / "large", range(SIZE - step, -1, -step), step)
    assert daemon.status()["bytes_downloaded"] == SIZE
    assert gets(daemon) <= 60


def test_pages_with_equal_holes_leave_the_holes(daemon: Daemon) -> None:
    read(daemon.mountpoint / "large", range(0, SIZE, MIB), 4096)
    assert daemon.status()["bytes_downloaded"] < SIZE // 4
