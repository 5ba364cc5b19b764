"""open, create, read, write, flush, fsync, release."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, USER, calling_as
from vaultairefs.buffer import Phase
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import (
    BadHandle,
    DeviceFailed,
    InvalidRequest,
    IsAContainer,
    ReadOnly,
    Stale,
    TooLarge,
)
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume import AttributeRequest
from vaultairefs.volume.content import FILE_BYTES_MAX


async def create(house: House, name: bytes = b"f", flags: int = os.O_RDWR) -> tuple[Inode, int]:
    return await house.volume.files.create(ROOT, name, 0o644, flags)


async def stored_elsewhere(house: House, content: bytes, name: bytes = b"f") -> Inode:
    """A file that the engine has and the buffer has not."""
    made, handle = await create(house, name)
    await house.volume.files.write(handle, 0, content)
    await house.volume.files.release(handle)
    await house.drain()
    house.ledger.commit(BodyEvicted(made.ino))
    return made


async def content(house: House, ino: Ino) -> bytes:
    handle = await house.volume.files.open(ino, os.O_RDONLY)
    try:
        return await house.volume.files.read(handle, 0, 1 << 24)
    finally:
        await house.volume.files.release(handle)


async def test_what_was_written_can_be_read_at_once(house: House) -> None:
    made, handle = await create(house)
    assert await house.volume.files.write(handle, 3, b"abc") == 3
    assert await house.volume.files.read(handle, 0, 100) == b"\0\0\0abc"
    assert await house.volume.files.read(handle, 4, 1) == b"b"
    assert await house.volume.files.read(handle, 6, 1) == b""
    assert await house.volume.files.read(handle, 600, 1) == b""
    assert made.size == 6
    await house.volume.files.release(handle)


async def test_a_write_moves_mtime_and_ctime_and_a_read_moves_nothing(house: House) -> None:
    made, handle = await create(house)
    before = made.atime_ns, made.mtime_ns
    await house.volume.files.write(handle, 0, b"x")
    assert made.mtime_ns == made.ctime_ns > before[1]
    after = made.atime_ns, made.mtime_ns, made.ctime_ns
    await house.volume.files.read(handle, 0, 1)
    await house.volume.files.release(handle)
    assert (made.atime_ns, made.mtime_ns, made.ctime_ns) == after


async def test_a_time_set_on_an_open_file_is_set_on_its_body_too(house: House) -> None:
    made, handle = await create(house)
    await house.volume.files.write(handle, 0, b"x")
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mtime_ns=1_234_567_890_123_456_789))
    seen = house.ledger.buffer.stat(made.ino)
    assert seen is not None
    assert seen.st_mtime_ns == 1_234_567_890_123_456_789
    await house.volume.files.release(handle)
    assert made.mtime_ns == 1_234_567_890_123_456_789


async def test_the_size_and_times_survive_the_last_close(house: House) -> None:
    made, handle = await create(house)
    await house.volume.files.write(handle, 0, b"x" * 10)
    times = made.mtime_ns, made.ctime_ns
    await house.volume.files.release(handle)
    body = house.ledger.buffer.find(made.ino)
    assert body is not None
    assert body.phase is Phase.CLOSED
    assert (made.size, made.mtime_ns, made.ctime_ns) == (10, *times)


async def test_a_body_is_closed_by_its_last_writer_only(house: House) -> None:
    made, first = await create(house)
    second = await house.volume.files.open(made.ino, os.O_WRONLY)
    reader = await house.volume.files.open(made.ino, os.O_RDONLY)
    body = house.ledger.buffer.find(made.ino)
    assert body is not None
    await house.volume.files.write(first, 0, b"x")
    await house.volume.files.release(first)
    assert body.phase is Phase.OPEN
    await house.volume.files.release(second)
    assert body.phase is Phase.CLOSED
    await house.volume.files.release(reader)


async def test_handles_do_only_what_they_were_opened_for(house: House) -> None:
    made, writer = await create(house, flags=os.O_WRONLY)
    reader = await house.volume.files.open(made.ino, os.O_RDONLY)
    with pytest.raises(BadHandle):
        await house.volume.files.read(writer, 0, 1)
    with pytest.raises(BadHandle):
        await house.volume.files.write(reader, 0, b"x")
    for handle in (reader, writer):
        await house.volume.files.release(handle)
    for call in (
        lambda: house.volume.files.read(reader, 0, 1),
        lambda: house.volume.files.write(writer, 0, b"x"),
        lambda: house.volume.files.flush(reader),
        lambda: house.volume.files.fsync(reader, False),
        lambda: house.volume.files.release(reader),
    ):
        with pytest.raises(BadHandle):
            await call()


async def test_only_files_are_opened(house: House) -> None:
    container = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    fifo = await house.volume.tree.mknod(ROOT, b"p", stat.S_IFIFO | 0o644, 0)
    with pytest.raises(IsAContainer):
        await house.volume.files.open(container.ino, os.O_RDONLY)
    with pytest.raises(InvalidRequest):
        await house.volume.files.open(fifo.ino, os.O_RDONLY)
    with pytest.raises(Stale):
        await house.volume.files.open(Ino(999), os.O_RDONLY)


async def test_a_name_that_was_taken_meanwhile_sends_the_kernel_back_to_check_permissions(house: House) -> None:
    _, handle = await create(house)
    await house.volume.files.release(handle)
    with pytest.raises(Stale):
        await create(house)


async def test_open_with_truncate_empties_the_file_and_moves_its_times(house: House) -> None:
    made, handle = await create(house)
    await house.volume.files.write(handle, 0, b"content")
    await house.volume.files.release(handle)
    before = made.mtime_ns
    handle = await house.volume.files.open(made.ino, os.O_WRONLY | os.O_TRUNC)
    assert made.size == 0
    assert made.mtime_ns == made.ctime_ns > before
    await house.volume.files.release(handle)
    assert await content(house, made.ino) == b""


@pytest.mark.parametrize(("caller", "mode"), [(USER, 0o777), (ROOT_CALLER, 0o6777)])
async def test_a_strangers_write_drops_setuid_and_roots_does_not(house: House, caller: object, mode: int) -> None:
    made, handle = await create(house)
    await house.volume.files.release(handle)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o6777))
    with calling_as(caller):  # type: ignore[arg-type]
        handle = await house.volume.files.open(made.ino, os.O_WRONLY)
    await house.volume.files.write(handle, 0, b"x")
    assert made.mode == mode
    await house.volume.files.release(handle)


async def test_a_strangers_open_with_truncate_drops_setuid(house: House) -> None:
    made, handle = await create(house)
    await house.volume.files.release(handle)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o6777))
    with calling_as(USER):
        handle = await house.volume.files.open(made.ino, os.O_WRONLY | os.O_TRUNC)
    assert made.mode == 0o777
    await house.volume.files.release(handle)


async def test_a_write_past_the_largest_file_is_refused_whole(house: House) -> None:
    made, handle = await create(house)
    with pytest.raises(TooLarge):
        await house.volume.files.write(handle, FILE_BYTES_MAX - 1, b"xy")
    assert made.size == 0
    await house.volume.files.release(handle)


async def test_a_write_of_nothing_changes_nothing(house: House) -> None:
    made, handle = await create(house)
    before = made.mtime_ns
    assert await house.volume.files.write(handle, 100, b"") == 0
    assert (made.size, made.mtime_ns) == (0, before)
    await house.volume.files.release(handle)


async def test_an_unlinked_file_is_read_and_written_until_its_last_close(house: House) -> None:
    made, handle = await create(house)
    await house.volume.tree.unlink(ROOT, b"f")
    house.volume.inodes.forget([(made.ino, 1)])
    await house.volume.files.write(handle, 0, b"still")
    assert await house.volume.files.read(handle, 0, 10) == b"still"
    await house.volume.files.release(handle)
    assert house.ledger.namespace.find(made.ino) is None


async def test_bytes_come_from_the_engine_when_they_are_not_local(house: House) -> None:
    made = await stored_elsewhere(house, b"from the engine")
    assert await content(house, made.ino) == b"from the engine"


async def test_a_write_into_a_file_that_is_not_local_keeps_all_other_bytes(house: House, engine: MemoryEngine) -> None:
    made = await stored_elsewhere(house, b"0123456789")
    reads = engine.calls["read"]
    handle = await house.volume.files.open(made.ino, os.O_RDWR)
    await house.volume.files.write(handle, 2, b"XY")
    await house.volume.files.write(handle, 12, b"Z")
    assert engine.calls["read"] == reads
    assert await house.volume.files.read(handle, 0, 100) == b"01XY456789\0\0Z"
    await house.volume.files.release(handle)
    await house.drain()
    house.ledger.commit(BodyEvicted(made.ino))
    assert await content(house, made.ino) == b"01XY456789\0\0Z"


async def test_truncating_a_file_that_is_not_local_keeps_its_head(house: House) -> None:
    made = await stored_elsewhere(house, b"0123456789")
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=4))
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=6))
    assert await content(house, made.ino) == b"0123\0\0"


async def test_emptying_a_file_that_is_not_local_fetches_nothing(house: House, engine: MemoryEngine) -> None:
    made = await stored_elsewhere(house, b"0123456789")
    reads = engine.calls["read"]
    handle = await house.volume.files.open(made.ino, os.O_RDWR | os.O_TRUNC)
    await house.volume.files.write(handle, 0, b"new")
    await house.volume.files.release(handle)
    assert await content(house, made.ino) == b"new"
    assert engine.calls["read"] == reads


async def test_a_body_that_the_disk_lost_fails_every_close_and_read(house: House) -> None:
    made, handle = await create(house)
    await house.volume.files.write(handle, 0, b"x")
    body = house.ledger.buffer.find(made.ino)
    assert body is not None
    body.failed = True
    with pytest.raises(DeviceFailed):
        await house.volume.files.flush(handle)
    with pytest.raises(DeviceFailed):
        await house.volume.files.read(handle, 0, 1)
    body.failed = False
    await house.volume.files.release(handle)


async def test_a_read_only_volume_changes_nothing(tmp_path: Path, engine: MemoryEngine) -> None:
    writable = await House.open(tmp_path / "one", engine)
    made, handle = await create(writable)
    await writable.volume.files.release(handle)
    await writable.drain()
    await writable.close()
    house = await House.open(tmp_path / "two", engine, read_only=True)
    made = await house.volume.tree.lookup(ROOT, b"f")
    for call in (
        lambda: create(house, b"g"),
        lambda: house.volume.tree.mkdir(ROOT, b"d", 0o755),
        lambda: house.volume.tree.unlink(ROOT, b"f"),
        lambda: house.volume.tree.link(made.ino, ROOT, b"g"),
        lambda: house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0)),
        lambda: house.volume.xattrs.setxattr(made.ino, b"user.x", b""),
        lambda: house.volume.xattrs.removexattr(made.ino, b"user.x"),
        lambda: house.volume.files.open(made.ino, os.O_WRONLY),
        lambda: house.volume.files.open(made.ino, os.O_RDONLY | os.O_TRUNC),
    ):
        with pytest.raises(ReadOnly):
            await call()
    assert await content(house, made.ino) == b""
    await house.close()
