"""What is known beyond the limit is forgotten when nobody needs it, and comes back as it was."""

import os
from typing import Any

import pytest

from tests.support.rooms import House
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import ContainerNotEmpty, Stale
from vaultairefs.model.values import ROOT, Attributes, Ino
from vaultairefs.volume.forgetting import Forgetting

COUNT = 20


async def create(house: House, home: Ino, number: int) -> Ino:
    inode, handle = await house.volume.files.create(home, b"f%d" % number, 0o640, os.O_WRONLY)
    await house.volume.files.write(handle, 0, b"x" * number)
    await house.volume.files.release(handle)
    return inode.ino


async def fill(house: House, name: bytes) -> dict[bytes, Ino]:
    """A container of files that the engine has, no longer in the buffer, and that the kernel has dropped."""
    home = await house.volume.tree.mkdir(ROOT, name, 0o755)
    made = {b".": home.ino}
    for number in range(COUNT):
        made[b"f%d" % number] = await create(house, home.ino, number)
    await house.drain()
    for ino in made.values():
        if house.ledger.buffer.find(ino) is not None:
            house.ledger.commit(BodyEvicted(ino))
        house.volume.inodes.forget([(ino, 1)])
    shelf = house.ledger._rooms.shelf
    shelf.put_away(len(shelf._queue))
    return made


def forgetting(house: House, entries_max: int) -> Forgetting:
    house.volume.forgetting._entries_max = entries_max
    return house.volume.forgetting


async def seen(house: House, name: bytes) -> dict[bytes, tuple[Attributes, int, bytes]]:
    """Attributes, size and bytes of everything in the container, as a program sees them."""
    home = await house.volume.tree.lookup(ROOT, name)
    rows: dict[bytes, Any] = {}
    listing = await house.volume.listings.opendir(home.ino)
    for row in await house.volume.listings.readdir(listing, 2):
        inode = await house.volume.tree.lookup(home.ino, row.name)
        handle = await house.volume.files.open(inode.ino, os.O_RDONLY)
        rows[row.name] = inode.attributes(), inode.size, await house.volume.files.read(handle, 0, 100)
        await house.volume.files.release(handle)
    await house.volume.listings.releasedir(listing)
    return rows


async def test_what_is_forgotten_comes_back_with_the_same_attributes_and_bytes(house: House) -> None:
    made = await fill(house, b"d")
    before = {name: house.ledger.namespace.get(ino).attributes() for name, ino in made.items() if name != b"."}
    shelf = house.ledger._rooms.shelf
    shelf.put_away(len(shelf._queue))
    await forgetting(house, 5).forget_some()
    assert house.volume.forgetting.forgotten == COUNT
    assert len(house.ledger.namespace) == 2
    with pytest.raises(Stale):
        await house.volume.inodes.getattr(made[b"f1"])
    after = await seen(house, b"d")
    assert {name: (row[0].mode, row[0].mtime_ns) for name, row in after.items()} == {
        name: (attributes.mode, attributes.mtime_ns) for name, attributes in before.items()
    }
    assert [after[b"f%d" % number][1:] for number in range(COUNT)] == [(n, b"x" * n) for n in range(COUNT)]


async def test_nothing_is_forgotten_below_the_limit(house: House) -> None:
    await fill(house, b"d")
    await forgetting(house, COUNT + 2).forget_some()
    assert house.volume.forgetting.forgotten == 0


async def test_those_listed_longest_ago_go_first_and_no_more_than_needed(house: House) -> None:
    first, second = await fill(house, b"first"), await fill(house, b"second")
    house.discovery._listed |= {first[b"."]: 2.0, second[b"."]: 1.0}
    await forgetting(house, len(house.ledger.namespace) - 1).forget_some()
    assert house.volume.forgetting.forgotten == COUNT
    assert not house.ledger.namespace.get(second[b"."]).children
    assert house.ledger.namespace.get(first[b"."]).children


@pytest.mark.parametrize("held", [b".", b"f3"])
async def test_what_the_kernel_holds_keeps_its_number(house: House, held: bytes) -> None:
    made = await fill(house, b"d")
    house.volume.inodes.remember(made[held])
    await forgetting(house, 0).forget_some()
    assert house.ledger.namespace.path(made[b"f3"]) == b"d/f3"
    house.volume.inodes.forget([(made[held], 1)])
    shelf = house.ledger._rooms.shelf
    shelf.put_away(len(shelf._queue))
    await house.volume.forgetting.forget_some()
    assert house.volume.forgetting.forgotten == COUNT


async def test_what_is_being_listed_is_not_forgotten(house: House) -> None:
    made = await fill(house, b"d")
    with house.ledger.backlog.watch(made[b"."]):
        await forgetting(house, 0).forget_some()
    assert house.volume.forgetting.forgotten == 0


async def test_a_forgotten_container_is_not_empty(house: House) -> None:
    await fill(house, b"d")
    await forgetting(house, 0).forget_some()
    with pytest.raises(ContainerNotEmpty):
        await house.volume.tree.rmdir(ROOT, b"d")


async def test_a_crash_remembers_what_was_forgotten(house: House) -> None:
    await fill(house, b"d")
    await forgetting(house, 0).forget_some()
    assert house.ledger.namespace.child(ROOT, b"d") is not None
    before = house.ledger.fingerprint()
    assert len(before["inodes"]) == 2
