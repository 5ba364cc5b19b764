"""Plain objects are all that a fresh state directory needs: what programs see of a large tree is the same again."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, workshop
from tests.support.manifests import differences, manifest
from tests.support.many import Many
from tests.support.stores import Server, store

ENTRIES = 2000


@pytest.fixture(scope="module", params=["moto", "ceph", "rclone"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    with store(request.param) as found:
        yield found


@pytest.fixture
def daemon(server: Server | None) -> Iterator[Daemon]:
    with workshop() as base:
        daemon = Daemon(base, server=server)
        try:
            yield daemon
        finally:
            daemon.end()


def test_two_thousand_entries_are_the_same_from_a_fresh_state_directory(daemon: Daemon) -> None:
    daemon.mount()
    tree = daemon.mountpoint / "tree"
    Many(tree, ENTRIES, seed=1, links=True).plant()
    seen = manifest(tree)
    assert len(seen) > ENTRIES
    daemon.umount()
    daemon.forget_state()
    daemon.mount()
    found = differences(seen, manifest(tree))
    assert not found, "\n".join(found[:50])
    daemon.umount()
