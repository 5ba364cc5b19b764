"""Programs that go on writing after the daemon, or the mount, is gone: none of their bytes are lost.

They have their files from the kernel (docs/passthrough.md), which takes them away for nobody.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.support.daemon import Daemon, wait_until_gone
from tests.support.mappings import Mapping

SIZE = 64 << 10


@pytest.fixture
def daemon(base: Path) -> Iterator[Daemon]:
    daemon = Daemon(base, options=["passthrough=auto", "flush_delay=3600"])
    daemon.mount()
    try:
        if daemon.status()["passthrough"] != "on":
            pytest.skip("this machine passes no files")
        yield daemon
    finally:
        daemon.end()


def kill(pid: int) -> None:
    """kill -9 of a daemon that nobody finds by its mount point any more."""
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(process)


@contextlib.contextmanager
def held(path: Path, mode: str) -> Iterator[BinaryIO]:
    """An open file whose close may say that its mount is dead, as close(2) does; its bytes are not in question."""
    file = open(path, mode, buffering=0)  # noqa: SIM115 - its close may fail, and that is the point
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


def mapped(path: Path) -> Mapping:
    """A writable mapping of a new file."""
    path.write_bytes(b"-" * SIZE)
    return Mapping(path, SIZE)


@pytest.mark.parametrize("detach", [True, False], ids=["detached", "dead"])
def test_a_writer_goes_on_after_kill_9(daemon: Daemon, detach: bool) -> None:
    path = daemon.mountpoint / "log"
    with held(path, "wb") as log:
        log.write(b"before.")
        daemon.kill(detach=detach)
        log.write(b"dead.")
        daemon.detach()
        daemon.mount()
        assert daemon.status()["recovered"]["bodies_still_written"] == 1
        assert path.read_bytes() == b"before.dead."
        log.write(b"mounted.")
        assert path.stat().st_size == 20
        daemon.flush()
        assert (daemon.engine / "log").read_bytes() == b"before.dead.mounted."
        log.write(b"last.")
    assert path.read_bytes() == b"before.dead.mounted.last."
    daemon.umount()
    assert (daemon.engine / "log").read_bytes() == b"before.dead.mounted.last."


def test_a_mapping_without_a_descriptor_goes_on_after_kill_9_and_a_second_one(daemon: Daemon) -> None:
    path = daemon.mountpoint / "mapped"
    mapping = mapped(path)
    mapping.store(0, b"one")
    daemon.kill()
    mapping.store(3, b"two")
    daemon.mount()
    assert path.read_bytes()[:7] == b"onetwo-"
    mapping.store(6, b"three")
    daemon.kill()
    mapping.store(11, b"four")
    daemon.mount()
    assert path.read_bytes()[:16] == b"onetwothreefour-"
    mapping.close()
    daemon.umount()
    assert (daemon.engine / "mapped").read_bytes() == b"onetwothreefour" + b"-" * (SIZE - 15)


def test_a_mapping_goes_on_after_a_lazy_unmount_and_the_end_of_the_daemon(daemon: Daemon) -> None:
    path = daemon.mountpoint / "mapped"
    mapping = mapped(path)
    mapping.store(0, b"one")
    pid = int(daemon.status()["pid"])
    daemon.detach()
    mapping.store(3, b"two")
    kill(pid)
    daemon.mount()
    assert path.read_bytes()[:7] == b"onetwo-"
    mapping.store(6, b"three")
    mapping.close()
    daemon.umount()
    assert (daemon.engine / "mapped").read_bytes() == b"onetwothree" + b"-" * (SIZE - 11)


def test_a_writer_goes_on_after_a_lazy_unmount_and_the_end_of_the_daemon(daemon: Daemon) -> None:
    path = daemon.mountpoint / "log"
    with held(path, "wb") as log:
        log.write(b"mounted.")
        pid = int(daemon.status()["pid"])
        daemon.detach()
        log.write(b"detached.")
        kill(pid)
        log.write(b"dead.")
        daemon.mount()
        assert path.read_bytes() == b"mounted.detached.dead."
        log.write(b"again.")
    daemon.umount()
    assert (daemon.engine / "log").read_bytes() == b"mounted.detached.dead.again."


def test_two_programs_write_one_file_one_of_them_since_before_the_death(daemon: Daemon) -> None:
    path = daemon.mountpoint / "file"
    with held(path, "w+b") as old:
        old.write(b"old" * 10)
        daemon.kill()
        daemon.mount()
        with held(path, "r+b") as new:
            os.pwrite(new.fileno(), b"new", 0)
            assert os.pread(old.fileno(), 6, 0) == b"newold"
            os.pwrite(old.fileno(), b"OLD", 3)
            assert os.pread(new.fileno(), 6, 0) == b"newOLD"
        path.write_bytes(b"cut")
        assert os.pread(old.fileno(), 9, 0) == b"cut"
        os.pwrite(old.fileno(), b"!", 3)
    assert path.read_bytes() == b"cut!"
    daemon.umount()
    assert (daemon.engine / "file").read_bytes() == b"cut!"


def test_what_is_known_to_be_written_after_a_death_is_written_by_nobody_at_last(daemon: Daemon) -> None:
    """Killed with no program left: nothing is held open, and the next mount is as after any crash."""
    path = daemon.mountpoint / "file"
    with held(path, "wb") as file:
        file.write(b"all of it")
        daemon.kill()
    daemon.mount()
    recovered = daemon.status()["recovered"]
    assert (recovered["bodies_still_written"], recovered["bodies_reopened"]) == (0, 1)
    assert path.read_bytes() == b"all of it"
    daemon.umount()
    assert (daemon.engine / "file").read_bytes() == b"all of it"
