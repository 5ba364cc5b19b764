"""A daemon that is killed is started again by its supervisor; nothing is lost, and every end works through it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command_line import mount_type, run, wait_for_end
from tests.support.daemon import SECONDS_MAX, Daemon, workshop
from vaultairefs.app import healing, supervision
from vaultairefs.config import settings
from vaultairefs.fuse import mounting, replacing

SUPERVISOR_BYTES_MAX = 16 << 20


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with workshop() as base:
        daemon = Daemon(base, options=("supervise=on", "flush_delay=1h"))
        try:
            yield daemon
        finally:
            daemon.end()


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS_MAX
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, AssertionError):
            pass  # not yet
        time.sleep(0.02)
    raise AssertionError(f"does not happen: {what}")


def kill(daemon: Daemon) -> tuple[int, int]:
    """kill -9 of the daemon; its pid and the supervisor's."""
    status = daemon.status()
    os.kill(status["pid"], signal.SIGKILL)
    return status["pid"], status["supervisor"]


def healed(daemon: Daemon, killed: int) -> Callable[[], bool]:
    return lambda: daemon.status()["pid"] != killed


class Appender(threading.Thread):
    """Appends numbered lines to one file of its own, each with an fsync, over whatever happens to the mount."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.acknowledged: list[bytes] = []
        self.failures = 0
        self.enough = threading.Event()

    def expect_more(self) -> None:
        before = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) > before, "a writer gets on after the kill")

    def run(self) -> None:
        number = 0
        while not self.enough.is_set():
            try:
                with self.path.open("ab", buffering=0) as file:
                    while not self.enough.is_set():
                        number += 1
                        file.write(b"%012d\n" % number)
                        os.fsync(file.fileno())
                        self.acknowledged.append(b"%012d" % number)
            except OSError:
                self.failures += 1
                time.sleep(0.01)


def test_a_daemon_killed_five_times_under_load_comes_back_and_nothing_is_lost(
    daemon: Daemon,
) -> None:
    daemon.mount()
    writers = [Appender(daemon.mountpoint / f"log{number}") for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(5):
            eventually(lambda: all(len(writer.acknowledged) > 3 for writer in writers), "writers get on")
            pid, _ = kill(daemon)
            eventually(healed(daemon, pid), "the mount answers again")
            for writer in writers:
                writer.expect_more()
    finally:
        for writer in writers:
            writer.enough.set()
        for writer in writers:
            writer.join()
    assert daemon.status()["restarts"] == 5
    for writer in writers:
        assert writer.failures > 0, "no open handle noticed a kill"
        lines = set((daemon.mountpoint / writer.path.name).read_bytes().split())
        assert set(writer.acknowledged) <= lines, "lost, or written into the directory below"
    daemon.umount()
    for writer in writers:
        assert set(writer.acknowledged) <= set((daemon.engine / writer.path.name).read_bytes().split())
    assert os.listdir(daemon.mountpoint) == [], "a program saw the directory below the mount"


def test_a_supervisor_that_comes_late_never_touches_the_living_mount(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """umount(8) fails with EBUSY while anybody only looks at a mount (umount(2))."""
    daemon.mount()
    touched: list[str] = []
    monkeypatch.setattr(mounting, "is_dead", touched.append)
    found = settings.load(f"file://{daemon.engine}", str(daemon.mountpoint), [f"state={daemon.state}"])
    assert healing.heal(supervision.Restart(1, 1, "killed by signal 9"), found, lambda announce: announce()) == 0
    assert touched == []


@pytest.mark.parametrize("can_mount_beneath", [True, False])
def test_a_dead_mount_is_replaced_by_a_living_one(
    daemon: Daemon, can_mount_beneath: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernels before 6.5 take the dead one away first."""
    daemon.options.append("supervise=off")
    daemon.mount()
    pid, _ = kill(daemon)
    wait_for_end(pid)
    if not can_mount_beneath:
        monkeypatch.setattr(replacing, "_MOVE_MOUNT_BENEATH", 0x4000)
    options = mounting.MountOptions(source="test")
    descriptor = mounting.replace_or_mount(str(daemon.mountpoint), options)
    lines = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(daemon.mountpoint) in line]
    assert len(lines) == 1 and " test " in lines[0]
    mounting.unmount(str(daemon.mountpoint), lazy=True)
    os.close(descriptor)


def test_status_names_the_supervisor_which_holds_little_memory_and_one_child(daemon: Daemon) -> None:
    daemon.mount()
    status = daemon.status()
    supervisor = status["supervisor"]
    assert status["restarts"] == 0
    words = Path(f"/proc/{supervisor}/cmdline").read_bytes().split(b"\0")
    assert words[3].endswith(b"supervisor.py")
    (line,) = [line for line in Path(f"/proc/{supervisor}/status").read_text().splitlines() if "VmRSS" in line]
    assert int(line.split()[1]) << 10 < SUPERVISOR_BYTES_MAX
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    assert children == [str(status["pid"])]
    assert {os.readlink(f"/proc/{supervisor}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    pid, _ = kill(daemon)
    eventually(healed(daemon, pid), "the mount answers again")
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    assert children == [str(daemon.status()["pid"])], "the killed one was not reaped"
    daemon.umount()
    wait_for_end(supervisor)


def test_umount_after_a_restart_drains_and_ends_both_processes(daemon: Daemon) -> None:
    daemon.mount()
    (daemon.mountpoint / "file").write_bytes(b"kept")
    pid, supervisor = kill(daemon)
    eventually(healed(daemon, pid), "the mount answers again")
    assert (daemon.mountpoint / "file").read_bytes() == b"kept"
    daemon.umount()
    wait_for_end(supervisor)
    assert (daemon.engine / "file").read_bytes() == b"kept"
    assert mount_type(daemon.mountpoint) == ""


def test_sigterm_to_the_supervisor_drains_and_nothing_is_started_again(daemon: Daemon) -> None:
    daemon.mount()
    status = daemon.status()
    (daemon.mountpoint / "file").write_bytes(b"drained")
    os.kill(status["supervisor"], signal.SIGTERM)
    wait_for_end(status["supervisor"])
    assert not Path(f"/proc/{status['pid']}").exists()
    assert (daemon.engine / "file").read_bytes() == b"drained"
    assert mount_type(daemon.mountpoint) == ""


def test_whoever_takes_the_dead_mount_away_and_mounts_anew_is_not_in_anybodys_way(daemon: Daemon) -> None:
    """What an operator, or a test that knows no supervisor, does after a kill."""
    daemon.mount()
    for round_number in range(3):
        (daemon.mountpoint / f"file{round_number}").write_bytes(b"kept")
        _, supervisor = kill(daemon)
        subprocess.run(["umount", "-l", str(daemon.mountpoint)], check=True)
        daemon.mount()
        wait_for_end(supervisor)
        assert len(os.listdir(daemon.mountpoint)) == round_number + 1
    daemon.umount()


def test_mounting_over_the_dead_mount_works_also_when_the_supervisor_was_faster(daemon: Daemon) -> None:
    daemon.mount()
    pid, _ = kill(daemon)
    daemon.mount()
    healthy = daemon.status()
    assert healthy["pid"] != pid
    os.kill(healthy["pid"], signal.SIGKILL)
    eventually(healed(daemon, healthy["pid"]), "the mount answers again")
    daemon.mount()
    assert daemon.status()["restarts"] >= 1
    daemon.umount()


def test_a_mount_waits_for_a_daemon_that_is_still_draining(daemon: Daemon) -> None:
    daemon.mount()
    pid = daemon.status()["pid"]
    for number in range(300):
        (daemon.mountpoint / str(number)).write_bytes(b"x")
    subprocess.run(["umount", "-i", "-l", str(daemon.mountpoint)], check=True)
    daemon.mount()
    assert not Path(f"/proc/{pid}").exists() or daemon.status()["pid"] != pid
    assert len(os.listdir(daemon.mountpoint)) == 300
    daemon.umount()


def test_daemons_that_die_one_after_the_other_are_given_up_with_a_reason(daemon: Daemon) -> None:
    daemon.mount()
    supervisor = daemon.status()["supervisor"]
    (daemon.mountpoint / "file").write_bytes(b"kept")
    deaths = supervision.DEATHS_MAX + 1
    command = supervision.command_of(f"file://{daemon.engine}", str(daemon.mountpoint), [f"state={daemon.state}"])
    kill(daemon)
    os.kill(supervisor, signal.SIGKILL)  # this test plays the supervisor
    done = subprocess.run(
        [*command, "--restarted", f"{deaths + 1}:{deaths + 1}:killed by signal 9"], timeout=SECONDS_MAX
    )
    assert done.returncode == 0
    assert mount_type(daemon.mountpoint) == ""
    assert daemon.log()[-1]["event"] == "dead_mount_taken_away"
    assert "killed by signal 9" in daemon.log()[-1]["reason"]
    daemon.mount()
    assert (daemon.mountpoint / "file").read_bytes() == b"kept"
    daemon.umount()


def test_an_engine_that_is_away_at_a_restart_is_waited_for(daemon: Daemon) -> None:
    daemon.mount()
    (daemon.mountpoint / "file").write_bytes(b"kept")
    away = daemon.engine.with_name("away")
    daemon.engine.rename(away)
    pid, _ = kill(daemon)
    eventually(lambda: daemon.log()[-1]["event"] == "restart_failed", "a start fails")
    assert mount_type(daemon.mountpoint) == "fuse.vaultairefs", "programs see the directory below"
    away.rename(daemon.engine)
    eventually(healed(daemon, pid), "the mount answers again")
    assert (daemon.mountpoint / "file").read_bytes() == b"kept"
    daemon.umount()


def test_an_unsupervised_daemon_has_no_supervisor(daemon: Daemon) -> None:
    daemon.options.append("supervise=off")
    daemon.mount()
    assert daemon.status()["supervisor"] is None
    pid, _ = kill(daemon)
    wait_for_end(pid)
    daemon.mount()
    assert daemon.status()["restarts"] == 0
    assert run("umount", daemon.mountpoint).returncode == 0
