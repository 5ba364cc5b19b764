"""Every call leaves exactly one event, and its changes carry the same operation id."""

import os
from pathlib import Path

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, USER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.events.record import EventRecord
from vaultairefs.model.errors import AttributeMissing, NotFound, OutOfSpace
from vaultairefs.model.values import ROOT
from vaultairefs.volume import AttributeRequest, RenameMode, Volume


def events(house: House) -> list[EventRecord]:
    return list(house.ledger.events.read())


OPERATIONS = (
    *("mkdir", "mknod", "symlink", "readlink", "create", "flush", "fsync", "fdatasync"),
    *("release", "open", "release", "lookup", "getattr", "setattr", "setxattr", "getxattr"),
    *("listxattr", "removexattr", "link", "rename", "unlink", "unlink", "unlink", "unlink"),
    *("rmdir", "opendir", "readdir", "fsyncdir", "releasedir", "statfs"),
)


async def test_a_rename_says_where_from_and_where_to(house: House) -> None:
    home = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await house.volume.files.create(ROOT, b"a", 0o644, os.O_RDWR)
    await house.volume.tree.rename(ROOT, b"a", home.ino, b"b", RenameMode.REPLACE)
    last = events(house)[-1]
    assert (last.operation, last.container, last.artifact) == ("rename", b"", b"a")
    assert (last.target_container, last.target_artifact) == (b"d", b"b")
    assert all(event.target_artifact is None for event in events(house)[:-1])


async def test_operations_that_ended_are_not_in_flight(house: House) -> None:
    await every_call(house.volume)
    assert house.ledger._in_flight == {}


async def every_call(volume: Volume) -> None:
    """Call everything once, in the order of ``OPERATIONS``."""
    tree, inodes, xattrs, listings, files = volume.tree, volume.inodes, volume.xattrs, volume.listings, volume.files
    home = await tree.mkdir(ROOT, b"d", 0o755)
    await tree.mknod(home.ino, b"n", 0o644, 0)
    link = await tree.symlink(home.ino, b"s", b"text")
    await inodes.readlink(link.ino)
    made, handle = await files.create(home.ino, b"f", 0o644, os.O_RDWR)
    await files.write(handle, 0, b"x")
    await files.read(handle, 0, 1)
    await files.flush(handle)
    await files.fsync(handle, False)
    await files.fsync(handle, True)
    await files.release(handle)
    await files.release(await files.open(made.ino, os.O_RDONLY))
    await tree.lookup(home.ino, b"f")
    await inodes.getattr(made.ino)
    await inodes.setattr(made.ino, AttributeRequest(mode=0o600))
    await xattrs.setxattr(made.ino, b"user.x", b"1")
    await xattrs.getxattr(made.ino, b"user.x")
    await xattrs.listxattr(made.ino)
    await xattrs.removexattr(made.ino, b"user.x")
    await tree.link(made.ino, home.ino, b"l")
    await tree.rename(home.ino, b"l", home.ino, b"m", RenameMode.REPLACE)
    for name in (b"m", b"f", b"n", b"s"):
        await tree.unlink(home.ino, name)
    await tree.rmdir(ROOT, b"d")
    listing = await listings.opendir(ROOT)
    await listings.readdir(listing, 0)
    await listings.fsyncdir(listing, False)
    await listings.releasedir(listing)
    await inodes.statfs()


async def test_every_call_leaves_one_event_in_order(house: House) -> None:
    await every_call(house.volume)
    found = events(house)
    assert [event.operation for event in found] == [*OPERATIONS]
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    assert len({event.operation_id for event in found}) == len(found)
    assert {event.outcome for event in found} == {"OK"}
    assert {(event.pid, event.uid, event.comm, event.tenant) for event in found} == {(7, 0, "root-program", "t")}


async def test_the_kernels_question_before_each_write_leaves_no_event(house: House) -> None:
    made = await house.volume.tree.mknod(ROOT, b"f", 0o644, 0)
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.getxattr(made.ino, b"security.capability")
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.getxattr(made.ino, b"user.other")
    assert [event.operation for event in events(house)] == ["mknod", "getxattr"]


async def test_an_event_names_place_and_inode(house: House) -> None:
    home = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    made, handle = await house.volume.files.create(home.ino, b"f", 0o644, os.O_RDWR)
    await house.volume.files.release(handle)
    await house.volume.inodes.getattr(made.ino)
    await house.volume.tree.unlink(home.ino, b"f")
    assert [(event.operation, event.container, event.artifact, event.inode) for event in events(house)] == [
        ("mkdir", b"", b"d", home.ino),
        ("create", b"d", b"f", made.ino),
        ("release", b"d", b"f", made.ino),
        ("getattr", b"d", b"f", made.ino),
        ("unlink", b"d", b"f", made.ino),
    ]


async def test_a_failed_call_is_told_with_its_outcome(house: House) -> None:
    with pytest.raises(NotFound):
        await house.volume.tree.unlink(ROOT, b"nothing")
    assert [(event.operation, event.artifact, event.outcome) for event in events(house)] == [
        ("unlink", b"nothing", "NotFound")
    ]


async def test_calls_on_handles_carry_the_opener(house: House) -> None:
    with calling_as(USER):
        _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    with calling_as(ROOT_CALLER):
        await house.volume.files.release(handle)
    assert [(event.operation, event.pid, event.uid) for event in events(house)] == [
        ("create", USER.pid, USER.uid),
        ("release", USER.pid, USER.uid),
    ]


async def test_a_release_sums_up_what_went_through_the_handle(house: House) -> None:
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    for offset in (0, 4, 8, 100):
        await house.volume.files.write(handle, offset, b"four")
    await house.volume.files.read(handle, 0, 6)
    await house.volume.files.release(handle)
    released = events(house)[-1]
    assert (released.writes, released.bytes_written, released.reads, released.bytes_read) == (4, 16, 1, 6)
    assert released.sequential_share == 3 / 5
    assert released.size == 104


async def test_failed_writes_have_an_event_of_their_own(house: House) -> None:
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    with pytest.raises(Exception, match="largest"):
        await house.volume.files.write(handle, 1 << 60, b"x")
    assert (events(house)[-1].operation, events(house)[-1].outcome) == ("write", "TooLarge")
    await house.volume.files.release(handle)


async def test_with_io_events_each_read_and_write_is_told(tmp_path: Path, engine: MemoryEngine) -> None:
    house = await House.open(tmp_path / "io", engine, record_io=True)
    _, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 5, b"abc")
    await house.volume.files.read(handle, 6, 100)
    await house.volume.files.release(handle)
    told = [(event.operation, event.offset, event.length, event.cache_hit) for event in events(house)[1:3]]
    assert told == [("write", 5, 3, None), ("read", 6, 2, True)]
    await house.close()


async def test_fsync_says_what_it_reached(house: House) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.fsync(handle, False)
    await house.volume.xattrs.setxattr(made.ino, b"user.vaultaire.sync", b"buffered")
    await house.volume.files.fsync(handle, False)
    await house.volume.files.release(handle)
    assert [event.durability for event in events(house) if event.operation == "fsync"] == ["journaled", "buffered"]


async def test_an_event_that_cannot_be_written_does_not_fail_the_call(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise OutOfSpace

    monkeypatch.setattr(house.ledger.events, "append", full)
    await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    assert await house.volume.tree.lookup(ROOT, b"d") is not None
    assert house.volume.door.lost_events == 2
