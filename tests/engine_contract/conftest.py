"""The engines that the contract judges: memory with and without plain keys, local as root and without any privilege,
S3 on several servers, and two of them in a worker process."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
import trio

from tests.support import shared_ceph, stores, worker_program
from vaultairefs.engine.interface import Capabilities, Engine
from vaultairefs.engine.local import LocalEngine
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.engine.worker import WorkerEngine

NOBODY = 65534
PAGE_ENTRIES = 7


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Give up root's rights for a while, in every thread (setresuid(2) through the C library)."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty directory of ours; the local engine's namespace."""
    path = Path(tempfile.mkdtemp(prefix="vaultairefs-engine-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


@pytest.fixture(scope="session")
def ceph_server() -> stores.Server:
    return shared_ceph.server()


@pytest.fixture
def require(request: pytest.FixtureRequest) -> Callable[[Engine], None]:
    """Skips a test marked ``needs("ability")`` on an engine without it."""

    def check(engine: Engine) -> None:
        for mark in request.node.iter_markers("needs"):
            if not getattr(engine.capabilities, mark.args[0]):
                pytest.skip(f"this engine has no {mark.args[0]}")

    return check


@contextlib.asynccontextmanager
async def in_worker(directory: Path, server: stores.Server | None) -> AsyncIterator[WorkerEngine]:
    """``worker+local`` or ``worker+moto``."""
    if server is None:
        worker = worker_program.opened(worker_program.LOCAL, directory=str(directory), page_entries=PAGE_ENTRIES)
    else:
        async with stores.opened(server) as beside:
            abilities = msgspec.msgpack.encode(beside.abilities)
        worker = worker_program.opened(
            worker_program.ON_STORE,
            server=list(server),
            bucket=server.new_bucket(),
            page_entries=PAGE_ENTRIES,
            abilities=abilities,
        )
    async with worker as engine:
        yield engine


@pytest.fixture(
    params=[
        "memory",
        "plain",
        "local",
        "unprivileged",
        "moto",
        "worker+local",
        pytest.param("worker+moto", marks=pytest.mark.slow),
        "ceph",
    ]
)
async def engine(
    request: pytest.FixtureRequest, directory: Path, require: Callable[[Engine], None]
) -> AsyncIterator[Engine]:
    """An empty engine with small pages."""
    if request.param == "memory":
        native = MemoryEngine(page_entries=PAGE_ENTRIES)
        require(native)
        yield native
        return
    if request.param.startswith("worker+"):
        server = request.getfixturevalue("moto_server") if request.param == "worker+moto" else None
        async with in_worker(directory, server) as worker:
            require(cast(Engine, worker))
            yield cast(Engine, worker)
        return
    if request.param == "plain":
        if "artifact_beside_a_container" in request.node.name:
            pytest.skip("the memory engine refuses this whatever its capabilities say")
        plain = MemoryEngine(capabilities=Capabilities(names_checked=False, groups=True), page_entries=PAGE_ENTRIES)
        require(plain)
        yield plain
        return
    if request.param in ("moto", "ceph"):
        async with stores.opened(request.getfixturevalue(f"{request.param}_server"), PAGE_ENTRIES) as on_store:
            require(on_store)
            yield on_store
        return
    if os.geteuid() != 0 and request.param == "local":
        pytest.skip("needs root")
    with contextlib.ExitStack() as stack:
        if request.param == "unprivileged" and os.geteuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
            stack.enter_context(unprivileged())
        local = LocalEngine(os.open(directory, os.O_RDONLY), f"file://{directory}", page_entries=PAGE_ENTRIES)
        require(local)
        yield local
        with trio.CancelScope(shield=True):
            await local.close()
