"""Files that programs read and write without us: which opens, what is known of them, and when they are closed."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.daemon import workshop
from tests.support.kernels import Kernel
from tests.support.mappings import Mapping
from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.buffer import Phase
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import InvalidRequest
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume import AttributeRequest, passing
from vaultairefs.volume.passing import Way


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        yield folder


@pytest.fixture
async def house(base: Path, kernel: Kernel) -> AsyncIterator[House]:
    house = await House.open(base / "state", MemoryEngine())
    await house.discovery.ensure_listed(ROOT)
    house.volume.passing.start(kernel)
    with calling_as(ROOT_CALLER):
        yield house
    await house.close()


async def create(house: House, name: bytes = b"f", flags: int = os.O_RDWR) -> tuple[Inode, int]:
    return await house.volume.files.create(ROOT, name, 0o644, flags)


async def stored(house: House, content: bytes) -> Inode:
    """A closed file whose bytes are all here, in the engine, too."""
    inode, handle = await create(house)
    await house.volume.files.write(handle, 0, content)
    await house.volume.files.release(handle)
    await house.drain()
    house.volume.passing.look_at_all()
    return inode


def way(house: House, handle: int) -> Way | None:
    return house.volume.files.way_of(handle)


def phase(house: House, ino: Ino) -> Phase:
    return house.ledger.buffer.known(ino).phase


async def test_what_a_program_writes_is_known_at_each_look(house: House, kernel: Kernel) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    before = inode.content_generation
    os.pwrite(program, b"x" * 5000, 0)
    house.volume.passing.look(inode.ino)
    assert inode.size == 5000
    assert inode.mtime_ns >= os.fstat(program).st_mtime_ns
    assert inode.content_generation > before
    assert house.ledger.buffer.dirty_bytes == 5000
    assert house.volume.passing.is_moving(inode.ino)
    os.close(program)
    await house.volume.files.release(handle)
    assert phase(house, inode.ino) is Phase.CLOSED
    assert not house.volume.passing.is_moving(inode.ino)


async def test_a_mapping_that_outlives_the_last_release_keeps_the_body_open(house: House, kernel: Kernel) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    os.pwrite(program, b"before", 0)
    os.close(program)
    mapping = Mapping(Path(next(iter(kernel.backings.values()))), 6)
    await house.volume.files.release(handle)
    assert phase(house, inode.ino) is Phase.OPEN
    await house.drain()
    mapping.store(0, b"behind")
    house.volume.passing.look_at_all()
    assert phase(house, inode.ino) is Phase.OPEN
    assert house.ledger.backlog.owes_content(inode.ino)
    mapping.close()
    house.volume.passing.look_at_all()
    assert phase(house, inode.ino) is Phase.CLOSED
    reader = await house.volume.files.open(inode.ino, os.O_RDONLY)
    assert await house.volume.files.read(reader, 0, 10) == b"behind"
    await house.volume.files.release(reader)


async def test_the_engine_gets_what_a_program_wrote_and_is_owed_what_it_writes_then(
    house: House, kernel: Kernel
) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    for text in (b"first", b"again"):
        os.pwrite(program, text, 0)
        house.volume.passing.look_at_all()
        assert house.ledger.backlog.owes_content(inode.ino)
        await house.drain()
        assert not house.ledger.backlog.owes_content(inode.ino)
        assert house.ledger.buffer.known(inode.ino).phase is Phase.OPEN
    os.close(program)
    await house.volume.files.release(handle)
    assert not house.ledger.backlog.owes_content(inode.ino)


async def test_the_first_open_decides_for_all_others(house: House, kernel: Kernel) -> None:
    await stored(house, b"bytes")
    ino = house.ledger.namespace.child(ROOT, b"f")
    assert ino is not None
    passed = await house.volume.files.open(ino.ino, os.O_RDONLY)
    second = await house.volume.files.open(ino.ino, os.O_RDWR)
    first_way, second_way = way(house, passed), way(house, second)
    assert first_way is not None and first_way == second_way
    for handle in (passed, second):
        await house.volume.files.release(handle)
    house.volume.passing.look_at_all()
    ordinary = await house.volume.files.open(ino.ino, os.O_RDWR | os.O_SYNC)
    assert way(house, ordinary) is None
    third = await house.volume.files.open(ino.ino, os.O_RDONLY)
    assert way(house, third) is None
    for handle in (ordinary, third):
        await house.volume.files.release(handle)
    assert kernel.backings == {}


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC, os.O_DIRECT])
async def test_an_open_whose_writes_must_be_seen_is_direct_beside_passed_ones(
    house: House, kernel: Kernel, flag: int
) -> None:
    _, handle = await create(house)
    ino = house.ledger.namespace.child(ROOT, b"f")
    assert ino is not None
    program = kernel.open(way(house, handle))
    seen = await house.volume.files.open(ino.ino, os.O_RDWR | flag)
    found = way(house, seen)
    assert found is not None and found.direct and found.backing
    os.pwrite(program, b"0123456789", 0)
    assert await house.volume.files.read(seen, 8, 10) == b"89"
    await house.volume.files.write(seen, 4, b"xx")
    assert os.pread(program, 20, 0) == b"0123xx6789"
    assert ino.size == 10
    os.close(program)
    for one in (handle, seen):
        await house.volume.files.release(one)


async def test_a_file_at_level_stored_is_not_passed(house: House) -> None:
    inode, handle = await create(house)
    await house.volume.files.release(handle)
    await house.volume.xattrs.setxattr(inode.ino, b"user.vaultaire.sync", b"stored")
    house.volume.passing.look_at_all()
    again = await house.volume.files.open(inode.ino, os.O_RDWR)
    assert way(house, again) is None
    await house.volume.files.release(again)


async def is_passed(house: House, inode: Inode, flags: int) -> bool:
    """Whether an open of the closed file is passed; it is closed again."""
    house.volume.passing.look_at_all()
    handle = await house.volume.files.open(inode.ino, flags)
    found = way(house, handle) is not None
    await house.volume.files.release(handle)
    return found


async def test_a_large_file_of_which_parts_would_go_up_is_passed_for_reading_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inode = await stored(house, b"large")
    monkeypatch.setattr(passing, "WRITTEN_BYTES_MAX", 4)
    assert not await is_passed(house, inode, os.O_RDWR)
    assert await is_passed(house, inode, os.O_RDONLY)
    assert await is_passed(house, inode, os.O_WRONLY | os.O_TRUNC)


async def test_a_large_file_that_was_never_flushed_is_passed_for_writing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "WRITTEN_BYTES_MAX", 4)
    inode, handle = await create(house)
    await house.volume.files.write(handle, 0, b"large")
    await house.volume.files.release(handle)
    assert await is_passed(house, inode, os.O_RDWR)


async def test_a_large_file_of_which_all_is_owed_is_passed_for_writing_until_it_is_flushed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inode = await stored(house, b"large")
    monkeypatch.setattr(passing, "WRITTEN_BYTES_MAX", 4)
    for content, is_wholly_owed in ((b"lar", False), (b"LARGE", True)):
        handle = await house.volume.files.open(inode.ino, os.O_RDWR)
        await house.volume.files.write(handle, 0, content)
        await house.volume.files.release(handle)
        assert await is_passed(house, inode, os.O_RDWR) is is_wholly_owed
    await house.drain()
    assert not await is_passed(house, inode, os.O_RDWR)


@pytest.mark.parametrize("lacking", ["copies_chunks", "copied_chunks_save"])
async def test_where_clean_chunks_save_nothing_a_large_file_is_passed_for_writing(
    base: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    able = msgspec.structs.replace(Capabilities(moves=True, links=True, copies_chunks=True), **{lacking: False})
    house = await House.open(base / "state", MemoryEngine(capabilities=able))
    await house.discovery.ensure_listed(ROOT)
    house.volume.passing.start(kernel)
    with calling_as(ROOT_CALLER):
        inode = await stored(house, b"large")
        monkeypatch.setattr(passing, "WRITTEN_BYTES_MAX", 4)
        assert await is_passed(house, inode, os.O_RDWR)
    await house.close()


async def test_what_a_program_has_open_is_cut_in_place_and_what_nobody_has_is_made_anew(
    house: House, kernel: Kernel
) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    os.pwrite(program, b"some bytes", 0)
    old = house.ledger.buffer.known(inode.ino).body_id
    await house.volume.inodes.setattr(inode.ino, AttributeRequest(size=0), handle)
    assert house.ledger.buffer.known(inode.ino).body_id == old
    assert os.fstat(program).st_size == 0
    os.pwrite(program, b"other", 0)
    os.close(program)
    await house.volume.files.release(handle)
    assert inode.size == 5
    house.volume.passing.look_at_all()
    await house.volume.inodes.setattr(inode.ino, AttributeRequest(size=0))
    assert house.ledger.buffer.known(inode.ino).body_id != old


async def test_a_passed_body_is_not_evicted_and_an_idle_one_is(house: House, kernel: Kernel) -> None:
    inode = await stored(house, b"bytes")
    reader = await house.volume.files.open(inode.ino, os.O_RDONLY)
    assert house.ledger.buffer.evictable(1) == []
    with pytest.raises(InvalidRequest):
        house.ledger.commit(BodyEvicted(inode.ino))
    await house.volume.files.release(reader)
    house.volume.passing.look_at_all()
    assert house.ledger.buffer.evictable(1) == [inode.ino]
    assert kernel.backings == {}


async def test_a_file_that_is_opened_again_and_again_is_registered_once(house: House, kernel: Kernel) -> None:
    inode = await stored(house, b"bytes")
    before = kernel.registered
    for flags in (os.O_RDONLY, os.O_RDWR) * 3:
        await house.volume.files.release(await house.volume.files.open(inode.ino, flags))
    assert kernel.registered == before + 1


async def test_where_the_kernel_refuses_the_ordinary_path_is_taken(house: House, kernel: Kernel) -> None:
    kernel.refuses = True
    inode, handle = await create(house)
    assert way(house, handle) is None
    await house.volume.files.write(handle, 0, b"as ever")
    await house.volume.files.release(handle)
    assert (inode.size, phase(house, inode.ino)) == (7, Phase.CLOSED)
    assert house.volume.passing.count == 0


async def test_an_unlinked_file_leaves_the_disk_with_its_last_handle(house: House, kernel: Kernel) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    os.pwrite(program, b"x" * 100, 0)
    await house.volume.tree.unlink(ROOT, b"f")
    house.volume.inodes.forget([(inode.ino, 1)])
    os.pwrite(program, b"y", 0)
    os.close(program)
    await house.volume.files.release(handle)
    assert house.ledger.buffer.find(inode.ino) is None
    house.volume.passing.look_at_all()
    assert house.volume.passing.count == 0
    assert kernel.backings == {}


async def test_fsync_covers_what_a_program_wrote(house: House, kernel: Kernel) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    await house.drain()
    os.pwrite(program, b"synced", 0)
    await house.volume.files.fsync(handle, data_only=False)
    assert house.ledger.buffer.known(inode.ino).durable.covers(0, 6)
    os.close(program)
    await house.volume.files.release(handle)


async def test_times_that_a_program_sets_are_those_of_the_body(house: House, kernel: Kernel) -> None:
    inode, handle = await create(house)
    program = kernel.open(way(house, handle))
    os.pwrite(program, b"x", 0)
    await house.volume.inodes.setattr(inode.ino, AttributeRequest(mtime_ns=12345))
    assert os.fstat(program).st_mtime_ns == 12345
    os.close(program)
    await house.volume.files.release(handle)
    assert inode.mtime_ns == 12345


async def test_without_a_gateway_nothing_is_passed(house: House) -> None:
    house.volume.passing.stop()
    _, handle = await create(house)
    assert way(house, handle) is None
    assert house.volume.passing.state.startswith("off: ")
    await house.volume.files.release(handle)
