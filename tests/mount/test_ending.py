"""How a mount ends: umount, signals, kill -9; what each leaves in the engine and in the state directory."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import LAZY, assert_one_sentence, has_ended, mount_type, run, wait_for_end
from tests.support.daemon import COMMAND, SECONDS_MAX, Daemon, workshop
from tests.support.small_disk import small_disk


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        yield folder


@pytest.fixture
def daemon(base: Path) -> Iterator[Daemon]:
    """Not mounted yet; whatever a test leaves mounted is detached."""
    daemon = Daemon(base, options=LAZY)
    yield daemon
    daemon.detach()


def test_umount_returns_when_the_engine_has_everything_and_the_daemon_has_ended(daemon: Daemon) -> None:
    daemon.mount()
    pid = daemon.status()["pid"]
    (daemon.mountpoint / "sub").mkdir()
    (daemon.mountpoint / "sub" / "file").write_bytes(b"x" * 3_000_000)
    assert not (daemon.engine / "sub").exists()
    done = run("umount", daemon.mountpoint)
    assert done.returncode == 0, done.stderr
    assert (daemon.engine / "sub" / "file").read_bytes() == b"x" * 3_000_000
    assert mount_type(daemon.mountpoint) == ""
    assert has_ended(pid)


def test_on_a_terminal_umount_shows_how_draining_goes(daemon: Daemon) -> None:
    daemon.mount()
    for number in range(300):
        (daemon.mountpoint / str(number)).write_text("x")
    terminal, side = pty.openpty()
    with subprocess.Popen([*COMMAND, "umount", str(daemon.mountpoint)], stderr=side) as process:
        os.close(side)
        shown = b""
        try:
            while piece := os.read(terminal, 65536):
                shown += piece
        except OSError:
            pass  # how a terminal says that its other side is closed
        assert process.wait(SECONDS_MAX) == 0
    os.close(terminal)
    assert b"draining" in shown
    assert b"301/301" in shown


def test_umount_without_draining_keeps_everything_for_the_next_mount(daemon: Daemon) -> None:
    daemon.mount()
    (daemon.mountpoint / "file").write_text("bytes")
    assert run("umount", "--no-drain", daemon.mountpoint).returncode == 0
    assert not (daemon.engine / "file").exists()
    assert mount_type(daemon.mountpoint) == ""
    daemon.mount()
    assert (daemon.mountpoint / "file").read_text() == "bytes"
    daemon.umount()
    assert (daemon.engine / "file").read_text() == "bytes"


def test_umount_gives_up_draining_after_its_timeout_and_loses_nothing(daemon: Daemon) -> None:
    daemon.engine.rmdir()
    content = os.urandom(4 << 20)
    with small_disk(daemon.engine, 1 << 20):
        daemon.mount()
        (daemon.mountpoint / "file").write_bytes(content)
        done = run("umount", daemon.mountpoint, "--timeout", "1.5")
        assert_one_sentence(done, "changes not in the engine", str(daemon.state))
        assert mount_type(daemon.mountpoint) == ""
        subprocess.run(["mount", "-o", "remount,size=16m", str(daemon.engine)], check=True)
        daemon.mount()
        daemon.umount()
        assert (daemon.engine / "file").read_bytes() == content


def test_a_flush_failure_is_shown_until_it_is_over(daemon: Daemon) -> None:
    daemon.engine.rmdir()
    with small_disk(daemon.engine, 1 << 20):
        daemon.mount()
        (daemon.mountpoint / "file").write_bytes(os.urandom(4 << 20))
        assert run("flush", daemon.mountpoint / "file", "--timeout", "2").returncode == 1
        status = daemon.status()
        assert status["flush_errors"]
        assert status["dirty_artifacts"] == 2, "the file, and its container's times"
        assert status["dirty_bytes"] == 4 << 20
        subprocess.run(["mount", "-o", "remount,size=16m", str(daemon.engine)], check=True)
        daemon.flush()
        assert daemon.status()["dirty_artifacts"] == 0
        daemon.umount()


def test_a_busy_mount_stays_and_goes_on_working(daemon: Daemon) -> None:
    daemon.mount()
    with (daemon.mountpoint / "file").open("w") as file:
        assert_one_sentence(run("umount", daemon.mountpoint), str(daemon.mountpoint), "in use")
        assert_one_sentence(run("umount", "--no-drain", daemon.mountpoint), "in use")
        file.write("still here")
    assert mount_type(daemon.mountpoint) == "fuse.vaultairefs"
    assert run("umount", daemon.mountpoint).returncode == 0
    assert (daemon.engine / "file").read_text() == "still here"


def test_umount_of_something_else_is_refused(base: Path) -> None:
    assert_one_sentence(run("umount", base), "not a mounted vaultairefs volume")
    assert_one_sentence(run("umount", "/proc"), "not a mounted vaultairefs volume")
    assert Path("/proc/self").exists()


def test_sigterm_drains_and_another_one_does_not_hurry_it(daemon: Daemon) -> None:
    daemon.mount()
    pid = daemon.status()["pid"]
    for number in range(100):
        (daemon.mountpoint / str(number)).write_text(str(number))
    os.kill(pid, signal.SIGTERM)
    for _ in range(3):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            break
    wait_for_end(pid)
    assert {path.name for path in daemon.engine.iterdir() if path.name.isdigit()} == set(map(str, range(100)))
    assert mount_type(daemon.mountpoint) == ""
    assert daemon.log()[-1]["event"] == "ended"


def test_sigterm_detaches_a_busy_mount_and_drains_it_all_the_same(daemon: Daemon) -> None:
    daemon.mount()
    pid = daemon.status()["pid"]
    descriptor = os.open(daemon.mountpoint / "file", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"written")
    os.kill(pid, signal.SIGTERM)
    wait_for_end(pid)
    assert (daemon.engine / "file").read_text() == "written"
    assert mount_type(daemon.mountpoint) == ""
    with pytest.raises(OSError, match="not connected"):
        os.close(descriptor)


def test_a_second_sigint_gives_up_draining_and_the_next_mount_goes_on(daemon: Daemon) -> None:
    daemon.engine.rmdir()
    words = [*COMMAND, "mount", "--foreground", f"file://{daemon.engine}", str(daemon.mountpoint)]
    with small_disk(daemon.engine, 1 << 20):
        with subprocess.Popen([*words, "-o", f"state={daemon.state}"], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            seen = (json.loads(line) for line in process.stderr)
            assert any(record["event"] == "mounted" for record in seen)
            (daemon.mountpoint / "file").write_bytes(bytes(4 << 20))
            process.send_signal(signal.SIGINT)
            assert any(record["event"] == "unmounted" for record in seen)
            process.send_signal(signal.SIGINT)
            assert any(record["event"] == "not_drained" for record in seen)
            assert process.wait(SECONDS_MAX) == 0
        subprocess.run(["mount", "-o", "remount,size=16m", str(daemon.engine)], check=True)
        daemon.mount()
        daemon.umount()
        assert (daemon.engine / "file").stat().st_size == 4 << 20


def test_after_kill_9_the_next_mount_clears_the_dead_one_and_goes_on(daemon: Daemon) -> None:
    daemon.mount()
    pid = daemon.status()["pid"]
    (daemon.mountpoint / "file").write_text("kept")
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert_one_sentence(run("status", daemon.mountpoint), "gone", str(daemon.state))
    daemon.mount()
    assert (daemon.mountpoint / "file").read_text() == "kept"
    assert daemon.status()["recovered"]["changes_replayed"] > 0
    daemon.umount()
    assert (daemon.engine / "file").read_text() == "kept"


def test_umount_clears_a_dead_mount_and_says_so(daemon: Daemon) -> None:
    daemon.mount()
    pid = daemon.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert_one_sentence(run("umount", daemon.mountpoint), "dead", str(daemon.state))
    assert mount_type(daemon.mountpoint) == ""
