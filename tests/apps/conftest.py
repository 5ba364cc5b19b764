"""One mount for all application tests of a worker, and a fresh folder on it for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop


@pytest.fixture(scope="session")
def volume() -> Iterator[Daemon]:
    with workshop() as base, mounted_daemon(base) as daemon:
        yield daemon


@pytest.fixture
def place(volume: Daemon, request: pytest.FixtureRequest) -> Path:
    folder = volume.mountpoint / request.node.name
    folder.mkdir()
    return folder
