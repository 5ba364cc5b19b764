"""What calls wait for, and what may happen meanwhile."""

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.journal import Journal
from vaultairefs.model.changes import BodyEvicted, ContainerCreated
from vaultairefs.model.errors import AlreadyExists, ContainerNotEmpty, NotFound, Unavailable
from vaultairefs.model.values import ABSENT, ROOT, Attributes, EntryPath, Kind, Sequence
from vaultairefs.volume import AttributeRequest, RenameMode

CONTAINER = Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0)
FILE = Attributes(Kind.FILE, 0o644, 0, 0, 0, 0, 0)


class Held:
    """Makes calls of one engine verb wait until they are let go."""

    def __init__(self, engine: MemoryEngine, verb: str) -> None:
        self._verb = verb
        self._go = trio.Event()
        self.waiting = trio.Event()
        engine.on_call = self._hold

    async def _hold(self, verb: str) -> None:
        if verb == self._verb and not self._go.is_set():
            self.waiting.set()
            await self._go.wait()

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
async def foreign(tmp_path: Path) -> AsyncIterator[tuple[House, MemoryEngine]]:
    """A volume that knows nothing of an engine that holds ``d/f``."""
    engine = MemoryEngine(capabilities=Capabilities(moves=True, links=True))
    await engine.create_container(b"d", CONTAINER)
    await engine.put(EntryPath(b"d", b"f"), b"foreign bytes", FILE, expected=ABSENT, token="")
    house = await House.open(tmp_path / "state", engine)
    with calling_as(ROOT_CALLER):
        yield house, engine
    engine.on_call = None
    await house.close()


async def test_a_lookup_waits_for_the_listing_and_finds_what_the_engine_holds(
    foreign: tuple[House, MemoryEngine],
) -> None:
    house, _ = foreign
    home = await house.volume.tree.lookup(ROOT, b"d")
    assert (await house.volume.tree.lookup(home.ino, b"f")).size == len(b"foreign bytes")


async def test_a_name_that_only_the_engine_knows_is_taken(foreign: tuple[House, MemoryEngine]) -> None:
    house, _ = foreign
    with pytest.raises(AlreadyExists):
        await house.volume.tree.mkdir(ROOT, b"d", 0o755)


async def test_a_container_that_only_the_engine_knows_to_be_full_stays(foreign: tuple[House, MemoryEngine]) -> None:
    house, _ = foreign
    with pytest.raises(ContainerNotEmpty):
        await house.volume.tree.rmdir(ROOT, b"d")
    await house.volume.tree.mkdir(ROOT, b"new", 0o755)
    with pytest.raises(ContainerNotEmpty):
        await house.volume.tree.rename(ROOT, b"new", ROOT, b"d", RenameMode.REPLACE)


async def test_one_of_two_creators_that_wait_for_one_listing_wins(foreign: tuple[House, MemoryEngine]) -> None:
    house, engine = foreign
    held = Held(engine, "list")
    results: list[object] = []

    async def make() -> None:
        try:
            results.append((await house.volume.tree.mkdir(ROOT, b"new", 0o755)).kind)
        except AlreadyExists as error:
            results.append(type(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(make)
        nursery.start_soon(make)
        await held.waiting.wait()
        held.let_go()
    assert sorted(map(str, results)) == sorted(map(str, [Kind.CONTAINER, AlreadyExists]))


async def test_a_rename_looks_again_after_it_waited(foreign: tuple[House, MemoryEngine]) -> None:
    house, engine = foreign
    await house.volume.tree.mkdir(ROOT, b"new", 0o755)
    held = Held(engine, "list")
    done: list[object] = []

    async def rename() -> None:
        await house.volume.tree.rename(ROOT, b"new", ROOT, b"d", RenameMode.REPLACE)
        done.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rename)
        await held.waiting.wait()
        await house.volume.tree.rename(ROOT, b"d", ROOT, b"away", RenameMode.REPLACE)
        held.let_go()
    assert done
    assert (await house.volume.tree.lookup(ROOT, b"away")).kind is Kind.CONTAINER
    assert (await house.volume.tree.lookup(ROOT, b"d")).children == {}


async def test_a_source_that_left_while_a_rename_waited_is_not_found(foreign: tuple[House, MemoryEngine]) -> None:
    house, engine = foreign
    await house.volume.tree.mkdir(ROOT, b"new", 0o755)
    held = Held(engine, "list")

    async def rename() -> None:
        with pytest.raises(NotFound):
            await house.volume.tree.rename(ROOT, b"new", ROOT, b"d", RenameMode.REPLACE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rename)
        await held.waiting.wait()
        await house.volume.tree.rmdir(ROOT, b"new")
        await house.volume.tree.mkdir(ROOT, b"other", 0o755)
        held.let_go()


async def test_an_engine_that_cannot_be_reached_fails_the_call_and_the_next_one_tries_again(
    foreign: tuple[House, MemoryEngine],
) -> None:
    house, engine = foreign
    engine.fail_next("stat", Unavailable())
    with pytest.raises(Unavailable):
        await house.volume.tree.lookup(ROOT, b"d")
    assert (await house.volume.tree.lookup(ROOT, b"d")).kind is Kind.CONTAINER


async def test_calls_on_a_fresh_container_do_not_wait_at_all(house: House) -> None:
    await house.volume.tree.mkdir(ROOT, b"warm", 0o755)

    async def everything() -> None:
        home = await house.volume.tree.lookup(ROOT, b"warm")
        made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
        await house.volume.files.write(handle, 0, b"x" * 5000)
        await house.volume.files.read(handle, 0, 100)
        await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o600, size=10))
        await house.volume.files.flush(handle)
        await house.volume.files.release(handle)
        await house.volume.tree.rename(ROOT, b"f", ROOT, b"g", RenameMode.REPLACE)
        await house.volume.tree.unlink(ROOT, b"g")
        await house.volume.inodes.getattr(home.ino)

    coroutine = everything()
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def test_a_write_waits_for_bytes_on_their_way_and_wins(foreign: tuple[House, MemoryEngine]) -> None:
    house, engine = foreign
    home = await house.volume.tree.lookup(ROOT, b"d")
    made = await house.volume.tree.lookup(home.ino, b"f")
    handle = await house.volume.files.open(made.ino, os.O_RDWR)
    held = Held(engine, "read")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.volume.files.read, handle, 0, 100)
        await held.waiting.wait()
        nursery.start_soon(house.volume.files.write, handle, 0, b"FOREIGN")
        await wait_all_tasks_blocked()
        assert made.mtime_ns == 0
        held.let_go()
    assert await house.volume.files.read(handle, 0, 100) == b"FOREIGN bytes"
    await house.volume.files.release(handle)


async def test_a_truncation_waits_for_bytes_on_their_way_behind_the_new_end(
    foreign: tuple[House, MemoryEngine],
) -> None:
    house, engine = foreign
    home = await house.volume.tree.lookup(ROOT, b"d")
    made = await house.volume.tree.lookup(home.ino, b"f")
    handle = await house.volume.files.open(made.ino, os.O_RDWR)
    held = Held(engine, "read")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.volume.files.read, handle, 0, 100)
        await held.waiting.wait()
        nursery.start_soon(house.volume.inodes.setattr, made.ino, AttributeRequest(size=3))
        await wait_all_tasks_blocked()
        assert made.size == 13
        held.let_go()
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=6))
    assert await house.volume.files.read(handle, 0, 100) == b"for\0\0\0"
    await house.volume.files.release(handle)


async def test_writers_wait_while_a_frozen_copy_of_their_file_is_made(house: House) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"old")
    async with trio.open_nursery() as nursery:
        with house.flusher.gate.shut(made.ino):
            nursery.start_soon(house.volume.files.write, handle, 0, b"new")
            await wait_all_tasks_blocked()
            assert await house.volume.files.read(handle, 0, 100) == b"old"
    assert await house.volume.files.read(handle, 0, 100) == b"new"
    await house.volume.files.release(handle)


async def test_an_open_file_outlives_its_eviction_and_its_unlinking(house: House) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"still here")
    await house.volume.files.release(handle)
    await house.drain()
    house.ledger.commit(BodyEvicted(made.ino))
    handle = await house.volume.files.open(made.ino, os.O_RDONLY)
    await house.volume.tree.unlink(ROOT, b"f")
    await house.drain()
    assert await house.volume.files.read(handle, 0, 100) == b"still here"
    await house.volume.files.release(handle)


async def test_changes_in_the_journal_carry_the_operation_and_the_caller(house: House) -> None:
    await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDONLY)
    await house.volume.tree.mknod(ROOT, b"n", stat.S_IFREG, 0)
    await house.volume.files.release(handle)
    journal = Journal(house.state.path / "journal", boot="reader", quarantine=house.state.quarantine)
    entries = {entry.operation: entry for entry in journal.entries(Sequence(0)) if entry.change is not None}
    made = entries["mkdir"]
    assert isinstance(made.change, ContainerCreated)
    assert (made.pid, made.uid) == (ROOT_CALLER.pid, ROOT_CALLER.uid)
    event = next(event for event in house.ledger.events.read() if event.operation == "mkdir")
    assert event.operation_id == made.operation_id
    assert {"create", "mknod"} <= set(entries)
