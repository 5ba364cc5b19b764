"""The command line's promises, each with a real daemon: mounting, and asking a volume."""

import csv
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import LAZY, assert_one_sentence, mount_type, run
from tests.support.daemon import COMMAND, SECONDS_MAX, Daemon, workshop


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


def test_a_memory_volume_works_until_it_is_unmounted(daemon: Daemon) -> None:
    assert run("mount", "memory:", daemon.mountpoint, "-o", f"state={daemon.state},flush_delay=0").returncode == 0
    (daemon.mountpoint / "file").write_text("text")
    assert run("flush", daemon.mountpoint).returncode == 0
    assert (daemon.mountpoint / "file").read_text() == "text"
    assert daemon.status()["engine"].startswith("memory:")
    daemon.umount()


def test_tenants_of_one_directory_do_not_see_each_other(daemon: Daemon) -> None:
    for tenant in ("red", "blue"):
        daemon.options = ["flush_delay=0", f"tenant={tenant}"]
        daemon.state = daemon.state.with_name(f"state-{tenant}")
        daemon.mount()
        assert list(daemon.mountpoint.iterdir()) == []
        (daemon.mountpoint / "mine").write_text(tenant)
        assert daemon.status()["tenant"] == tenant
        daemon.umount()
        assert (daemon.engine / f"t-{tenant}" / "mine").read_text() == tenant


def test_uid_gid_and_umask_say_whose_the_entries_of_the_store_are(daemon: Daemon) -> None:
    stored = daemon.engine / "file"
    stored.write_text("text")
    stored.chmod(0o666)
    daemon.options += ["uid=1234", "gid=4321", "umask=027"]
    daemon.mount()
    seen = (daemon.mountpoint / "file").stat()
    assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o777) == (1234, 4321, 0o640)
    daemon.umount()
    kept = stored.stat()
    assert (kept.st_uid, kept.st_gid, kept.st_mode & 0o777) == (0, 0, 0o666)


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
    assert re.fullmatch(r"on|off: .+", status["passthrough"])
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
    # A suite that runs in the background of a shell hands an ignored SIGINT down.
    words = ["env", "--default-signal=INT", *COMMAND, "events", "tail", str(daemon.mountpoint), "--follow", "--json"]
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


def test_the_version_is_that_of_the_package() -> None:
    done = run("--version")
    (line,) = [line for line in Path("pyproject.toml").read_text().splitlines() if line.startswith("version = ")]
    assert (done.returncode, done.stdout) == (0, f"vaultairefs {line.split(chr(34))[1]}\n")
