"""One daemon, one engine, one format per state directory; after a crash it knows whether power was cut."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.killing import ROOT, acknowledged_before_kill
from vaultairefs.disk import state_directory
from vaultairefs.disk.machine import MachineIdentity, identify
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.model.errors import BadInput, VaultaireError

ENGINE = "file:///srv/data"


def open_state(path: Path) -> StateDirectory:
    return StateDirectory.open(path, ENGINE)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[MachineIdentity]:
    """The machine that ``StateDirectory`` believes to run on: the last one of the list."""
    machines = [MachineIdentity("boot-1", "fs-1")]
    monkeypatch.setattr(state_directory, "identify", lambda _: machines[-1])
    return machines


def test_everything_made_is_for_the_owner_only(tmp_path: Path) -> None:
    state = open_state(tmp_path / "a" / "state")
    assert sorted(entry.name for entry in state.path.iterdir() if entry.is_dir()) == [
        "bodies",
        "events",
        "journal",
        "quarantine",
    ]
    for path in (state.path, *state.path.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path


def test_every_directory_made_is_durable_in_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(state_directory, "sync_directory", lambda path: synced.append(Path(path)))
    state = open_state(tmp_path / "a" / "s")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "s"]
    state.close(False)
    synced.clear()
    open_state(tmp_path / "a" / "s")
    assert synced == [], "a parent that was there before need not even be readable to us"


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    """It may be anybody's: only what is made here is closed to others."""
    (tmp_path / "state").mkdir(mode=0o755)
    open_state(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o755


def test_the_mount_id_is_drawn_once(tmp_path: Path) -> None:
    first = open_state(tmp_path / "s")
    first.close(True)
    second = open_state(tmp_path / "s")
    other = open_state(tmp_path / "t")
    assert first.mount_id == second.mount_id != other.mount_id
    assert len(first.mount_id) == 8 and int(first.mount_id, 16) >= 0


def test_a_directory_in_use_is_refused_and_the_owner_named(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    with pytest.raises(BadInput, match=rf"in use by another daemon \(pid {os.getpid()}\)"):
        open_state(tmp_path / "s")
    state.close(False)
    open_state(tmp_path / "s").close(False)


HOLDER = """
import sys
from vaultairefs.disk.state_directory import StateDirectory
state = StateDirectory.open(sys.argv[1], "file:///srv/data")
print(state.mount_id, flush=True)
sys.stdin.read()
"""


def test_another_process_is_kept_out_until_the_owner_is_gone(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "s")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline()
        with pytest.raises(BadInput, match=f"pid {child.pid}"):
            open_state(tmp_path / "s")
        child.kill()
    open_state(tmp_path / "s")


def test_a_directory_of_another_engine_is_refused_untouched(tmp_path: Path) -> None:
    open_state(tmp_path / "s").close(True)
    with pytest.raises(BadInput, match="belongs to file:///srv/data, not to s3://bucket"):
        StateDirectory.open(tmp_path / "s", "s3://bucket")
    state = open_state(tmp_path / "s")
    assert not state.power_was_cut


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    open_state(tmp_path / "s").close(True)
    path = tmp_path / "s" / "identity.json"
    path.write_bytes(path.read_bytes().replace(b'"format_version": 1', b'"format_version": 99'))
    with pytest.raises(BadInput, match="newer version"):
        open_state(tmp_path / "s")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_identity_is_refused_not_replaced(tmp_path: Path, content: bytes) -> None:
    open_state(tmp_path / "s").close(True)
    (tmp_path / "s" / "identity.json").write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        open_state(tmp_path / "s")
    assert (tmp_path / "s" / "identity.json").read_bytes() == content


def test_a_journal_without_identity_is_not_given_to_a_new_engine(tmp_path: Path) -> None:
    open_state(tmp_path / "s").close(True)
    (tmp_path / "s" / "identity.json").unlink()
    (tmp_path / "s" / "journal" / "journal-0000000000000001.log").write_bytes(b"x")
    with pytest.raises(BadInput, match="has a journal but no"):
        open_state(tmp_path / "s")


def test_a_place_that_cannot_hold_a_directory_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="cannot be used"):
        open_state(tmp_path / "file" / "state")


def test_a_refusal_lets_go_of_the_lock(tmp_path: Path) -> None:
    open_state(tmp_path / "s").close(True)
    for _ in range(2):
        with pytest.raises(BadInput, match="belongs to"):
            StateDirectory.open(tmp_path / "s", "s3://bucket")
    open_state(tmp_path / "s")


def test_the_first_life_has_no_past(tmp_path: Path, machine: list[MachineIdentity]) -> None:
    state = open_state(tmp_path / "s")
    assert (state.previous_machine, state.power_was_cut) == (None, False)
    assert state.machine == machine[0]


def test_a_crash_in_the_same_boot_is_no_power_cut(tmp_path: Path, machine: list[MachineIdentity]) -> None:
    open_state(tmp_path / "s").close(False)
    state = open_state(tmp_path / "s")
    assert not state.power_was_cut
    assert state.previous_machine == machine[0]


@pytest.mark.parametrize("now", [MachineIdentity("boot-2", "fs-1"), MachineIdentity("boot-1", "fs-2")])
def test_a_crash_before_another_boot_or_filesystem_is_a_power_cut(
    tmp_path: Path, machine: list[MachineIdentity], now: MachineIdentity
) -> None:
    open_state(tmp_path / "s").close(False)
    machine.append(now)
    assert open_state(tmp_path / "s").power_was_cut


def test_a_clean_end_before_another_boot_is_no_power_cut(tmp_path: Path, machine: list[MachineIdentity]) -> None:
    open_state(tmp_path / "s").close(True)
    machine.append(MachineIdentity("boot-2", "fs-1"))
    assert not open_state(tmp_path / "s").power_was_cut


def test_a_clean_end_is_believed_once_only(tmp_path: Path, machine: list[MachineIdentity]) -> None:
    open_state(tmp_path / "s").close(True)
    open_state(tmp_path / "s").close(False)
    machine.append(MachineIdentity("boot-2", "fs-1"))
    assert open_state(tmp_path / "s").power_was_cut


def test_a_crash_during_recovery_leaves_the_power_cut_known(tmp_path: Path, machine: list[MachineIdentity]) -> None:
    open_state(tmp_path / "s").close(False)
    machine.append(MachineIdentity("boot-2", "fs-1"))
    for _ in range(2):
        state = open_state(tmp_path / "s")
        assert state.power_was_cut
        state.close(False)
    state = open_state(tmp_path / "s")
    state.recovered()
    assert state.power_was_cut, "what this life found does not change under it"
    state.close(False)
    assert not open_state(tmp_path / "s").power_was_cut


@pytest.mark.parametrize("content", [None, b"{"])
def test_a_lost_machine_record_counts_as_a_power_cut(
    tmp_path: Path, machine: list[MachineIdentity], content: bytes | None
) -> None:
    state = open_state(tmp_path / "s")
    (state.path / "journal" / "journal-0000000000000001.log").write_bytes(b"x")
    state.close(False)
    path = state.path / "machine.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert open_state(tmp_path / "s").power_was_cut


def test_the_clean_flag_is_gone_from_the_disk_before_anything_can_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state(tmp_path / "s").close(True)
    calls: list[str] = []
    unlink, fsync = os.unlink, os.fsync

    def watched_unlink(path: Path, **named: int | None) -> None:
        unlink(path, **named)
        calls.append(Path(path).name)

    def watched_fsync(fd: int) -> None:
        fsync(fd)
        calls.append(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "unlink", watched_unlink)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    open_state(tmp_path / "s")
    assert calls[-2:] == ["clean", str(tmp_path / "s")]


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    state.close(True)
    state.close(False)
    assert not open_state(tmp_path / "s").power_was_cut


REOPENER = """
import sys
from vaultairefs.disk.state_directory import StateDirectory
life = 0
while True:
    state = StateDirectory.open(sys.argv[1], "file:///srv/data")
    state.close(life % 2 == 0)
    life += 1
    print(state.mount_id, flush=True)
"""


def test_kill_9_at_any_moment_leaves_a_directory_that_opens(tmp_path: Path) -> None:
    ids = set()
    for lines in (1, 2, 3, 5, 8):
        ids.update(acknowledged_before_kill(REOPENER, tmp_path / "s", lines=lines))
    state = open_state(tmp_path / "s")
    assert ids == {state.mount_id}
    assert not state.power_was_cut


def test_quarantine_is_a_directory_of_the_state(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    assert state.quarantine("tail", b"bytes", "torn") == state.path / "quarantine" / "tail"
    assert [report.reason for report in state.quarantined()] == ["torn"]


def test_the_identity_of_a_place_is_stable_and_differs_between_filesystems(tmp_path: Path) -> None:
    assert identify(tmp_path) == identify(tmp_path)
    assert identify(tmp_path).boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert identify("/proc").filesystem_id != identify("/sys").filesystem_id
    with pytest.raises(VaultaireError):
        identify(tmp_path / "missing")


def test_identity_file_is_for_humans_too(tmp_path: Path) -> None:
    state = open_state(tmp_path / "s")
    identity = msgspec.json.decode((state.path / "identity.json").read_bytes())
    assert identity == {"format_version": 1, "engine": ENGINE, "mount_id": state.mount_id}
