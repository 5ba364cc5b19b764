"""Hard links on stores that know none: what programs linked is one file for another machine, and plain for others."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop
from tests.support.manifests import differences, manifest
from tests.support.stores import store


@pytest.fixture(params=["moto", "ceph", "rclone"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with (
        store(request.param) as server,
        workshop() as base,
        mounted_daemon(base, server=server, options=["flush_delay=0.2"]) as running,
    ):
        yield running


def remounted_elsewhere(daemon: Daemon) -> None:
    daemon.umount()
    daemon.forget_state()
    daemon.mount()


def numbers(*paths: Path) -> set[tuple[int, int]]:
    """Inode and link count of each."""
    return {(found.st_ino, found.st_nlink) for found in map(os.lstat, paths)}


def test_linked_names_are_one_file_for_a_new_machine_whatever_was_done_to_them(daemon: Daemon) -> None:
    top = daemon.mountpoint
    (top / "here").mkdir()
    (top / "there").mkdir()
    (top / "here" / "a").write_text("as it was")
    daemon.flush()
    os.link(top / "here" / "a", top / "there" / "b")
    os.link(top / "here" / "a", top / "there" / "c")
    (top / "large").write_bytes(os.urandom(20 << 20))
    os.link(top / "large", top / "here" / "large too")
    os.symlink("here/a", top / "symlink")
    os.link(top / "symlink", top / "here" / "symlink too", follow_symlinks=False)
    daemon.flush()
    (top / "there" / "b").write_text("as it is, through another name")
    os.chmod(top / "here" / "a", 0o604)
    os.rename(top / "there" / "c", top / "here" / "moved")
    os.link(top / "here" / "moved", top / "fourth")
    os.unlink(top / "fourth")
    os.utime(top / "large", ns=(5, 10**18))
    before = manifest(top)
    remounted_elsewhere(daemon)
    assert differences(before, manifest(top)) == []
    (found,) = numbers(top / "here" / "a", top / "there" / "b", top / "here" / "moved")
    assert found[1] == 3


def test_what_a_new_machine_writes_through_one_name_is_in_all_of_them(daemon: Daemon) -> None:
    top = daemon.mountpoint
    for folder in ("one", "two", "three"):
        (top / folder).mkdir()
    (top / "one" / "file").write_text("old")
    os.link(top / "one" / "file", top / "two" / "file")
    os.link(top / "one" / "file", top / "three" / "file")
    remounted_elsewhere(daemon)
    assert os.lstat(top / "one" / "file").st_nlink == 3  # though nobody has listed the other two
    (top / "one" / "file").write_text("new and longer")
    os.chmod(top / "one" / "file", 0o600)
    os.unlink(top / "three" / "file")
    remounted_elsewhere(daemon)
    assert (top / "two" / "file").read_text() == "new and longer"
    assert (top / "two" / "file").stat().st_mode & 0o777 == 0o600
    assert numbers(top / "one" / "file") == numbers(top / "two" / "file")
    assert os.lstat(top / "one" / "file").st_nlink == 2
    shutil.rmtree(top / "one")
    shutil.rmtree(top / "two")
    remounted_elsewhere(daemon)
    assert os.listdir(top / "three") == []
