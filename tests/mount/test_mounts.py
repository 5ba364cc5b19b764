"""Mounting and unmounting themselves, each test with a daemon of its own."""

import errno
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.callers import as_user
from tests.support.daemon import COMMAND, Daemon, mounted_daemon, wait_until_gone, workshop
from tests.support.system_calls import fails_with
from vaultairefs.disk.mount_table import topmost

A_BUG = """
import sys
from vaultairefs.cli import main
from vaultairefs.ledger import Ledger
from vaultairefs.model.changes import ContainerCreated

commit = Ledger.commit

def broken(self, change):
    if isinstance(change, ContainerCreated) and change.name == b"unlucky":
        raise RuntimeError("a bug that nobody knew of")
    return commit(self, change)

Ledger.commit = broken
sys.argv[0] = "vaultairefs"
main()
"""
"""A program that is vaultairefs with a bug in it."""


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        yield folder


def refusal(*arguments: str) -> str:
    """The sentence of a command that cannot work, below whatever progress it showed."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    words = done.stderr.splitlines()[-1]
    assert words.startswith("vaultairefs: "), done.stderr
    return words


def test_the_kernel_shows_the_mount_with_its_source_and_flags(base: Path) -> None:
    with mounted_daemon(base, options=["noexec"]) as daemon:
        entry = topmost(str(daemon.mountpoint))
        assert entry is not None
        assert (entry.filesystem_type, entry.source) == ("fuse.vaultairefs", f"file://{daemon.engine}")
        flags = os.statvfs(daemon.mountpoint).f_flag
        assert flags & os.ST_NOEXEC
        assert not flags & (os.ST_NODEV | os.ST_NOSUID | os.ST_RDONLY)
        assert Path(f"/sys/class/bdi/{entry.device}/read_ahead_kb").read_text() == "1024\n"
    assert topmost(str(daemon.mountpoint)) is None


def test_without_options_setuid_and_devices_are_inert_and_others_stay_out(base: Path) -> None:
    daemon = Daemon(base)
    daemon.options = []
    daemon.mount()
    try:
        flags = os.statvfs(daemon.mountpoint).f_flag
        assert flags & os.ST_NODEV
        assert flags & os.ST_NOSUID
        with fails_with(errno.EACCES):
            as_user(lambda: os.listdir(daemon.mountpoint))
    finally:
        daemon.umount()
        daemon.detach()


def test_a_read_only_mount_shows_everything_and_changes_nothing(base: Path) -> None:
    (base / "engine").mkdir()
    (base / "engine" / "f").write_bytes(b"bytes")
    (base / "engine" / "d").mkdir()
    with mounted_daemon(base, options=["ro"]) as daemon:
        top = daemon.mountpoint
        assert (top / "f").read_bytes() == b"bytes"
        assert sorted(os.listdir(top)) == ["d", "f"]
        for act in (
            lambda: os.open(top / "f", os.O_WRONLY),
            lambda: os.mkdir(top / "new"),
            lambda: os.unlink(top / "f"),
            lambda: os.rename(top / "f", top / "g"),
            lambda: os.chmod(top / "f", 0o600),
            lambda: os.setxattr(top / "f", "user.a", b"x"),
        ):
            with fails_with(errno.EROFS):
                act()
    assert (base / "engine" / "f").read_bytes() == b"bytes"


def test_a_mountpoint_in_use_is_not_taken_twice(base: Path) -> None:
    with mounted_daemon(base) as daemon:
        (daemon.mountpoint / "f").write_bytes(b"bytes")
        other = base / "other"
        other.mkdir()
        words = refusal("mount", f"file://{other}", str(daemon.mountpoint), "-o", f"state={base}/other-state")
        assert "already" in words
        assert (daemon.mountpoint / "f").read_bytes() == b"bytes"


def test_a_mountpoint_that_cannot_be_is_refused_in_one_sentence(base: Path) -> None:
    (base / "file").write_bytes(b"")
    (base / "engine").mkdir()
    for target in ("none", "file"):
        assert str(base / target) in refusal(
            "mount", f"file://{base}/engine", str(base / target), "-o", f"state={base}/state"
        )


def test_a_dead_mount_does_not_stand_in_the_way_of_the_next(base: Path) -> None:
    daemon = Daemon(base)
    daemon.mount()
    try:
        (daemon.mountpoint / "f").write_bytes(b"kept")
        daemon.kill(detach=False)
        with fails_with(errno.ENOTCONN):
            os.listdir(daemon.mountpoint)
        daemon.mount()
        assert (daemon.mountpoint / "f").read_bytes() == b"kept"
        daemon.umount()
    finally:
        daemon.detach()


def test_plain_umount_ends_the_daemon_and_loses_nothing(base: Path) -> None:
    with mounted_daemon(base) as daemon:
        (daemon.mountpoint / "f").write_bytes(b"bytes")
        descriptor = os.pidfd_open(int(daemon.status()["pid"]))
        subprocess.run(["umount", "-i", daemon.mountpoint], check=True)
        wait_until_gone(descriptor)
    assert (daemon.engine / "f").read_bytes() == b"bytes"


def test_stores_into_a_mapping_right_before_the_unmount_arrive(base: Path) -> None:
    """Nothing but the unmount itself makes the kernel write these pages."""
    with mounted_daemon(base) as daemon:
        (daemon.mountpoint / "f").write_bytes(bytes(8192))
        with open(daemon.mountpoint / "f", "r+b", buffering=0) as file:
            mapped = mmap.mmap(file.fileno(), 8192)
        mapped[5000:5004] = b"late"
        mapped.close()
        daemon.umount()
    assert (daemon.engine / "f").read_bytes()[4998:5006] == b"\0\0late\0\0"


def test_a_busy_mount_stays_until_its_last_user_leaves(base: Path) -> None:
    with mounted_daemon(base) as daemon:
        with open(daemon.mountpoint / "f", "wb", buffering=0) as file:
            file.write(b"one ")
            words = refusal("umount", str(daemon.mountpoint))
            assert "use" in words
            file.write(b"two")
        assert (daemon.mountpoint / "f").read_bytes() == b"one two"


def test_an_unexpected_failure_is_one_eio_a_log_line_and_an_event_and_the_mount_lives_on(base: Path) -> None:
    with mounted_daemon(base, command=[sys.executable, "-c", A_BUG]) as daemon:
        (daemon.mountpoint / "before").mkdir()
        with fails_with(errno.EIO):
            os.mkdir(daemon.mountpoint / "unlucky")
        (daemon.mountpoint / "after").mkdir()
        assert sorted(os.listdir(daemon.mountpoint)) == ["after", "before"]
        logged = [line for line in daemon.log() if "unexpected" in str(line.get("event"))]
        assert len(logged) == 1
        assert "a bug that nobody knew of" in str(logged[0])
        failed = [row for row in daemon.events() if row["operation"] == "mkdir" and row["outcome"] == "EIO"]
        assert [row["artifact"] for row in failed] == ["unlucky"]


def test_a_stopped_daemon_stores_what_programs_wrote_although_they_hold_their_files(base: Path) -> None:
    with mounted_daemon(base) as daemon:
        file = os.open(daemon.mountpoint / "f", os.O_CREAT | os.O_WRONLY)
        os.write(file, b"so far")
        pid = int(daemon.status()["pid"])
        descriptor = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        wait_until_gone(descriptor)
        assert topmost(str(daemon.mountpoint)) is None
        with fails_with(errno.ENOTCONN):
            os.write(file, b"too late")
        with fails_with(errno.ENOTCONN):
            os.close(file)
        assert (daemon.engine / "f").read_bytes() == b"so far"


def test_an_aborted_connection_ends_the_daemon_and_loses_nothing(base: Path) -> None:
    control = base / "control"
    control.mkdir()
    subprocess.run(["mount", "-t", "fusectl", "none", control], check=True)
    try:
        with mounted_daemon(base) as daemon:
            (daemon.mountpoint / "f").write_bytes(b"bytes")
            entry = topmost(str(daemon.mountpoint))
            assert entry is not None
            descriptor = os.pidfd_open(int(daemon.status()["pid"]))
            (control / entry.device.partition(":")[2] / "abort").write_bytes(b"1")
            wait_until_gone(descriptor)
            assert topmost(str(daemon.mountpoint)) is None
    finally:
        subprocess.run(["umount", control], check=True)
    assert (daemon.engine / "f").read_bytes() == b"bytes"
