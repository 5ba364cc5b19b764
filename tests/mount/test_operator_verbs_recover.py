"""check, recover, warm and evict, as an operator uses them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import assert_one_sentence, run
from tests.support.daemon import Daemon, workshop

MIB = 1 << 20


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with workshop() as base:
        daemon = Daemon(base, options=("flush_delay=1h", "ttl=1h"))
        try:
            yield daemon
        finally:
            daemon.end()


def checked(daemon: Daemon, *words: str, status: int = 0) -> dict[str, Any]:
    done = run("check", daemon.mountpoint, "--json", *words)
    assert done.returncode == status, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def kinds(answer: dict[str, Any]) -> dict[str, str]:
    return {difference["path"]: difference["kind"] for difference in answer["differences"]}


def findings(*words: str | Path) -> dict[str, dict[str, Any]]:
    done = run("recover", *words, "--json")
    assert done.returncode == 0, done.stderr
    return {finding["id"]: finding for finding in json.loads(done.stdout)["findings"]}


def stocked(daemon: Daemon) -> None:
    """A few files in the engine and, as bytes, in the buffer."""
    (daemon.mountpoint / "d").mkdir()
    for name in ("same", "gone", "newer", "other mode", "d/below"):
        (daemon.mountpoint / name).write_bytes(name.encode() * 1000)
    daemon.flush()


# check


def test_check_of_a_volume_that_agrees_with_its_engine_finds_nothing(daemon: Daemon) -> None:
    daemon.mount()
    stocked(daemon)
    (daemon.mountpoint / "newer").write_bytes(b"not stored yet")
    answer = checked(daemon, "--deep")
    assert answer["differences"] == []
    assert answer["entries"] == 5 and answer["containers"] == 2 and answer["owed"] == 1
    assert answer["files_compared"] == 4
    assert "0 differences" in run("check", daemon.mountpoint).stdout
    daemon.umount()


def test_check_names_each_kind_of_difference_and_changes_nothing(daemon: Daemon) -> None:
    daemon.mount()
    stocked(daemon)
    disturb(daemon)
    found = kinds(checked(daemon, status=4))
    assert found == {
        "gone": "missing",
        "newer": "version",
        "other mode": "attributes",
        "d/foreign": "unseen",
    }
    assert kinds(checked(daemon, status=4)) == found
    assert (daemon.mountpoint / "gone").exists()
    daemon.umount()


def test_repair_takes_over_what_the_engine_says_and_nothing_that_is_owed(daemon: Daemon) -> None:
    daemon.mount()
    stocked(daemon)
    (daemon.mountpoint / "same").write_bytes(b"changed here")
    (daemon.engine / "same").write_bytes(b"changed there")
    disturb(daemon)
    answer = checked(daemon, "--repair")
    assert len(answer["differences"]) == 4 and answer["left"] == 0
    assert checked(daemon)["differences"] == []
    assert sorted(os.listdir(daemon.mountpoint)) == ["d", "newer", "other mode", "same"]
    assert (daemon.mountpoint / "newer").read_bytes() == b"theirs"
    assert (daemon.mountpoint / "other mode").stat().st_mode & 0o777 == 0o600
    assert (daemon.mountpoint / "d" / "foreign").read_bytes() == b"x"
    assert (daemon.mountpoint / "same").read_bytes() == b"changed here"
    daemon.umount()


def disturb(daemon: Daemon) -> None:
    os.listdir(daemon.mountpoint / "d")
    (daemon.engine / "gone").unlink()
    (daemon.engine / "newer.new").write_bytes(b"theirs")
    (daemon.engine / "newer.new").rename(daemon.engine / "newer")
    (daemon.engine / "other mode").chmod(0o600)
    (daemon.engine / "d" / "foreign").write_bytes(b"x")


def test_a_deep_check_finds_a_local_copy_that_rotted_and_repair_drops_it(daemon: Daemon) -> None:
    daemon.mount()
    stocked(daemon)
    (body,) = [path for path in (daemon.state / "bodies").glob("*/*") if path.read_bytes() == b"same" * 1000]
    with body.open("r+b") as file:
        file.write(b"ROT")
    assert checked(daemon)["differences"] == []
    assert kinds(checked(daemon, "--deep", status=4)) == {"same": "content"}
    assert checked(daemon, "--deep", "--repair")["left"] == 0
    assert checked(daemon, "--deep")["differences"] == []
    daemon.umount()


def test_check_of_what_is_no_volume_is_one_sentence(daemon: Daemon) -> None:
    assert_one_sentence(run("check", daemon.engine), "not a mounted")


# recover


def test_after_a_clean_end_there_is_nothing_to_recover(daemon: Daemon) -> None:
    daemon.mount()
    stocked(daemon)
    assert findings(daemon.mountpoint) == {}
    daemon.umount()
    assert findings("--state", daemon.state) == {}
    assert "nothing was left behind" in run("recover", "--state", daemon.state).stdout
    daemon.mount()
    assert daemon.status()["recovered"]["power_was_cut"] is False
    daemon.umount()


def test_what_the_engine_does_not_have_can_be_taken_out_of_a_state_directory(daemon: Daemon, tmp_path: Path) -> None:
    daemon.mount()
    (daemon.mountpoint / "d").mkdir()
    (daemon.mountpoint / "d" / "file").write_bytes(b"only here")
    handles = [os.open(daemon.mountpoint / name, os.O_WRONLY | os.O_CREAT) for name in ("open", "unlinked")]
    os.write(handles[0], b"still open")
    os.write(handles[1], b"without a name")
    (daemon.mountpoint / "unlinked").unlink()
    daemon.kill()
    for handle in handles:
        with pytest.raises(OSError, match="not connected"):
            os.close(handle)
    found = findings("--state", daemon.state)
    by_path = {finding["path"]: finding for finding in found.values() if finding["kind"] == "unstored"}
    assert by_path.keys() == {"d/file", "open"}
    (nameless,) = [finding for finding in found.values() if finding["kind"] == "nameless"]
    done = run("recover", "--state", daemon.state, "--export", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / by_path["d/file"]["id"]).read_bytes() == b"only here"
    assert (tmp_path / "out" / by_path["open"]["id"]).read_bytes() == b"still open"
    assert (tmp_path / "out" / nameless["id"]).read_bytes() == b"without a name"
    assert json.loads((tmp_path / "out" / f"{nameless['id']}.json").read_text())["kind"] == "nameless"
    assert_one_sentence(run("recover", "--state", daemon.state, "--export", tmp_path / "out"), "overwritten")
    daemon.mount()
    assert (daemon.mountpoint / "d" / "file").read_bytes() == b"only here"
    assert (daemon.mountpoint / "open").read_bytes() == b"still open"
    daemon.umount()


def test_quarantine_is_dropped_by_its_id_only_with_and_without_a_daemon(daemon: Daemon, tmp_path: Path) -> None:
    daemon.mount()
    for name in ("one", "two", "three"):
        (daemon.state / "quarantine" / name).write_bytes(name.encode())
    assert findings(daemon.mountpoint).keys() == {"one", "two", "three"}
    assert run("recover", daemon.mountpoint, "--export", tmp_path, "--id", "two").returncode == 0
    assert (tmp_path / "two").read_bytes() == b"two" and not (tmp_path / "one").exists()
    assert_one_sentence(run("recover", daemon.mountpoint, "--drop", "four"), "four")
    assert run("recover", daemon.mountpoint, "--drop", "one").returncode == 0
    assert findings("--state", daemon.state).keys() == {"two", "three"}, "the daemon answers for its state directory"
    daemon.umount()
    assert run("recover", "--state", daemon.state, "--drop", "two").returncode == 0
    assert findings("--state", daemon.state).keys() == {"three"}
    assert (daemon.state / "quarantine" / "three").read_bytes() == b"three"


def test_conflict_copies_and_files_that_lost_their_base_are_named(daemon: Daemon, tmp_path: Path) -> None:
    (daemon.engine / "partial").write_bytes(b"x" * 3 * MIB)
    daemon.mount()
    (daemon.mountpoint / "file").write_bytes(b"ours")
    with (daemon.mountpoint / "partial").open("r+b", buffering=0) as file:
        file.write(b"changed")
    (daemon.engine / "file").write_bytes(b"theirs")
    (daemon.engine / "new").write_bytes(b"theirs")
    (daemon.engine / "new").rename(daemon.engine / "partial")
    assert run("flush", daemon.mountpoint).returncode == 1
    found = list(findings(daemon.mountpoint).values())
    assert sorted(finding["kind"] for finding in found) == ["conflict", "conflict", "lost"]
    (lost,) = [finding for finding in found if finding["kind"] == "lost"]
    assert lost["path"].startswith("partial.conflict-") and lost["extents"] == [[0, 7]]
    assert_one_sentence(run("recover", daemon.mountpoint, "--drop", lost["id"]), "remove /partial.conflict-")
    assert run("recover", daemon.mountpoint, "--export", tmp_path, "--id", lost["id"]).returncode == 0
    assert (tmp_path / lost["id"]).read_bytes()[:7] == b"changed"
    (daemon.mountpoint / lost["path"]).unlink()
    (conflict,) = findings(daemon.mountpoint).values()
    assert conflict["path"].startswith("file.conflict-")
    assert run("recover", daemon.mountpoint, "--export", tmp_path).returncode == 0
    assert (tmp_path / conflict["id"]).read_bytes() == b"ours"
    daemon.umount()


def test_recover_wants_one_place_and_a_state_directory(daemon: Daemon, tmp_path: Path) -> None:
    assert_one_sentence(run("recover"), "--state")
    assert_one_sentence(run("recover", "--state", tmp_path), "not a state directory")


# warm, evict


def test_warm_fetches_what_is_below_and_evict_lets_it_go(daemon: Daemon) -> None:
    (daemon.engine / "d").mkdir()
    for number in range(8):
        (daemon.engine / "d" / str(number)).write_bytes(bytes([number]) * MIB)
    (daemon.engine / "apart").write_bytes(b"x" * MIB)
    daemon.mount()
    assert "8 files" in run("warm", daemon.mountpoint / "d").stdout
    assert 8 * MIB <= daemon.status()["cached_bytes"] < 9 * MIB
    downloaded = daemon.status()["bytes_downloaded"]
    for number in range(8):
        assert (daemon.mountpoint / "d" / str(number)).read_bytes() == bytes([number]) * MIB
    assert daemon.status()["bytes_downloaded"] == downloaded == 8 * MIB
    (daemon.mountpoint / "d" / "0").write_bytes(b"changed")
    done = run("evict", daemon.mountpoint / "d")
    assert "7 local copies" in done.stdout and "1 stay" in done.stdout
    assert daemon.status()["cached_bytes"] < MIB
    assert (daemon.mountpoint / "d" / "0").read_bytes() == b"changed"
    assert (daemon.mountpoint / "d" / "1").read_bytes() == b"\1" * MIB
    daemon.umount()


def test_warm_stops_at_the_budget_and_keeps_what_it_brought(daemon: Daemon) -> None:
    daemon.options.append("buffer_size=16MiB")
    for number in range(12):
        (daemon.engine / str(number)).write_bytes(bytes([number]) * 2 * MIB)
    daemon.mount()
    (daemon.mountpoint / "0").read_bytes()
    done = run("warm", daemon.mountpoint)
    assert done.returncode == 1
    assert "files are here" in done.stdout and "do not fit" in done.stderr
    status = daemon.status()
    assert 12 * MIB <= status["cached_bytes"] <= 16 * MIB
    assert status["bytes_downloaded"] <= 18 * MIB
    daemon.umount()


def test_warm_and_evict_of_one_file_and_of_nothing(daemon: Daemon) -> None:
    (daemon.engine / "file").write_bytes(b"x" * 100)
    daemon.mount()
    assert "1 files" in run("warm", daemon.mountpoint / "file").stdout
    assert "1 local copies" in run("evict", daemon.mountpoint / "file").stdout
    assert_one_sentence(run("warm", daemon.mountpoint / "missing"), "missing")
    assert_one_sentence(run("evict", daemon.engine), "not in a mounted")
    daemon.umount()
