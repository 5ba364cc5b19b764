"""Each test has a bucket, a folder on our mount of it, and other programs that work on the same bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.others import Others
from tests.support.daemon import Daemon, workshop
from tests.support.stores import Server, store


@pytest.fixture(scope="module", params=["moto", "ceph"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with store(request.param) as found:
        assert found is not None
        yield found


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        yield folder


@pytest.fixture
def ours(server: Server, base: Path) -> Iterator[Daemon]:
    """Not mounted yet; a mount sees what is in the bucket at that moment, and an unmount leaves everything there."""
    daemon = Daemon(base, server=server)
    try:
        yield daemon
    finally:
        daemon.end()


@pytest.fixture
def others(server: Server, ours: Daemon, base: Path) -> Others:
    return Others(server, ours.bucket, base)
