"""On stores that rename nothing: what programs left is what another machine finds there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.test_git import commit_all, write_files
from tests.support.daemon import Daemon, mounted_daemon, workshop
from tests.support.manifests import differences, manifest
from tests.support.programs import run
from tests.support.stores import store
from tests.support.system_calls import RENAME_EXCHANGE, renameat2


@pytest.fixture(params=["moto", "ceph"])
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


def test_a_tree_that_was_renamed_and_exchanged_is_found_whole_by_a_new_machine(daemon: Daemon) -> None:
    top = daemon.mountpoint
    for folder in ("one", "two", "one/deep", "one/deep/deeper", "gone"):
        (top / folder).mkdir()
        for number in range(12):
            (top / folder / f"{number}").write_text(f"{folder} {number}")
    (top / "one" / "link").symlink_to("../two/3")
    (top / "one" / "large").write_bytes(os.urandom(20 << 20))
    daemon.flush()
    renameat2(str(top / "one"), str(top / "two"), RENAME_EXCHANGE)
    os.rename(top / "two" / "deep", top / "up")
    os.rename(top / "two", top / "up" / "inside")
    os.rename(top / "up" / "3", top / "up" / "4")
    os.chmod(top / "up" / "4", 0o640)
    shutil.rmtree(top / "gone")
    daemon.flush()
    os.rename(top / "up", top / "there")
    os.rename(top / "there", top / "up")
    (top / "up" / "5").write_text("written after the rename")
    os.rename(top / "one", top / "there")
    before = manifest(top)
    remounted_elsewhere(daemon)
    assert differences(before, manifest(top)) == []


def test_a_repository_that_was_cloned_and_renamed_is_whole_for_a_new_machine(daemon: Daemon, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    run("git", "init", "-q", "-b", "main", origin)
    for round_number in range(2):
        write_files(origin, round_number, 40)
        commit_all(origin, f"round {round_number}")
    top = daemon.mountpoint
    run("git", "clone", "-q", "--no-hardlinks", origin, top / "clone")
    daemon.flush()
    os.rename(top / "clone", top / "renamed")
    run("git", "gc", "-q", "--prune=now", cwd=top / "renamed")
    daemon.flush()
    os.rename(top / "renamed", top / "again")
    before = manifest(top)
    remounted_elsewhere(daemon)
    assert differences(before, manifest(top)) == []
    run("git", "fsck", "--full", "--strict", cwd=top / "again")
    shutil.rmtree(top / "again")
    remounted_elsewhere(daemon)
    assert list(top.iterdir()) == []
