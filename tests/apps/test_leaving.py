"""Plain both ways: the engine directory is the tree itself, and all that a fresh state directory needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, workshop
from tests.support.manifests import differences, manifest
from tests.support.trees import plant


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with workshop() as base:
        daemon = Daemon(base)
        try:
            yield daemon
        finally:
            daemon.end()


def rearrange(tree: Path) -> None:
    """The changes that an engine finds hardest: moves of folders, exchanged names, links made and broken."""
    (tree / "folder0").rename(tree / "folder1" / "moved in")
    (tree / "folder2").rename(tree / "passing")
    (tree / "folder3").rename(tree / "folder2")
    (tree / "passing").rename(tree / "folder3")
    (tree / "links" / "two").unlink()
    (tree / "links" / "two").hardlink_to(tree / "sparse")
    (tree / "folder4" / "inner" / "file4").rename(tree / "folder4" / "inner" / "file9")


def stored_tree(daemon: Daemon) -> Path:
    return daemon.engine / "tree"


def test_after_umount_the_engine_directory_is_byte_for_byte_the_tree(daemon: Daemon) -> None:
    daemon.mount()
    tree = daemon.mountpoint / "tree"
    plant(tree)
    daemon.flush()
    rearrange(tree)
    seen = manifest(tree)
    daemon.umount()
    assert differences(seen, manifest(stored_tree(daemon))) == []


def test_a_fresh_state_directory_shows_everything_as_it_was(daemon: Daemon) -> None:
    daemon.mount()
    tree = daemon.mountpoint / "tree"
    plant(tree)
    rearrange(tree)
    seen = manifest(tree)
    daemon.umount()
    daemon.forget_state()
    daemon.mount()
    assert differences(seen, manifest(tree)) == []
    daemon.umount()
    assert differences(seen, manifest(stored_tree(daemon))) == []


def test_files_that_were_put_into_the_engine_directory_are_shown(daemon: Daemon) -> None:
    plant(stored_tree(daemon))
    expected = manifest(stored_tree(daemon))
    daemon.mount()
    assert differences(expected, manifest(daemon.mountpoint / "tree")) == []
    daemon.umount()
    assert differences(expected, manifest(stored_tree(daemon))) == []


def test_reserved_names_at_the_root_stay_apart_from_ours(daemon: Daemon) -> None:
    """The engine's private folder lies at the root of the namespace; a user's own entry of that name is escaped."""
    daemon.mount()
    (daemon.mountpoint / ".vaultairefs").mkdir()
    (daemon.mountpoint / ".vaultairefs" / "mine").write_bytes(b"mine")
    seen = manifest(daemon.mountpoint)
    daemon.umount()
    assert (daemon.engine / ".vaultairefs%" / "mine").read_bytes() == b"mine"
    daemon.forget_state()
    daemon.mount()
    assert differences(seen, manifest(daemon.mountpoint)) == []
    daemon.umount()
