"""opendir, readdir, releasedir."""

import stat

import pytest

from tests.support.rooms import House
from vaultairefs.model.errors import BadHandle, NotAContainer
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.volume import RenameMode
from vaultairefs.volume.listings import ROWS_MAX, ROWS_MORE


async def make(house: House, name: bytes, parent: Ino = ROOT) -> Ino:
    return (await house.volume.tree.mknod(parent, name, stat.S_IFREG | 0o644, 0)).ino


async def rest(house: House, handle: int, offset: int = 0) -> list[bytes]:
    names: list[bytes] = []
    while page := await house.volume.listings.readdir(handle, offset):
        names += [row.name for row in page]
        offset = page[-1].next_offset
    return names


async def test_dot_and_dot_dot_come_first(house: House) -> None:
    home = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await make(house, b"f", home.ino)
    handle = await house.volume.listings.opendir(home.ino)
    rows = await house.volume.listings.readdir(handle, 0)
    assert [(row.name, row.inode.ino) for row in rows[:2]] == [(b".", home.ino), (b"..", ROOT)]
    assert [row.name for row in rows[2:]] == [b"f"]
    await house.volume.listings.releasedir(handle)


async def test_a_listing_may_stop_and_go_on_at_every_row(house: House) -> None:
    for number in range(5):
        await make(house, b"%d" % number)
    handle = await house.volume.listings.opendir(ROOT)
    rows = await house.volume.listings.readdir(handle, 0)
    assert len({row.next_offset for row in rows}) == len(rows) == 7
    for position, row in enumerate(rows):
        assert await rest(house, handle, row.next_offset) == [later.name for later in rows[position + 1 :]]


async def test_a_huge_container_is_listed_in_pieces_each_name_once(house: House) -> None:
    count = ROWS_MAX * 2 + 3
    for number in range(count):
        await make(house, b"%d" % number)
    handle = await house.volume.listings.opendir(ROOT)
    first = await house.volume.listings.readdir(handle, 0)
    assert len(first) == ROWS_MAX + 2
    names = await rest(house, handle)
    assert len(names) == len(set(names)) == count + 2


@pytest.mark.parametrize("taken", [1, 20, ROWS_MAX])
async def test_a_caller_is_given_about_as_many_rows_as_it_takes(house: House, taken: int) -> None:
    count = ROWS_MAX * 3
    for number in range(count):
        await make(house, b"%d" % number)
    handle = await house.volume.listings.opendir(ROOT)
    names: list[bytes] = []
    offered, offset = [], 2
    while rows := await house.volume.listings.readdir(handle, offset):
        offered.append(len(rows))
        names += [row.name for row in rows[:taken]]
        offset = rows[:taken][-1].next_offset
    assert names == [b"%d" % number for number in range(count)]
    assert offered[0] == ROWS_MAX
    assert max(offered[1:-1]) <= min(ROWS_MAX, taken + ROWS_MORE)
    assert min(offered[:-1]) >= taken


async def test_entries_that_stay_are_shown_once_whatever_happens_between_pages(house: House) -> None:
    count = ROWS_MAX + 10
    for number in range(count):
        await make(house, b"%04d" % number)
    handle = await house.volume.listings.opendir(ROOT)
    page = await house.volume.listings.readdir(handle, 0)
    for number in range(0, ROWS_MAX, 2):
        await house.volume.tree.unlink(ROOT, b"%04d" % number)
    await make(house, b"new")
    await house.volume.tree.rename(ROOT, b"0001", ROOT, b"renamed", RenameMode.REPLACE)
    names = await rest(house, handle, page[-1].next_offset)
    assert names == [b"%04d" % number for number in range(ROWS_MAX, count)]


async def test_a_removed_entry_is_not_shown_and_a_replaced_one_is(house: House) -> None:
    await make(house, b"removed")
    await make(house, b"replaced")
    other = await make(house, b"other")
    handle = await house.volume.listings.opendir(ROOT)
    await house.volume.listings.readdir(handle, 0)
    await house.volume.tree.unlink(ROOT, b"removed")
    await house.volume.tree.rename(ROOT, b"other", ROOT, b"replaced", RenameMode.REPLACE)
    rows = await house.volume.listings.readdir(handle, 2)
    assert [(row.name, row.inode.ino) for row in rows] == [(b"replaced", other)]


async def test_a_new_pass_shows_what_is_new(house: House) -> None:
    handle = await house.volume.listings.opendir(ROOT)
    assert await rest(house, handle) == [b".", b".."]
    await make(house, b"new")
    assert await rest(house, handle) == [b".", b"..", b"new"]


async def test_an_offset_is_good_in_another_pass(house: House) -> None:
    for name in (b"a", b"b", b"c"):
        await make(house, name)
    first = await house.volume.listings.opendir(ROOT)
    offset = (await house.volume.listings.readdir(first, 0))[3].next_offset
    second = await house.volume.listings.opendir(ROOT)
    assert await rest(house, second, offset) == [b"c"]


async def test_a_listing_counts_no_lookups(house: House) -> None:
    made = await make(house, b"f")
    house.volume.inodes.forget([(made, 1)])
    handle = await house.volume.listings.opendir(ROOT)
    await house.volume.listings.readdir(handle, 0)
    await house.volume.tree.unlink(ROOT, b"f")
    assert house.ledger.namespace.find(made) is None


async def test_what_the_adapter_remembers_is_kept(house: House) -> None:
    made = await make(house, b"f")
    house.volume.inodes.remember(made)
    house.volume.inodes.forget([(made, 1)])
    await house.volume.tree.unlink(ROOT, b"f")
    assert house.ledger.namespace.find(made) is not None
    house.volume.inodes.forget([(made, 1)])
    assert house.ledger.namespace.find(made) is None


async def test_only_a_container_can_be_listed(house: House) -> None:
    with pytest.raises(NotAContainer):
        await house.volume.listings.opendir(await make(house, b"f"))


async def test_a_closed_handle_is_bad(house: House) -> None:
    handle = await house.volume.listings.opendir(ROOT)
    await house.volume.listings.releasedir(handle)
    for call in (
        lambda: house.volume.listings.readdir(handle, 0),
        lambda: house.volume.listings.fsyncdir(handle, False),
        lambda: house.volume.listings.releasedir(handle),
    ):
        with pytest.raises(BadHandle):
            await call()
