"""Which volume is mounted where, and whose it is."""

import os
import subprocess
from pathlib import Path

import pytest

from vaultairefs.control import mounts
from vaultairefs.disk import mount_table
from vaultairefs.disk.mount_table import KernelMount
from vaultairefs.model.errors import BadInput

OURS = KernelMount("0:53", "/mnt/x", "fuse.vaultairefs", "file:///srv/x")
RECORD = mounts.MountRecord("/mnt/x", "0:53", "file:///srv/x", "", "/var/lib/vaultairefs/1", 4711)


def test_the_kernels_table_is_read_whole_and_paths_are_unescaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(
        b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
        b"40 21 0:53 / /mnt/a\\040b\\134c rw - fuse.vaultairefs file:///srv/\xff rw,user_id=0\n"
    )
    monkeypatch.setattr(mount_table, "_TABLE", table)
    root, ours = mount_table.kernel_mounts()
    assert root == KernelMount("8:1", "/", "ext4", "/dev/root")
    assert ours == KernelMount("0:53", "/mnt/a b\\c", "fuse.vaultairefs", os.fsdecode(b"file:///srv/\xff"))
    assert mount_table.topmost("/mnt/a b\\c") == ours
    assert mount_table.topmost("/mnt") is None


def test_what_was_mounted_last_is_what_a_program_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    autofs = KernelMount("0:50", "/mnt/x", "autofs", "systemd-1")
    monkeypatch.setattr(mount_table, "kernel_mounts", lambda: [autofs, OURS])
    assert mounts.mount_at(Path("/mnt/x")) == OURS
    monkeypatch.setattr(mount_table, "kernel_mounts", lambda: [OURS, autofs])
    with pytest.raises(BadInput, match="is not a mounted vaultairefs volume"):
        mounts.mount_at(Path("/mnt/x"))


def test_a_path_outside_of_any_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not in a mounted"):
        mounts.mount_containing(tmp_path)
    with pytest.raises(BadInput, match="No such file"):
        mounts.mount_containing(tmp_path / "missing")


def test_a_registered_mount_is_found_until_it_is_removed(tmp_path: Path) -> None:
    registry = tmp_path / "run"
    file = mounts.register(registry, "abc", RECORD)
    assert mounts.record_of(OURS, [tmp_path / "none", registry]) == RECORD
    mounts.unregister(file, pid=RECORD.pid)
    assert mounts.record_of(OURS, [registry]) is None


def test_a_leftover_of_a_killed_daemon_is_not_taken_for_a_later_mount(tmp_path: Path) -> None:
    mounts.register(tmp_path, "abc", RECORD)
    later = OURS._replace(device="0:77")
    assert mounts.record_of(later, [tmp_path]) is None


def test_a_later_daemons_record_is_not_removed_by_an_earlier_one(tmp_path: Path) -> None:
    file = mounts.register(tmp_path, "abc", RECORD)
    mounts.register(tmp_path, "abc", RECORD._replace(pid=5))
    mounts.unregister(file, pid=RECORD.pid)
    found = mounts.record_of(OURS, [tmp_path])
    assert found is not None
    assert found.pid == 5


def test_records_of_killed_daemons_are_swept_out_once_their_mounts_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    dead_mount = KernelMount("0:60", "/mnt/dead", "fuse.vaultairefs", "x")
    monkeypatch.setattr(mount_table, "kernel_mounts", lambda: [dead_mount])
    mounts.register(tmp_path, "gone", RECORD._replace(pid=killed.pid))
    mounts.register(tmp_path, "dead", RECORD._replace(mount="/mnt/dead", device="0:60", pid=killed.pid))
    mounts.register(tmp_path, "alive", RECORD._replace(mount="/mnt/elsewhere", pid=os.getpid()))
    mounts.register(tmp_path, "new", RECORD._replace(mount="/mnt/new"))
    assert {file.stem for file in tmp_path.iterdir()} == {"dead", "alive", "new"}


def test_an_unreadable_record_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text("{")
    (tmp_path / "1.json").write_text('{"mount": "/mnt/x"}')
    mounts.register(tmp_path, "abc", RECORD)
    assert list(mounts.records([tmp_path])) == [RECORD]
