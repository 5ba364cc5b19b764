"""Attributes: modes, owners, times, and who may change them (chmod(2), chown(2), utimensat(2), inode(7))."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.support.callers import NOBODY, SOMEBODY, as_user
from tests.support.system_calls import fails_with


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("mode", [0o000, 0o644, 0o1777, 0o2755, 0o4711, 0o7777])
def test_every_mode_bit_is_kept(place: Path, mode: int) -> None:
    Path("f").touch()
    os.mkdir("d")
    for path in ("f", "d"):
        before = os.stat(path).st_ctime_ns
        os.chmod(path, mode)
        assert mode_of(path) == mode
        assert os.stat(path).st_ctime_ns > before


def test_the_umask_of_each_caller_counts(place: Path) -> None:
    for umask, file, directory in ((0o000, 0o666, 0o777), (0o027, 0o640, 0o750), (0o777, 0, 0)):
        os.umask(umask)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir("d", 0o777)
        os.mkfifo("p", 0o666)
        assert (mode_of("f"), mode_of("d"), mode_of("p")) == (file, directory, file)
        os.unlink("f")
        os.unlink("p")
        os.rmdir("d")


def test_what_is_created_belongs_to_its_creator(place: Path) -> None:
    def create() -> None:
        Path("f").touch()
        os.mkdir("d")
        os.symlink("x", "l")
        os.mkfifo("p")

    as_user(create, SOMEBODY, gid=777)
    for path in ("f", "d", "l", "p"):
        found = os.lstat(path)
        assert (found.st_uid, found.st_gid) == (SOMEBODY, 777)


def test_a_setgid_directory_hands_on_its_group_and_to_directories_its_bit(place: Path) -> None:
    os.mkdir("d")
    os.chown("d", 0, 4242)
    os.chmod("d", 0o2777)

    def create() -> None:
        Path("d/f").touch()
        os.mkdir("d/sub")
        os.symlink("x", "d/l")

    as_user(create)
    assert {os.lstat(f"d/{name}").st_gid for name in ("f", "sub", "l")} == {4242}
    assert mode_of("d/sub") & stat.S_ISGID
    assert not mode_of("d/f") & stat.S_ISGID


def test_only_the_owner_changes_modes_and_only_root_gives_away(place: Path) -> None:
    Path("mine").touch()
    as_user(Path("theirs").touch)
    for act in (
        lambda: os.chmod("mine", 0o777),
        lambda: os.chown("mine", NOBODY, -1),
        lambda: os.chown("theirs", SOMEBODY, -1),
        lambda: os.chown("theirs", -1, 4242),
        lambda: os.utime("mine", ns=(1, 1)),
    ):
        with fails_with(errno.EPERM):
            as_user(act)
    with fails_with(errno.EACCES):
        as_user(lambda: os.utime("mine"))
    as_user(lambda: os.chmod("theirs", 0o600))
    as_user(lambda: os.chown("theirs", -1, 4242), groups=[4242])
    assert (mode_of("theirs"), os.stat("theirs").st_gid) == (0o600, 4242)
    os.chown("theirs", 1, 2)
    assert (os.stat("theirs").st_uid, os.stat("theirs").st_gid) == (1, 2)


def test_permissions_are_checked(place: Path) -> None:
    Path("secret").touch()
    os.chmod("secret", 0o640)
    os.mkdir("closed", 0o700)
    Path("closed/f").touch()
    for act in (
        lambda: os.open("secret", os.O_RDONLY),
        lambda: os.open("secret", os.O_WRONLY),
        lambda: os.listdir("closed"),
        lambda: os.stat("closed/f"),
        lambda: os.unlink("closed/f"),
        lambda: os.mkdir("closed/d"),
        lambda: os.truncate("secret", 0),
        lambda: os.chdir("closed"),
    ):
        with fails_with(errno.EACCES):
            as_user(act)
    os.chown("secret", -1, 4242)
    as_user(lambda: os.close(os.open("secret", os.O_RDONLY)), groups=[4242])
    assert not as_user(lambda: os.access("secret", os.R_OK))


def test_in_a_sticky_directory_everybody_keeps_what_is_theirs(place: Path) -> None:
    os.mkdir("tmp")
    os.chmod("tmp", 0o1777)
    as_user(Path("tmp/f").touch, SOMEBODY)
    for act in (lambda: os.unlink("tmp/f"), lambda: os.rename("tmp/f", "tmp/g")):
        with fails_with(errno.EPERM):
            as_user(act)
    as_user(lambda: os.unlink("tmp/f"), SOMEBODY)


@pytest.mark.parametrize("act", ["write", "truncate", "o_trunc", "chown"])
def test_a_change_by_others_takes_setuid_and_setgid_away(place: Path, act: str) -> None:
    Path("program").write_bytes(b"code")
    os.chown("program", NOBODY, NOBODY)
    os.chmod("program", 0o6777)

    def change() -> None:
        if act == "write":
            with open("program", "r+b", buffering=0) as file:
                file.write(b"evil")
        elif act == "truncate":
            os.truncate("program", 1)
        elif act == "o_trunc":
            os.close(os.open("program", os.O_WRONLY | os.O_TRUNC))
        else:
            os.chown("program", -1, NOBODY)

    as_user(change, NOBODY if act == "chown" else SOMEBODY)
    assert mode_of("program") == 0o777


def test_chown_by_root_takes_setuid_away_from_files_but_not_from_directories(place: Path) -> None:
    Path("f").touch()
    os.chmod("f", 0o6755)
    os.mkdir("d")
    os.chmod("d", 0o6755)
    os.chown("f", 5, 6)
    os.chown("d", 5, 6)
    assert mode_of("f") == 0o755
    assert mode_of("d") == 0o6755


def test_chmod_by_somebody_outside_the_group_loses_setgid(place: Path) -> None:
    as_user(Path("f").touch)
    os.chown("f", NOBODY, 4242)
    as_user(lambda: os.chmod("f", 0o2755))
    assert mode_of("f") == 0o755
    as_user(lambda: os.chmod("f", 0o2755), groups=[4242])
    assert mode_of("f") == 0o2755


@pytest.mark.parametrize("nanoseconds", [0, 1, 1_234_567_890_123_456_789, -1, -86_400_000_000_001, 4 * 10**18])
def test_times_are_kept_to_the_nanosecond(place: Path, nanoseconds: int) -> None:
    Path("f").touch()
    os.utime("f", ns=(nanoseconds, nanoseconds + 1))
    found = os.stat("f")
    assert (found.st_atime_ns, found.st_mtime_ns) == (nanoseconds, nanoseconds + 1)


def test_a_symlink_has_times_and_an_owner_of_its_own(place: Path) -> None:
    Path("target").touch()
    before = os.stat("target")
    os.symlink("target", "link")
    os.utime("link", ns=(5, 6), follow_symlinks=False)
    os.chown("link", 11, 12, follow_symlinks=False)
    found = os.lstat("link")
    assert (found.st_atime_ns, found.st_mtime_ns, found.st_uid, found.st_gid) == (5, 6, 11, 12)
    after = os.stat("target")
    assert (after.st_mtime_ns, after.st_uid) == (before.st_mtime_ns, before.st_uid)


def test_writing_moves_mtime_and_ctime_and_reading_moves_neither(place: Path) -> None:
    Path("f").write_bytes(b"x")
    os.utime("f", ns=(1, 1))
    before = os.stat("f")
    assert Path("f").read_bytes() == b"x"
    same = os.stat("f")
    assert (same.st_mtime_ns, same.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    Path("f").write_bytes(b"y")
    after = os.stat("f")
    assert after.st_mtime_ns > 1
    assert after.st_ctime_ns > before.st_ctime_ns


def test_a_time_that_was_set_stays_when_the_file_is_closed(place: Path) -> None:
    """cp -p and tar set times on a descriptor that they wrote to and close afterwards."""
    descriptor = os.open("f", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"bytes")
    os.utime(descriptor, ns=(7, 8))
    os.close(descriptor)
    assert (os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns) == (7, 8)


def test_the_figures_of_the_filesystem_make_sense(place: Path) -> None:
    found = os.statvfs(".")
    assert found.f_namemax == 255
    assert found.f_blocks >= found.f_bfree >= found.f_bavail > 0
    assert found.f_files >= found.f_ffree > 0


def test_blocks_tell_du_what_a_file_takes(place: Path) -> None:
    Path("f").write_bytes(b"x" * 100_000)
    descriptor = os.open("f", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    assert 100_000 <= os.stat("f").st_blocks * 512 <= 200_000
    Path("empty").touch()
    assert os.stat("empty").st_blocks == 0
