"""What the kernel has in its page cache it does not ask for again, and never shows when it is old."""

import os
from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop

SIZE = 256 << 10


@pytest.fixture(scope="module")
def recorded() -> Iterator[Daemon]:
    """A mount that records each read and write."""
    with workshop() as base, mounted_daemon(base, options=["events=io"]) as daemon:
        yield daemon


def reads(daemon: Daemon, name: str) -> int:
    """How many READ requests for the file came so far."""
    return sum(1 for event in daemon.events() if event["operation"] == "read" and event["artifact"] == name)


def test_written_pages_are_read_back_without_asking(recorded: Daemon) -> None:
    """Neither a stat that shows another mtime nor the next open costs them."""
    path = recorded.mountpoint / "written"
    with open(path, "w+b", buffering=0) as file:
        for at in range(0, SIZE, 4096):
            os.pwrite(file.fileno(), b"w" * 4096, at)
            os.stat(path)
        assert os.pread(file.fileno(), SIZE, 0) == b"w" * SIZE
    assert path.read_bytes() == b"w" * SIZE
    assert reads(recorded, "written") == 0


def test_a_truncation_costs_what_it_cuts_off(recorded: Daemon) -> None:
    path = recorded.mountpoint / "cut"
    path.write_bytes(b"a" * SIZE)
    os.truncate(path, 5000)
    os.truncate(path, 9000)
    assert path.read_bytes() == b"a" * 5000 + bytes(4000)
    path.write_bytes(b"b")
    assert path.read_bytes() == b"b"


def test_another_version_from_the_engine_is_seen() -> None:
    with workshop() as base, mounted_daemon(base, options=["ttl=0", "flush_delay=0"]) as daemon:
        path = daemon.mountpoint / "theirs"
        path.write_bytes(b"a" * SIZE)
        daemon.flush()
        assert path.read_bytes() == b"a" * SIZE
        (daemon.engine / "theirs").unlink()
        (daemon.engine / "theirs").write_bytes(b"b" * SIZE)
        assert path.read_bytes() == b"b" * SIZE
