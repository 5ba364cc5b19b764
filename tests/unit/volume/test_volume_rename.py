"""rename(2) and its flags."""

import stat

import pytest

from tests.support.rooms import House
from vaultairefs.model.errors import (
    AlreadyExists,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NameTooLong,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume import RenameMode

REPLACE, NO_REPLACE, EXCHANGE = RenameMode.REPLACE, RenameMode.NO_REPLACE, RenameMode.EXCHANGE


async def file(house: House, name: bytes, parent: Ino = ROOT) -> Inode:
    return await house.volume.tree.mknod(parent, name, stat.S_IFREG | 0o644, 0)


async def container(house: House, name: bytes, parent: Ino = ROOT) -> Inode:
    return await house.volume.tree.mkdir(parent, name, 0o755)


async def at(house: House, name: bytes, parent: Ino = ROOT) -> Inode:
    return await house.volume.tree.lookup(parent, name)


async def test_the_inode_moves_and_its_ctime_and_both_containers_times_with_it(house: House) -> None:
    home, moved = await container(house, b"d"), await file(house, b"f")
    mtime, ctime, root = moved.mtime_ns, moved.ctime_ns, house.ledger.namespace.get(ROOT)
    await house.volume.tree.rename(ROOT, b"f", home.ino, b"g", REPLACE)
    assert await at(house, b"g", home.ino) is moved
    with pytest.raises(NotFound):
        await at(house, b"f")
    assert moved.mtime_ns == mtime
    assert moved.ctime_ns > ctime
    assert moved.ctime_ns == home.mtime_ns == home.ctime_ns == root.mtime_ns == root.ctime_ns


async def test_a_replaced_file_loses_one_name(house: House) -> None:
    new, old = await file(house, b"new"), await file(house, b"old")
    await house.volume.tree.link(old.ino, ROOT, b"kept")
    await house.volume.tree.rename(ROOT, b"new", ROOT, b"old", REPLACE)
    assert await at(house, b"old") is new
    assert (new.nlink, old.nlink) == (1, 1)


async def test_two_names_of_one_file_both_stay(house: House) -> None:
    made = await file(house, b"f")
    await house.volume.tree.link(made.ino, ROOT, b"g")
    before = made.ctime_ns
    await house.volume.tree.rename(ROOT, b"f", ROOT, b"g", REPLACE)
    assert await at(house, b"f") is await at(house, b"g") is made
    assert made.ctime_ns == before


async def test_a_moved_container_takes_its_dot_dot_and_link_along(house: House) -> None:
    old, new = await container(house, b"old"), await container(house, b"new")
    inner = await container(house, b"inner", old.ino)
    await house.volume.tree.rename(old.ino, b"inner", new.ino, b"inner", REPLACE)
    assert await at(house, b"..", inner.ino) is new
    assert (old.nlink, new.nlink) == (2, 3)


async def test_an_empty_container_may_be_replaced_by_a_container(house: House) -> None:
    new, old = await container(house, b"new"), await container(house, b"old")
    await house.volume.tree.rename(ROOT, b"new", ROOT, b"old", REPLACE)
    assert await at(house, b"old") is new
    assert old.nlink == 0


async def test_a_container_that_holds_something_is_not_replaced(house: House) -> None:
    await container(house, b"new")
    old = await container(house, b"old")
    await file(house, b"f", old.ino)
    with pytest.raises(ContainerNotEmpty):
        await house.volume.tree.rename(ROOT, b"new", ROOT, b"old", REPLACE)


async def test_only_like_replaces_like(house: House) -> None:
    await container(house, b"d")
    await file(house, b"f")
    with pytest.raises(NotAContainer):
        await house.volume.tree.rename(ROOT, b"d", ROOT, b"f", REPLACE)
    with pytest.raises(IsAContainer):
        await house.volume.tree.rename(ROOT, b"f", ROOT, b"d", REPLACE)


@pytest.mark.parametrize("mode", [REPLACE, NO_REPLACE])
async def test_a_container_cannot_move_below_itself(house: House, mode: RenameMode) -> None:
    outer = await container(house, b"outer")
    inner = await container(house, b"inner", outer.ino)
    for parent in (outer.ino, inner.ino):
        with pytest.raises(InvalidRequest):
            await house.volume.tree.rename(ROOT, b"outer", parent, b"x", mode)


async def test_what_lies_below_cannot_replace_what_is_above_it(house: House) -> None:
    outer = await container(house, b"outer")
    inner = await container(house, b"inner", outer.ino)
    await container(house, b"innermost", inner.ino)
    with pytest.raises(ContainerNotEmpty):
        await house.volume.tree.rename(inner.ino, b"innermost", ROOT, b"outer", REPLACE)


async def test_names_that_are_missing_or_too_long_are_refused(house: House) -> None:
    await file(house, b"f")
    with pytest.raises(NotFound):
        await house.volume.tree.rename(ROOT, b"nothing", ROOT, b"g", REPLACE)
    with pytest.raises(NameTooLong):
        await house.volume.tree.rename(ROOT, b"f", ROOT, b"n" * 256, REPLACE)
    with pytest.raises(NameTooLong):
        await house.volume.tree.rename(ROOT, b"n" * 256, ROOT, b"g", REPLACE)


async def test_nothing_moves_into_a_removed_container(house: House) -> None:
    await file(house, b"f")
    removed = await container(house, b"d")
    await house.volume.tree.rmdir(ROOT, b"d")
    with pytest.raises(NotFound):
        await house.volume.tree.rename(ROOT, b"f", removed.ino, b"f", REPLACE)


async def test_no_replace_takes_a_free_name_only(house: House) -> None:
    made = await file(house, b"f")
    await file(house, b"taken")
    with pytest.raises(AlreadyExists):
        await house.volume.tree.rename(ROOT, b"f", ROOT, b"taken", NO_REPLACE)
    with pytest.raises(AlreadyExists):
        await house.volume.tree.rename(ROOT, b"f", ROOT, b"f", NO_REPLACE)
    await house.volume.tree.rename(ROOT, b"f", ROOT, b"free", NO_REPLACE)
    assert await at(house, b"free") is made


async def test_an_exchange_swaps_two_entries_of_any_kind(house: House) -> None:
    home, made = await container(house, b"d"), await file(house, b"f")
    inner = await container(house, b"inner", home.ino)
    await house.volume.tree.rename(ROOT, b"f", home.ino, b"inner", EXCHANGE)
    assert await at(house, b"f") is inner
    assert await at(house, b"inner", home.ino) is made
    assert home.nlink == 2
    assert made.ctime_ns == inner.ctime_ns


async def test_an_exchange_needs_both_and_makes_no_loops(house: House) -> None:
    outer = await container(house, b"outer")
    await container(house, b"inner", outer.ino)
    with pytest.raises(NotFound):
        await house.volume.tree.rename(ROOT, b"outer", ROOT, b"nothing", EXCHANGE)
    with pytest.raises(InvalidRequest):
        await house.volume.tree.rename(ROOT, b"outer", outer.ino, b"inner", EXCHANGE)
    with pytest.raises(InvalidRequest):
        await house.volume.tree.rename(outer.ino, b"inner", ROOT, b"outer", EXCHANGE)


async def test_a_replaced_file_lives_on_in_open_handles(house: House) -> None:
    old, handle = await house.volume.files.create(ROOT, b"old", 0o644, 0o2)
    await house.volume.files.write(handle, 0, b"still here")
    await file(house, b"new")
    await house.volume.tree.rename(ROOT, b"new", ROOT, b"old", REPLACE)
    house.volume.inodes.forget([(old.ino, 1)])
    assert await house.volume.files.read(handle, 0, 100) == b"still here"
    await house.volume.files.release(handle)
    assert house.ledger.namespace.find(old.ino) is None


async def test_a_replaced_file_that_nobody_needs_is_gone_at_once(house: House) -> None:
    old = await file(house, b"old")
    house.volume.inodes.forget([(old.ino, 1)])
    await file(house, b"new")
    await house.volume.tree.rename(ROOT, b"new", ROOT, b"old", REPLACE)
    assert house.ledger.namespace.find(old.ino) is None
