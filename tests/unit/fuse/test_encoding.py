"""Values as programs see them: stat and statfs."""

import stat

from tests.unit.fuse.volumes import make_inode
from vaultairefs.engine.interface import Usage
from vaultairefs.fuse import encoding
from vaultairefs.fuse.callers import program_name
from vaultairefs.model.values import Kind


def test_a_file_is_shown_with_all_its_attributes() -> None:
    entry = encoding.entry_attributes(make_inode(5, mode=0o6755, size=1 << 40), blocks=16, ttl_seconds=2.5)
    assert entry.st_ino == 5
    assert entry.st_mode == stat.S_IFREG | 0o6755
    assert (entry.st_uid, entry.st_gid, entry.st_rdev) == (7, 8, 9)
    assert (entry.st_size, entry.st_blocks) == (1 << 40, 16)
    assert (entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns) == (1, -1, 3_000_000_004)
    assert (entry.entry_timeout, entry.attr_timeout) == (2.5, 2.5)


def test_a_symlink_is_as_long_as_its_text() -> None:
    inode = make_inode(5, Kind.SYMLINK, mode=0o777, target=b"x" * 4095)
    assert encoding.entry_attributes(inode, 0, 1).st_size == 4095


def test_containers_have_a_size_and_devices_have_none() -> None:
    assert encoding.entry_attributes(make_inode(5, Kind.CONTAINER), 8, 1).st_size > 0
    assert encoding.entry_attributes(make_inode(5, Kind.BLOCK, size=3), 0, 1).st_size == 0


def test_statfs_shows_what_the_store_knows() -> None:
    figures = encoding.filesystem_figures(Usage(1 << 30, 1 << 29, 1 << 28, 1000, 5000))
    assert figures.f_frsize * figures.f_blocks == 1 << 30
    assert figures.f_frsize * figures.f_bfree == 1 << 29
    assert figures.f_frsize * figures.f_bavail == 1 << 28
    assert (figures.f_files, figures.f_ffree, figures.f_favail) == (6000, 5000, 5000)
    assert figures.f_namemax == 255


def test_statfs_of_a_store_without_limits_is_never_full() -> None:
    figures = encoding.filesystem_figures(Usage())
    assert figures.f_blocks == figures.f_bavail > 0
    assert figures.f_ffree > 0


def test_a_program_that_is_gone_has_no_name() -> None:
    assert program_name(0) == ""
    assert program_name(1 << 22) == ""
