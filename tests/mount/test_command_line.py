"""The command line's promises, each with a real daemon: mounting, unmounting, draining, asking."""

import csv
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import COMMAND, SECONDS_MAX, Daemon, workshop
from tests.support.small_disk import small_disk

LAZY = ("flush_delay=1h",)
"""Nothing reaches the engine by itself."""


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


def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_MAX, **options)  # type: ignore[call-overload, no-any-return]


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"vaultairefs: [^\n]+\n", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def mount_type(path: Path) -> str:
    found = [
        line.split(" - ")[1].split()[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4] == str(path)
    ]
    return found[-1] if found else ""


def wait_for_end(pid: int) -> None:
    """Until the process is gone; it may be already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(SECONDS_MAX * 1000)
    finally:
        os.close(descriptor)


def has_ended(pid: int) -> bool:
    """Also when nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


# mount


def test_when_mount_returns_the_volume_answers_and_the_daemon_has_left_the_terminal(daemon: Daemon) -> None:
    (daemon.engine / "there").write_text("already")
    done = run("mount", f"file://{daemon.engine}", daemon.mountpoint, "-o", f"state={daemon.state}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert mount_type(daemon.mountpoint) == "fuse.vaultairefs"
    assert (daemon.mountpoint / "there").read_text() == "already"
    pid = daemon.status()["pid"]
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    daemon.umount()


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("nothing", "", ["nothing"]),
        ("gopher://x/y", "", ["gopher", "file"]),
        ("file:///does/not/exist", "", ["/does/not/exist", "no such directory"]),
        ("file:///etc/hostname", "", ["/etc/hostname", "no directory"]),
        ("{engine}", "bogus=1", ["unknown mount option", "bogus"]),
        ("{engine}", "sync=sometimes", ["sync=sometimes", "journaled"]),
        ("{engine}", "buffer_size=many", ["buffer_size=many"]),
        ("{engine}", "state=/proc/nowhere", ["/proc/nowhere"]),
        ("{engine}", "tenant=../up", ["tenant"]),
        ("{engine}", "supervise\\", ["backslash"]),
    ],
)
def test_a_mount_that_cannot_work_is_one_sentence_and_leaves_nothing(
    daemon: Daemon, spec: str, options: str, words: list[str]
) -> None:
    said = spec.format(engine=f"file://{daemon.engine}")
    given = ["-o", options if "state=" in options or "\\" in options else f"state={daemon.state},{options}"]
    assert_one_sentence(run("mount", said, daemon.mountpoint, *given), *words)
    assert mount_type(daemon.mountpoint) == ""
    assert not daemon.state.exists()


def test_a_mount_point_that_is_missing_or_no_directory_is_one_sentence(daemon: Daemon, base: Path) -> None:
    (base / "file").write_text("")
    for name, word in (("missing", "No such file or directory"), ("file", "not a directory")):
        done = run("mount", f"file://{daemon.engine}", base / name, "-o", f"state={daemon.state}")
        assert_one_sentence(done, str(base / name), word)
    assert not daemon.state.exists()


def test_a_volume_is_not_mounted_over_itself(daemon: Daemon, base: Path) -> None:
    daemon.mount()
    done = run("mount", f"file://{daemon.engine}", daemon.mountpoint, "-o", f"state={base / 'other'}")
    assert_one_sentence(done, "already")
    assert daemon.status()["mount"] == str(daemon.mountpoint)
    daemon.umount()


def test_a_state_directory_serves_one_daemon_and_one_engine(daemon: Daemon, base: Path) -> None:
    daemon.mount()
    second, other = base / "second", base / "other"
    second.mkdir()
    other.mkdir()
    state = f"state={daemon.state}"
    pid = daemon.status()["pid"]
    assert_one_sentence(run("mount", f"file://{daemon.engine}", second, "-o", state), "another daemon", str(pid))
    daemon.umount()
    assert_one_sentence(run("mount", f"file://{other}", second, "-o", state), "belongs to", str(daemon.engine))
    assert mount_type(second) == ""


def test_without_dev_fuse_the_sentence_names_it(daemon: Daemon, base: Path) -> None:
    (base / "dev").mkdir()
    script = """
    mount -t tmpfs none "$0"
    for name in null urandom; do : >"$0/$name"; mount --bind /dev/$name "$0/$name"; done
    mount --rbind "$0" /dev
    exec "$@"
    """
    words = [*COMMAND, "mount", f"file://{daemon.engine}", str(daemon.mountpoint), "-o", f"state={daemon.state}"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, base / "dev", *words],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert_one_sentence(done, "/dev/fuse")
    assert mount_type(daemon.mountpoint) == ""


def test_dots_links_and_relative_names_lead_to_the_same_mount(daemon: Daemon, base: Path) -> None:
    (base / "link").symlink_to("mount")
    done = run("mount", f"file://{daemon.engine}", "./link", "-o", "state=state", cwd=base)
    assert done.returncode == 0, done.stderr
    assert mount_type(daemon.mountpoint) == "fuse.vaultairefs"
    assert json.loads(run("status", "mount/../link", "--json", cwd=base).stdout)["state_dir"] == str(daemon.state)
    assert run("umount", "link", cwd=base).returncode == 0


def test_a_read_only_mount_writes_nothing_to_the_engine(daemon: Daemon) -> None:
    (daemon.engine / "sub").mkdir()
    (daemon.engine / "sub" / "file").write_text("text")

    def snapshot() -> list[tuple[str, int, int, int]]:
        seen = []
        for path in [daemon.engine, *sorted(daemon.engine.rglob("*"))]:
            status = path.stat()
            seen.append((str(path), status.st_ino, status.st_mtime_ns, status.st_ctime_ns))
        return seen

    before = snapshot()
    daemon.options.append("ro")
    daemon.mount()
    assert (daemon.mountpoint / "sub" / "file").read_text() == "text"
    with pytest.raises(OSError, match="Read-only"):
        (daemon.mountpoint / "new").write_text("x")
    assert_one_sentence(run("flush", daemon.mountpoint), "read-only")
    daemon.umount()
    assert snapshot() == before


def test_the_foreground_logs_to_stderr_and_sigint_ends_it_drained(daemon: Daemon) -> None:
    words = [*COMMAND, "mount", "--foreground", f"file://{daemon.engine}", str(daemon.mountpoint)]
    options = ["-o", f"state={daemon.state},flush_delay=1h"]
    with subprocess.Popen([*words, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line)["event"] == "mounted":
                break
        (daemon.mountpoint / "file").write_text("bytes")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(SECONDS_MAX) == 0, rest
    assert (daemon.engine / "file").read_text() == "bytes"
    assert mount_type(daemon.mountpoint) == ""


def test_supervise_is_for_daemons(daemon: Daemon) -> None:
    done = run("mount", "--foreground", f"file://{daemon.engine}", daemon.mountpoint, "-o", "supervise")
    assert_one_sentence(done, "supervise")


# umount


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


# signals and crashes


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


def test_a_supervised_daemon_that_is_killed_leaves_no_dead_mount(daemon: Daemon) -> None:
    daemon.options.append("supervise")
    daemon.mount()
    pid = daemon.status()["pid"]
    watcher = int(Path(f"/proc/{pid}/stat").read_text().split()[3])
    os.kill(pid, signal.SIGKILL)
    wait_for_end(watcher)
    assert mount_type(daemon.mountpoint) == ""
    assert list(daemon.mountpoint.iterdir()) == []


# flush, status, events, doctor


def test_flush_waits_for_a_file_a_directory_or_everything(daemon: Daemon) -> None:
    daemon.mount()
    for name in ("one", "two", "three"):
        (daemon.mountpoint / name).mkdir()
        (daemon.mountpoint / name / "file").write_text(name)
    assert run("flush", daemon.mountpoint / "one" / "file").returncode == 0
    assert (daemon.engine / "one" / "file").read_text() == "one"
    assert run("flush", daemon.mountpoint / "two").returncode == 0
    assert (daemon.engine / "two" / "file").read_text() == "two"
    assert run("flush", daemon.mountpoint).returncode == 0
    assert (daemon.engine / "three" / "file").read_text() == "three"
    (daemon.mountpoint / "one" / "file").unlink()
    assert run("flush", daemon.mountpoint / "one").returncode == 0
    assert not (daemon.engine / "one" / "file").exists()
    assert daemon.status()["dirty_artifacts"] == 0
    daemon.umount()


def test_flush_outside_of_a_volume_is_refused(base: Path) -> None:
    assert_one_sentence(run("flush", base), "not in a mounted vaultairefs volume")
    assert_one_sentence(run("flush", base / "missing"), "No such file")


def test_status_has_every_field_that_scripts_rely_on(daemon: Daemon) -> None:
    (daemon.engine / "old").write_bytes(b"o" * 1000)
    daemon.mount()
    assert (daemon.mountpoint / "old").read_bytes() == b"o" * 1000
    (daemon.mountpoint / "new").write_bytes(b"n" * 2000)
    status = daemon.status()
    fields = (
        "mount engine tenant state_dir pid sync passthrough dirty_artifacts dirty_bytes oldest_dirty_s inflight_bytes "
        "flushed_artifacts flush_errors conflicts quarantined requests bytes_uploaded bytes_downloaded inodes "
        "cached_bytes event_sequence recovered"
    )
    assert set(fields.split()) <= status.keys()
    assert status["mount"] == str(daemon.mountpoint)
    assert status["engine"] == f"file://{daemon.engine}"
    assert status["state_dir"] == str(daemon.state)
    assert status["sync"] == "journaled"
    assert status["passthrough"].startswith("off: ")
    assert (status["dirty_artifacts"], status["dirty_bytes"]) == (2, 2000)
    assert status["oldest_dirty_s"] >= 0
    assert status["bytes_downloaded"] == 1000
    assert status["requests"]["list"] >= 1
    daemon.flush()
    status = daemon.status()
    assert (status["dirty_artifacts"], status["dirty_bytes"], status["oldest_dirty_s"]) == (0, 0, 0)
    assert status["flushed_artifacts"] >= 1
    assert status["bytes_uploaded"] == 2000
    assert status["flush_errors"] == []
    for_people = run("status", daemon.mountpoint).stdout
    assert str(daemon.mountpoint) in for_people
    assert "2.0 KiB" in for_people
    assert str(daemon.mountpoint) in [one["mount"] for one in json.loads(run("status", "--json").stdout)]
    daemon.umount()
    assert_one_sentence(run("status", daemon.mountpoint), "not a mounted vaultairefs volume")


def test_the_event_log_is_read_while_mounted_and_after(daemon: Daemon, base: Path) -> None:
    daemon.mount()
    (daemon.mountpoint / "a,b\n").mkdir()
    for target in (daemon.mountpoint, daemon.state):
        lines = run("events", "tail", target, "--from", "1", "--json").stdout.splitlines()
        records = [json.loads(line) for line in lines]
        assert [record["sequence"] for record in records] == list(range(1, len(records) + 1))
        (made,) = [record for record in records if record["operation"] == "mkdir"]
        assert (made["artifact"], made["outcome"], made["uid"]) == ("a,b\n", "OK", 0)
    daemon.umount()
    exported = base / "events.csv"
    assert run("events", "export", daemon.state, "--format", "csv", "-o", exported).returncode == 0
    with exported.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["artifact"] for row in rows if row["operation"] == "mkdir"] == ["a,b\n"]
    after = run("events", "export", daemon.state, "--format", "jsonl", "--since", "2100-01-01").stdout
    assert after == ""
    all_lines = run("events", "export", daemon.state, "--format", "jsonl", "--since", "1h").stdout.splitlines()
    assert len(all_lines) == len(rows)
    assert run("events", "export", daemon.state, "--format", "jsonl", "--until", "1h").stdout == ""
    assert_one_sentence(run("events", "export", daemon.state, "--format", "parquet"), "jsonl, csv")
    assert_one_sentence(run("events", "export", daemon.state, "--format", "csv", "--since", "noon"), "--since noon")


def test_following_the_event_log_shows_what_happens_from_now_on(daemon: Daemon) -> None:
    daemon.mount()
    words = [*COMMAND, "events", "tail", str(daemon.mountpoint), "--follow", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        (daemon.mountpoint / "now").mkdir()
        for line in process.stdout:
            record = json.loads(line)
            if (record["operation"], record["artifact"]) == ("mkdir", "now"):
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_MAX) == 130
    daemon.umount()


def test_doctor_says_what_is_there_and_what_a_store_can_do(daemon: Daemon) -> None:
    done = run("doctor", f"file://{daemon.engine}")
    assert done.returncode == 0, done.stdout
    assert f"file://{daemon.engine} answers" in done.stdout
    assert "/dev/fuse can be opened" in done.stdout
    assert list(daemon.engine.iterdir()) == []
    bad = run("doctor", "file:///does/not/exist")
    assert bad.returncode == 1
    assert "fail  file:///does/not/exist" in bad.stdout
