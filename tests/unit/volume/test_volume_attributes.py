"""chmod, chown, utimens, truncate, and what falls with them."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, USER, calling_as
from vaultairefs.engine.interface import Usage
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.errors import InvalidRequest, IsAContainer, Stale, TooLarge
from vaultairefs.model.values import ROOT, Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import AttributeRequest
from vaultairefs.volume.content import FILE_BYTES_MAX


async def make(house: House, mode: int = 0o644, kind: int = stat.S_IFREG) -> Inode:
    made = await house.volume.tree.mknod(ROOT, b"made", kind | 0o600, 0)
    return await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=mode))


def times(inode: Inode) -> tuple[int, int, int]:
    return inode.atime_ns, inode.mtime_ns, inode.ctime_ns


async def test_an_unknown_inode_is_stale(house: House) -> None:
    with pytest.raises(Stale):
        await house.volume.inodes.getattr(Ino(999))


@pytest.mark.parametrize("mode", [0, 0o111, 0o1777, 0o7777])
async def test_chmod_sets_every_permission_bit_and_ctime_only(house: House, mode: int) -> None:
    made = await make(house)
    before = times(made)
    assert (await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=mode))).mode == mode
    assert times(made)[:2] == before[:2]
    assert made.ctime_ns > before[2]


@pytest.mark.parametrize("caller", [ROOT_CALLER, USER])
@pytest.mark.parametrize(("before", "after"), [(0o6555, 0o555), (0o2644, 0o2644), (0o1755, 0o1755)])
async def test_chown_drops_setuid_and_executable_setgid_of_files(
    house: House, caller: object, before: int, after: int
) -> None:
    made = await make(house, before)
    with calling_as(caller):  # type: ignore[arg-type]
        await house.volume.inodes.setattr(made.ino, AttributeRequest(uid=5, gid=6))
    assert (made.uid, made.gid, made.mode) == (5, 6, after)


async def test_chown_leaves_a_containers_bits_alone(house: House) -> None:
    made = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o6755))
    await house.volume.inodes.setattr(made.ino, AttributeRequest(gid=6))
    assert made.mode == 0o6755


async def test_a_mode_that_comes_with_a_chown_wins(house: House) -> None:
    made = await make(house, 0o6755)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(uid=5, mode=0o4755))
    assert made.mode == 0o4755


async def test_a_request_without_fields_means_drop_setuid_and_setgid(house: House) -> None:
    made = await make(house, 0o6755)
    with calling_as(USER):
        await house.volume.inodes.setattr(made.ino, AttributeRequest())
    assert made.mode == 0o755


async def test_a_privileged_callers_request_without_fields_changes_nothing(house: House) -> None:
    made = await make(house, 0o6755)
    before = times(made)
    await house.volume.inodes.setattr(made.ino, AttributeRequest())
    assert made.mode == 0o6755
    assert times(made) == before


async def test_utimens_sets_each_time_to_the_nanosecond_and_moves_ctime(house: House) -> None:
    made = await make(house)
    before = times(made)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(atime_ns=-5))
    assert times(made)[:2] == (-5, before[1])
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mtime_ns=123_456_789_987_654_321))
    assert times(made)[:2] == (-5, 123_456_789_987_654_321)
    assert made.ctime_ns > before[2]


async def test_truncation_cuts_and_extends_with_zeros_and_moves_mtime_and_ctime(house: House) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"0123456789")
    before = times(made)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=4))
    assert made.mtime_ns == made.ctime_ns > before[1]
    assert made.atime_ns == before[0]
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=8))
    assert made.size == 8
    assert await house.volume.files.read(handle, 0, 100) == b"0123\0\0\0\0"
    await house.volume.files.release(handle)


async def test_truncate_to_the_same_size_moves_times_only_through_a_handle(house: House) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    before = times(made)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=0))
    assert times(made) == before
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=0), handle)
    assert made.mtime_ns == made.ctime_ns > before[1]
    await house.volume.files.release(handle)


async def test_a_strangers_truncation_drops_setuid(house: House) -> None:
    made = await make(house, 0o6777)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=5))
    assert made.mode == 0o6777
    with calling_as(USER):
        await house.volume.inodes.setattr(made.ino, AttributeRequest(size=10))
    assert made.mode == 0o777


async def test_absurd_sizes_are_too_large(house: House) -> None:
    made = await make(house)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=FILE_BYTES_MAX))
    assert made.size == FILE_BYTES_MAX
    with pytest.raises(TooLarge):
        await house.volume.inodes.setattr(made.ino, AttributeRequest(size=FILE_BYTES_MAX + 1))


async def test_only_files_have_a_size_to_set(house: House) -> None:
    container = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    with pytest.raises(IsAContainer):
        await house.volume.inodes.setattr(container.ino, AttributeRequest(size=0))
    fifo = await make(house, kind=stat.S_IFIFO)
    assert fifo.kind is Kind.FIFO
    with pytest.raises(InvalidRequest):
        await house.volume.inodes.setattr(fifo.ino, AttributeRequest(size=0))


async def test_a_refused_size_leaves_the_rest_of_the_request_undone(house: House) -> None:
    container = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    with pytest.raises(IsAContainer):
        await house.volume.inodes.setattr(container.ino, AttributeRequest(size=0, mode=0o700))
    assert container.mode == 0o755
    made = await make(house)
    with pytest.raises(TooLarge):
        await house.volume.inodes.setattr(made.ino, AttributeRequest(size=FILE_BYTES_MAX + 1, mode=0o700))
    assert made.mode == 0o644


async def test_blocks_count_bytes_but_not_holes(house: House) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"x" * 100_000)
    assert house.volume.inodes.blocks(made) == 196
    await house.volume.files.release(handle)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(size=1 << 30))
    assert house.volume.inodes.blocks(made) < 1000
    container = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    assert house.volume.inodes.blocks(container) == 0


async def test_statfs_says_what_the_engine_says_and_asks_it_rarely(house: House, engine: MemoryEngine) -> None:
    asked = engine.calls["usage"]
    first = await house.volume.inodes.statfs()
    assert isinstance(first, Usage)
    assert await house.volume.inodes.statfs() == first
    assert engine.calls["usage"] == asked + 1


async def test_the_root_shows_what_the_engine_says_from_its_first_call_on(tmp_path: Path, engine: MemoryEngine) -> None:
    first = await House.open(tmp_path / "one", engine)
    await first.volume.inodes.setattr(ROOT, AttributeRequest(mode=0o750, uid=5))
    await first.volume.xattrs.setxattr(ROOT, b"user.x", b"kept")
    await first.drain()
    await first.close()
    second = await House.open(tmp_path / "two", engine)
    assert await second.volume.xattrs.getxattr(ROOT, b"user.x") == b"kept"
    root = await second.volume.inodes.getattr(ROOT)
    assert (root.mode, root.uid) == (0o750, 5)
    await second.close()
