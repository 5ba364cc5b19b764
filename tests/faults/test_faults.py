"""No fault in any room ends the mount: it becomes an errno, a line in the log and an event."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon, workshop

LAUNCHER = Path(__file__).parent / "launcher.py"
WORDS = "a fault was injected here"


class FaultyDaemon(Daemon):
    """A daemon with trip wires; ``fault`` arms one of them."""

    def __init__(self, base: Path) -> None:
        self._armed = base / "armed"
        command = [sys.executable, str(LAUNCHER), str(self._armed)]
        super().__init__(base, options=["flush_delay=0.02"], command=command)

    def arm(self, name: str) -> None:
        self._armed.write_text(name)

    def disarm(self) -> None:
        self._armed.unlink(missing_ok=True)

    def outcomes(self, operation: str) -> list[str]:
        return [event["outcome"] for event in self.events() if event["operation"] == operation]

    def logged(self) -> list[dict[str, Any]]:
        """The log lines that tell of an injected fault."""
        return [line for line in self.log() if WORDS in str(line)]

    def is_alive(self) -> bool:
        """Everything works: a file is made, written, synced, read, listed, flushed."""
        path = self.mountpoint / "alive"
        with open(path, "wb", buffering=0) as file:
            file.write(b"alive")
            os.fsync(file.fileno())
        self.flush()
        return path.read_bytes() == (self.engine / path.name).read_bytes() == b"alive"


@pytest.fixture
def daemon() -> Iterator[FaultyDaemon]:
    with workshop() as base:
        daemon = FaultyDaemon(base)
        daemon.mount()
        assert os.listdir(daemon.mountpoint) == []  # the volume has met its root: that is no part of the test
        try:
            yield daemon
            daemon.disarm()
            daemon.umount()
        finally:
            daemon.end()


def fails_with(number: int, action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError as error:
        assert errno.errorcode[error.errno] == errno.errorcode[number]
        return True
    return False


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ("volume", errno.EIO),
        ("ledger", errno.EIO),
        ("namespace", errno.EIO),
        ("journal", errno.ENOSPC),
    ],
)
def test_a_fault_on_the_way_of_a_change_is_an_errno_and_nothing_has_happened(
    daemon: FaultyDaemon, fault: str, number: int
) -> None:
    daemon.arm(fault)
    assert fails_with(number, lambda: (daemon.mountpoint / "folder").mkdir())
    daemon.disarm()
    assert os.listdir(daemon.mountpoint) == []
    assert daemon.outcomes("mkdir") == [errno.errorcode[number]]
    assert daemon.logged() or fault == "journal"
    (daemon.mountpoint / "folder").mkdir()
    assert daemon.is_alive()


def test_a_fault_in_an_answer_is_an_errno_of_that_call_only(daemon: FaultyDaemon) -> None:
    (daemon.mountpoint / "there").write_bytes(b"there")
    daemon.arm("fuse")
    assert fails_with(errno.EIO, lambda: (daemon.mountpoint / "other").mkdir())
    daemon.disarm()
    handlers = {line["handler"] for line in daemon.logged()}
    assert handlers
    assert handlers <= {event["operation"] for event in daemon.events() if event["pid"] == os.getpid()}
    assert daemon.is_alive()


def test_a_fault_in_the_buffer_is_an_errno_of_the_write(daemon: FaultyDaemon) -> None:
    with open(daemon.mountpoint / "file", "wb", buffering=0) as file:
        daemon.arm("buffer")
        assert fails_with(errno.EIO, lambda: file.write(b"lost"))
        daemon.disarm()
        assert file.write(b"kept") == 4
    assert (daemon.mountpoint / "file").read_bytes() == b"kept"
    assert daemon.outcomes("write") == ["EIO"]
    assert daemon.logged()
    assert daemon.is_alive()


def test_a_failed_fdatasync_is_never_taken_for_success(daemon: FaultyDaemon) -> None:
    path = daemon.mountpoint / "file"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    os.write(descriptor, b"on no disk")
    daemon.arm("disk")
    assert fails_with(errno.EIO, lambda: os.fsync(descriptor))
    daemon.disarm()
    assert fails_with(errno.EIO, lambda: os.fsync(descriptor))
    assert fails_with(errno.EIO, lambda: os.close(descriptor))
    assert fails_with(errno.EIO, path.read_bytes)
    assert daemon.outcomes("fsync") == ["EIO", "EIO"]
    assert daemon.status()["quarantined"] == 1
    assert daemon.logged()
    path.unlink()
    assert daemon.is_alive()


@pytest.mark.parametrize("fault", ["posting", "backlog"])
def test_a_fault_after_the_journal_makes_the_mount_read_only_until_the_next_recovery(
    daemon: FaultyDaemon, fault: str
) -> None:
    """The change is in the journal and not in memory: only replay can make the two equal again."""
    (daemon.mountpoint / "before").write_bytes(b"before")
    daemon.flush()
    daemon.arm(fault)
    with pytest.raises(OSError) as caught:
        (daemon.mountpoint / "folder").mkdir()
    assert caught.value.errno in (errno.EIO, errno.EROFS)
    daemon.disarm()
    assert daemon.outcomes("mkdir") == [errno.errorcode[caught.value.errno]]
    assert daemon.logged()
    assert (daemon.mountpoint / "before").read_bytes() == b"before"
    assert fails_with(errno.EROFS, lambda: (daemon.mountpoint / "other").mkdir())
    daemon.kill()
    daemon.mount()
    assert sorted(os.listdir(daemon.mountpoint)) == ["before", "folder"]
    assert daemon.is_alive()


def test_an_event_that_cannot_be_written_fails_nothing(daemon: FaultyDaemon) -> None:
    daemon.arm("events")
    (daemon.mountpoint / "folder").mkdir()
    daemon.disarm()
    assert daemon.logged()
    assert daemon.is_alive()


@pytest.mark.parametrize("fault", ["engine", "flush"])
def test_a_fault_in_the_flusher_is_reported_and_the_flush_goes_on_afterwards(daemon: FaultyDaemon, fault: str) -> None:
    daemon.arm(fault)
    (daemon.mountpoint / "file").write_bytes(b"kept until it is stored")
    while not daemon.status()["flush_errors"]:
        assert not (daemon.engine / "file").exists()
    daemon.disarm()
    assert daemon.logged()
    daemon.flush()
    assert (daemon.engine / "file").read_bytes() == b"kept until it is stored"
    assert daemon.is_alive()


@pytest.mark.parametrize("fault", ["fetch", "listing"])
def test_a_fault_in_reading_from_the_engine_is_an_errno(daemon: FaultyDaemon, fault: str) -> None:
    daemon.umount()
    (daemon.engine / "folder").mkdir()
    (daemon.engine / "folder" / "file").write_bytes(b"from the engine")
    daemon.mount()
    path = daemon.mountpoint / "folder" / "file"
    if fault == "fetch":
        assert path.stat().st_size == 15
    daemon.arm(fault)
    assert fails_with(errno.EIO, path.read_bytes)
    daemon.disarm()
    assert daemon.logged()
    assert "EIO" in {event["outcome"] for event in daemon.events()}
    assert path.read_bytes() == b"from the engine"
    assert daemon.is_alive()


def test_a_fault_in_the_control_socket_is_a_sentence(daemon: FaultyDaemon) -> None:
    daemon.arm("control")
    with pytest.raises(AssertionError, match="exit 1"):
        daemon.status()
    daemon.disarm()
    assert daemon.is_alive()
