"""What fsync promises at each level, and how writes find room."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import OutOfSpace, TimedOut
from vaultairefs.model.values import ROOT
from vaultairefs.volume import SyncLevel
from vaultairefs.volume.content import ROOM_SECONDS, STORED_SECONDS


class Counting:
    """Calls of the ledger's waits, counted on their way through."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bodies = self.journals = 0
        ledger = house.ledger
        sync, sync_body = ledger.sync, ledger.sync_body

        async def counted_sync() -> None:
            self.journals += 1
            await sync()

        async def counted_sync_body(ino: int) -> None:
            self.bodies += 1
            await sync_body(ino)  # type: ignore[arg-type]

        monkeypatch.setattr(ledger, "sync", counted_sync)
        monkeypatch.setattr(ledger, "sync_body", counted_sync_body)


async def silence(*_: object) -> None:
    """A flusher whose engine never answers."""
    await trio.sleep_forever()


@pytest.fixture
async def small(tmp_path: Path, engine: MemoryEngine) -> AsyncIterator[House]:
    """A volume with room for 256 KiB of bytes."""
    house = await House.open(tmp_path / "small", engine, buffer_size=256 << 10)
    with calling_as(ROOT_CALLER):
        yield house
    await house.close()


async def test_fsync_syncs_the_body_and_then_the_journal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"x")
    counting = Counting(house, monkeypatch)
    await house.volume.files.fsync(handle, False)
    assert (counting.bodies, counting.journals) == (1, 1)
    await house.volume.files.release(handle)


async def test_a_file_that_is_not_local_is_safe_already(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"x")
    await house.volume.files.release(handle)
    await house.drain()
    house.ledger.commit(BodyEvicted(made.ino))
    handle = await house.volume.files.open(made.ino, os.O_RDONLY)
    counting = Counting(house, monkeypatch)
    await house.volume.files.fsync(handle, False)
    assert (counting.bodies, counting.journals) == (0, 1)
    await house.volume.files.release(handle)


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
async def test_each_write_of_a_sync_handle_is_an_fsync(
    house: House, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR | flag)
    counting = Counting(house, monkeypatch)
    await house.volume.files.write(handle, 0, b"x")
    await house.volume.files.write(handle, 1, b"y")
    assert (counting.bodies, counting.journals) == (2, 2)
    await house.volume.files.release(handle)


async def test_a_buffered_fsync_waits_for_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.xattrs.setxattr(made.ino, b"user.vaultaire.sync", b"buffered")
    counting = Counting(house, monkeypatch)
    await house.volume.files.fsync(handle, False)
    assert (counting.bodies, counting.journals) == (0, 0)
    await house.volume.files.release(handle)


async def test_a_stored_fsync_returns_when_the_engine_has_the_bytes(tmp_path: Path, engine: MemoryEngine) -> None:
    house = await House.open(tmp_path / "stored", engine, sync_level=SyncLevel.STORED)
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"precious")
    await house.volume.files.fsync(handle, False)
    assert [content for path, _, content in engine.walk() if path.name == b"f"] == [b"precious"]
    await house.volume.files.release(handle)
    await house.close()


async def test_a_stored_fsync_gives_up_at_its_deadline_and_keeps_the_bytes(
    tmp_path: Path, engine: MemoryEngine, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await House.open(tmp_path / "stored", engine, sync_level=SyncLevel.STORED)
    monkeypatch.setattr(house.flusher, "flush", silence)
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"precious")
    began = trio.current_time()
    with pytest.raises(TimedOut):
        await house.volume.files.fsync(handle, False)
    assert trio.current_time() - began >= STORED_SECONDS
    assert await house.volume.files.read(handle, 0, 100) == b"precious"
    await house.volume.files.release(handle)
    await house.close()


async def test_a_stored_fsync_of_a_container_returns_when_the_engine_has_its_names(
    tmp_path: Path, engine: MemoryEngine
) -> None:
    house = await House.open(tmp_path / "stored", engine, sync_level=SyncLevel.STORED)
    home = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    for name in (b"kept", b"removed"):
        await house.volume.tree.symlink(home.ino, name, b"text")
    listing = await house.volume.listings.opendir(home.ino)
    await house.volume.listings.fsyncdir(listing, False)
    await house.volume.tree.unlink(home.ino, b"removed")
    await house.volume.listings.fsyncdir(listing, False)
    assert [path.joined for path, _, _ in engine.walk() if path.name] == [b"d", b"d/kept"]
    assert {event.durability for event in house.ledger.events.read() if event.operation == "fsyncdir"} == {"stored"}
    await house.volume.listings.releasedir(listing)
    await house.close()


async def test_a_write_evicts_what_is_clean_to_find_room(small: House) -> None:
    for number in range(8):
        _, handle = await small.volume.files.create(ROOT, b"%d" % number, 0o644, os.O_RDWR)
        await small.volume.files.write(handle, 0, b"x" * (64 << 10))
        await small.volume.files.release(handle)
        await small.drain()
    assert small.ledger.buffer.used_bytes <= 256 << 10


async def test_a_write_waits_for_the_flusher_when_nothing_is_clean(small: House) -> None:
    for number in range(8):
        _, handle = await small.volume.files.create(ROOT, b"%d" % number, 0o644, os.O_RDWR)
        await small.volume.files.write(handle, 0, b"x" * (64 << 10))
        await small.volume.files.release(handle)
    assert small.ledger.buffer.used_bytes <= 256 << 10


async def test_a_write_that_finds_no_room_is_refused_whole_after_a_while(
    small: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small.flusher, "flush_some", silence)
    made, handle = await small.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await small.volume.files.write(handle, 0, b"x" * (200 << 10))
    began = trio.current_time()
    with pytest.raises(OutOfSpace):
        await small.volume.files.write(handle, 200 << 10, b"y" * (100 << 10))
    assert trio.current_time() - began >= ROOM_SECONDS
    assert made.size == 200 << 10
    assert await small.volume.files.read(handle, 0, 1 << 20) == b"x" * (200 << 10)
    await small.volume.files.release(handle)


async def test_a_read_only_mount_brings_nothing_to_the_engine(tmp_path: Path, engine: MemoryEngine) -> None:
    """Not even what an earlier mount with the same state left owed."""
    house = await House.open(tmp_path / "ro", engine)
    with calling_as(ROOT_CALLER):
        made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
        await house.volume.files.release(handle)
        await house.close()
        house = await House.open(tmp_path / "ro", engine, read_only=True, sync_level=SyncLevel.STORED)
        handle = await house.volume.files.open(made.ino, os.O_RDONLY)
        await house.volume.files.fsync(handle, False)
        await house.volume.files.release(handle)
    await house.close()
    assert not list(engine.walk())


@pytest.mark.parametrize(
    ("mount", "own", "reaches_engine", "bodies"),
    [
        (SyncLevel.BUFFERED, b"stored", True, 1),
        (SyncLevel.JOURNALED, b"stored", True, 1),
        (SyncLevel.STORED, b"journaled", False, 1),
        (SyncLevel.STORED, b"buffered", False, 0),
        (SyncLevel.STORED, None, True, 1),
        (SyncLevel.BUFFERED, None, False, 0),
    ],
)
async def test_a_files_own_level_counts_before_the_mounts(
    tmp_path: Path,
    engine: MemoryEngine,
    monkeypatch: pytest.MonkeyPatch,
    mount: SyncLevel,
    own: bytes | None,
    reaches_engine: bool,
    bodies: int,
) -> None:
    house = await House.open(tmp_path / "state", engine, sync_level=mount)
    with calling_as(ROOT_CALLER):
        made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
        if own is not None:
            await house.volume.xattrs.setxattr(made.ino, b"user.vaultaire.sync", own)
        await house.volume.files.write(handle, 0, b"precious")
        counting = Counting(house, monkeypatch)
        await house.volume.files.fsync(handle, True)
        assert counting.bodies == bodies
        assert any(path.name == b"f" for path, _, _ in engine.walk()) == reaches_engine
        await house.volume.files.release(handle)
    await house.close()


async def test_fsync_of_a_directory_makes_its_names_safe_and_no_body(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller syncs the files that it wants safe: fsync(2) says no more of a directory."""
    home = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    _, handle = await house.volume.files.create(home.ino, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"x")
    counting = Counting(house, monkeypatch)
    directory = await house.volume.listings.opendir(home.ino)
    await house.volume.listings.fsyncdir(directory, False)
    assert (counting.bodies, counting.journals) == (0, 1)
    await house.volume.files.release(handle)
