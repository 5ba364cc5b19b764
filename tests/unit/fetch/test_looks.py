"""Volumes whose listings are never fresh: names are looked at one by one."""

import pytest

from tests.unit.flush.world import World
from vaultairefs.engine.interface import Deletion
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model.errors import Stale
from vaultairefs.model.values import ANY, ROOT, Attributes, EntryKey, EntryPath, Kind

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 8, 9)
CONTAINER = Attributes(Kind.CONTAINER, 0o700, 1, 2, 3, 4, 5)


async def put(world: World, name: bytes, content: bytes, container: bytes = b"") -> None:
    await world.engine.put(EntryPath(container, name), content, THEIRS, expected=ANY, token="")


def names(world: World) -> list[bytes]:
    return sorted(name for name, _, _ in world.ledger.namespace.entries(ROOT))


@pytest.fixture
def eager(world: World) -> Discovery:
    return Discovery(world.ledger, world.engine, ttl_seconds=0, clock=lambda: world.seconds)


async def test_without_a_ttl_each_look_sees_what_others_did_to_the_name(world: World, eager: Discovery) -> None:
    await eager.ensure_known(ROOT, b"a")
    assert names(world) == []
    await put(world, b"a", b"1")
    await eager.ensure_known(ROOT, b"a")
    first = world.ledger.namespace.child(ROOT, b"a")
    assert first is not None and first.size == 1
    await put(world, b"a", b"22")
    await eager.ensure_known(ROOT, b"a")
    second = world.ledger.namespace.child(ROOT, b"a")
    assert second is not None and second.size == 2 and second.ino != first.ino
    await world.engine.delete([Deletion(EntryPath(b"", b"a"), ANY)])
    await eager.ensure_known(ROOT, b"a")
    assert names(world) == []


async def test_without_a_ttl_many_looks_list_once(world: World, eager: Discovery) -> None:
    """Listing the container at each of n creations made them cost n² requests and entries."""
    for number in range(20):
        name = b"%d" % number
        await eager.ensure_known(ROOT, name)
        world.create(ROOT, name)
        await eager.ensure_known(ROOT, name)
    assert eager.listings == 1, "the root is met by a listing"


async def test_a_look_into_a_container_that_others_removed_is_stale(world: World, eager: Discovery) -> None:
    await world.engine.create_container(b"d", CONTAINER)
    await put(world, b"a", b"1", b"d")
    await eager.ensure_known(ROOT, b"d")
    container = world.ledger.namespace.child(ROOT, b"d")
    assert container is not None
    await eager.ensure_known(container.ino, b"a")
    await world.engine.delete([Deletion(EntryPath(b"d", b"a"), ANY)])
    await world.engine.delete_container(b"d")
    with pytest.raises(Stale):
        await eager.ensure_known(container.ino, b"a")
    assert names(world) == []


async def test_what_the_flusher_does_during_a_look_counts_more(world: World, eager: Discovery) -> None:
    await put(world, b"a", b"1")
    await eager.ensure_known(ROOT, b"a")
    known = world.ledger.namespace.child(ROOT, b"a")
    key = EntryKey(ROOT, b"a")

    async def touch(verb: str) -> None:
        if verb == "stat":
            world.ledger.backlog.begin(key)
            world.ledger.backlog.end(key)

    await put(world, b"a", b"22")
    world.engine.on_call = touch
    await eager.ensure_known(ROOT, b"a")
    assert world.ledger.namespace.child(ROOT, b"a") is known
