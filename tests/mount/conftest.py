"""One mount for all tests of this folder and worker, for each store, and a fresh folder on it for each test.

Its end proves more than any of them: ``umount`` returns only when the store has everything.

``--on DIRECTORY`` runs them on a directory of another filesystem instead: on ext4 they must pass too, which proves
that they ask for nothing but POSIX.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop
from tests.support.stores import Server, store


@pytest.fixture(scope="session", params=["local", "moto", "ceph", "rclone"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    """What the shared mount stands on: a directory, or one of the object stores."""
    if request.param != "local" and request.config.getoption("--on") is not None:
        pytest.skip("with --on there is no store")
    with store(request.param) as found:
        yield found


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest, server: Server | None) -> Iterator[Path]:
    """Where the tests work: the root of the shared mount, or what ``--on`` says."""
    other = request.config.getoption("--on")
    if other is not None:
        with workshop(Path(other)) as folder:
            yield folder
        return
    daemon = request.getfixturevalue("daemon")
    assert isinstance(daemon, Daemon)
    yield daemon.mountpoint


@pytest.fixture(scope="session")
def daemon(request: pytest.FixtureRequest, server: Server | None) -> Iterator[Daemon]:
    """The daemon of the shared mount."""
    if request.config.getoption("--on") is not None:
        pytest.skip("asks the daemon, and with --on there is none")
    with workshop() as base, mounted_daemon(base, server=server) as running:
        yield running


@pytest.fixture
def place(ground: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A fresh folder that everybody may write to; it is also the working directory."""
    folder = ground / re.sub(r"[^\w.-]+", "-", request.node.name)[:100]
    folder.mkdir()
    folder.chmod(0o777)
    before, umask = os.getcwd(), os.umask(0o022)
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.umask(umask)
        os.chdir(before)
