"""Mounting: flags, the kernel's table, and one clear sentence for what cannot be mounted."""

import os
from pathlib import Path

import pytest

from vaultairefs.fuse import mounting
from vaultairefs.fuse.mounting import MountOptions
from vaultairefs.model.errors import BadInput

READ_ONLY, NO_SUID, NO_DEV, POSIX_ACL = 1, 2, 4, 1 << 16


def test_setuid_and_devices_of_a_store_mean_nothing_unless_asked_for() -> None:
    assert MountOptions(source="s").mount_flags == POSIX_ACL | NO_SUID | NO_DEV
    assert MountOptions(source="s", words=("dev", "suid")).mount_flags == POSIX_ACL


def test_the_last_of_two_contrary_words_counts() -> None:
    assert MountOptions(source="s", words=("ro", "rw")).mount_flags & READ_ONLY == 0
    assert MountOptions(source="s", words=("rw", "ro")).mount_flags & READ_ONLY


def test_a_word_that_is_no_flag_is_refused() -> None:
    with pytest.raises(BadInput, match="'sideways'"):
        _ = MountOptions(source="s", words=("sideways",)).mount_flags


def test_fusermount_options_keep_commas_and_backslashes_of_the_source() -> None:
    options = MountOptions(source="s3://a,b\\c", words=("ro",), allow_other=True).fusermount_options
    assert options == {
        "fsname=s3://a\\,b\\\\c",
        "subtype=vaultairefs",
        "default_permissions",
        "allow_other",
        "ro",
    }


def test_a_mountpoint_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert mounting.resolved(f"{tmp_path}/link") == os.path.realpath(tmp_path / "real")


def test_a_mountpoint_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^cannot mount on .*/gone: No such file or directory$"):
        mounting.prepare_mountpoint(f"{tmp_path}/gone")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="not a directory"):
        mounting.prepare_mountpoint(f"{tmp_path}/file")


def test_unmounting_where_nothing_is_mounted_is_no_error(tmp_path: Path) -> None:
    mounting.unmount(str(tmp_path))
    mounting.unmount(f"{tmp_path}/gone")


def test_read_ahead_of_no_mount_is_left_alone(tmp_path: Path) -> None:
    assert not mounting.raise_read_ahead(str(tmp_path))
