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

_THEMES = [
    "access_lists",
    "attributes",
    "memory_maps",
    "open_files",
    "page_cache",
    "random_operations",
    "set_id",
    "xattrs",
]
ABOUT_BYTES = frozenset(f"test_{theme}" for theme in _THEMES)


@pytest.fixture(scope="session", params=["local", "passed", "moto", "ceph", "rclone"])
def ground_kind(request: pytest.FixtureRequest) -> str:
    """A directory without passthrough, one with it where the machine can do it, or one of the object stores."""
    if request.param != "local" and request.config.getoption("--on") is not None:
        pytest.skip("with --on there is no store")
    return str(request.param)


@pytest.fixture(scope="session")
def server(ground_kind: str) -> Iterator[Server | None]:
    """What the shared mount stands on: None for a directory."""
    with store("local" if ground_kind == "passed" else ground_kind) as found:
        yield found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The tests whose bytes the kernel would move run in both modes; for all others one is enough."""
    twice = [item for item in items if _is_passed(item) and item.path.stem not in ABOUT_BYTES]
    config.hook.pytest_deselected(items=twice)
    items[:] = [item for item in items if item not in set(twice)]


def _is_passed(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return (
        item.path.parent == Path(__file__).parent
        and callspec is not None
        and callspec.params.get("ground_kind") == "passed"
    )


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
def daemon(request: pytest.FixtureRequest, server: Server | None, ground_kind: str) -> Iterator[Daemon]:
    """The daemon of the shared mount."""
    if request.config.getoption("--on") is not None:
        pytest.skip("asks the daemon, and with --on there is none")
    options = [f"passthrough={'off' if ground_kind == 'local' else 'auto'}"]
    with workshop() as base, mounted_daemon(base, server=server, options=options) as running:
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
