"""P5: what somebody else did in the engine is never silently overwritten, and nothing of ours is given up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.flush.world import World
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model.values import ABSENT, ANY, ROOT, Attributes, EntryPath, Ino, Kind

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 8, 9)


async def put(world: World, name: bytes, content: bytes, container: bytes = b"") -> None:
    """Another program writes into the engine."""
    await world.engine.put(EntryPath(container, name), content, THEIRS, expected=ANY, token="")


def contents(world: World) -> dict[bytes, bytes]:
    return {path.joined: content for path, _, content in world.engine.walk()}


def discovery(world: World) -> Discovery:
    return Discovery(world.ledger, world.engine, ttl_seconds=5, clock=lambda: world.seconds)


@pytest.fixture
async def world_of(tmp_path: Path) -> AsyncIterator[Any]:
    opened: list[World] = []

    async def make(conflict: str) -> World:
        world = World(tmp_path / conflict, conflict=conflict)
        await world.open()
        opened.append(world)
        return world

    yield make
    for world in opened:
        world.drop_everything()


async def test_both_are_kept_and_ours_says_so_in_its_name(world: World) -> None:
    ino = world.create(ROOT, b"a", b"ours")
    await put(world, b"a", b"theirs")
    await world.drain()
    kept = contents(world)
    (ours,) = kept.keys() - {b"a"}
    assert kept[b"a"] == b"theirs" and kept[ours] == b"ours"
    assert ours.startswith(b"a.conflict-2001") and ours.endswith(world.state.mount_id.encode())
    inode = world.ledger.namespace.child(ROOT, ours)
    assert inode is not None and inode.ino == ino
    theirs = world.ledger.namespace.child(ROOT, b"a")
    assert theirs is not None and theirs.uid == 5 and theirs.size == 6
    assert world.flusher.status().conflicts == 1
    assert [event.operation for event in world.ledger.events.read()] == ["conflict", "flush"]


async def test_a_change_of_a_file_that_changed_there_too(world: World) -> None:
    ino = world.create(ROOT, b"a", b"old")
    await world.drain()
    await put(world, b"a", b"theirs")
    world.write(ino, 0, b"new")
    await world.drain()
    assert sorted(contents(world).values()) == [b"new", b"theirs"]


async def test_the_longest_name_is_cut_for_its_suffix(world: World) -> None:
    world.create(ROOT, b"n" * 255, b"ours")
    await put(world, b"n" * 255, b"theirs")
    await world.drain()
    assert sorted(len(name) for name in contents(world)) == [255, 255]


async def test_a_second_conflict_of_one_name_gets_another_name(world: World) -> None:
    world.tick_ns = lambda: 10**18  # type: ignore[method-assign]
    world.drop_everything()
    await world.open()
    ino = world.create(ROOT, b"a", b"1")
    await put(world, b"a", b"theirs")
    await world.drain()
    world.remove(ROOT, b"a")
    await world.drain()
    world.create(ROOT, b"a", b"2")
    await put(world, b"a", b"theirs again")
    await world.drain()
    assert sorted(contents(world).values()) == [b"1", b"2", b"theirs again"]
    assert world.ledger.namespace.get(ino).nlink == 1


async def test_their_file_where_we_made_a_container(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    world.create(container, b"a", b"ours")
    await put(world, b"d", b"theirs")
    await world.drain()
    kept = contents(world)
    assert kept[b"d"] == b"theirs" and b"ours" in kept.values()


async def test_their_container_where_we_made_one_is_shared(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    world.create(container, b"a", b"ours")
    await world.engine.create_container(b"d", Attributes(Kind.CONTAINER, 0o700, 0, 0, 0, 0, 0))
    await put(world, b"b", b"theirs", b"d")
    await world.drain()
    assert contents(world) == {b"d": b"", b"d/a": b"ours", b"d/b": b"theirs"}
    assert world.flusher.status().conflicts == 0


async def test_their_file_at_the_target_of_our_rename(world: World) -> None:
    world.create(ROOT, b"a", b"ours")
    await world.drain()
    world.rename(ROOT, b"a", ROOT, b"b")
    await put(world, b"b", b"theirs")
    await world.drain()
    kept = contents(world)
    assert kept[b"b"] == b"theirs" and sorted(kept.values()) == [b"ours", b"theirs"] and b"a" not in kept


async def test_their_change_of_what_we_renamed_goes_along(world: World) -> None:
    world.create(ROOT, b"a", b"ours")
    await world.drain()
    await put(world, b"a", b"theirs")
    world.rename(ROOT, b"a", ROOT, b"b")
    await world.drain()
    assert contents(world) == {b"b": b"theirs"}
    inode = world.ledger.namespace.child(ROOT, b"b")
    assert inode is not None and inode.size == 6


async def test_their_change_of_what_we_removed_stays(world: World) -> None:
    world.create(ROOT, b"a", b"ours")
    await world.drain()
    await put(world, b"a", b"theirs")
    world.remove(ROOT, b"a")
    await world.drain()
    assert contents(world) == {b"a": b"theirs"}
    assert world.ledger.namespace.child(ROOT, b"a") is not None


async def test_their_file_in_a_container_that_we_removed_stays(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    world.create(container, b"a", b"ours")
    await world.drain()
    await put(world, b"b", b"theirs", b"d")
    world.remove(container, b"a")
    world.remove(ROOT, b"d")
    await world.drain()
    assert contents(world) == {b"d": b"", b"d/b": b"theirs"}
    inode = world.ledger.namespace.child(ROOT, b"d")
    assert inode is not None and inode.ino != container


async def test_our_change_of_what_they_removed_is_stored_anew(world: World) -> None:
    ino = world.create(ROOT, b"a", b"old")
    await world.drain()
    await world.engine.delete([_deletion(b"a")])
    world.write(ino, 0, b"new")
    await world.drain()
    assert contents(world) == {b"a": b"new"}


async def test_our_rename_of_what_they_removed_loses_the_name_where_the_bytes_are_lost(world: World) -> None:
    world.create(ROOT, b"a", b"old")
    await world.drain()
    world.evict_everything()
    await world.engine.delete([_deletion(b"a")])
    world.rename(ROOT, b"a", ROOT, b"b")
    await world.drain()
    assert contents(world) == {}
    assert world.ledger.namespace.child(ROOT, b"b") is None


async def test_our_rename_of_what_they_removed_keeps_the_bytes_that_are_here(world: World) -> None:
    world.create(ROOT, b"a", b"old")
    await world.drain()
    await world.engine.delete([_deletion(b"a")])
    world.rename(ROOT, b"a", ROOT, b"b")
    await world.drain()
    assert contents(world) == {b"b": b"old"}


async def test_our_attributes_do_not_cover_their_bytes(world: World) -> None:
    ino = world.create(ROOT, b"a", b"ours")
    await world.drain()
    await put(world, b"a", b"theirs")
    world.chmod(ino, 0o640, mtime_ns=77)
    await world.drain()
    assert contents(world) == {b"a": b"theirs"}


async def test_missing_bytes_of_a_version_that_is_gone_are_never_zeros(world: World) -> None:
    ino = world.create(ROOT, b"a", b"x" * 200)
    await world.drain()
    world.evict_everything()
    world.write(ino, 10, b"yy")
    await put(world, b"a", b"theirs")
    for _ in range(5):
        world.seconds += 60
        await world.tick()
    assert contents(world)[b"a"] == b"theirs"
    assert all(b"\0" not in content for content in contents(world).values())
    assert world.flusher.status().flush_errors


async def test_policy_overwrite_replaces_theirs(world_of: Any) -> None:
    world = await world_of("overwrite")
    world.create(ROOT, b"a", b"ours")
    await put(world, b"a", b"theirs")
    await world.drain()
    assert contents(world) == {b"a": b"ours"}


async def test_policy_fail_changes_nothing_and_says_why(world_of: Any) -> None:
    world = await world_of("fail")
    world.create(ROOT, b"a", b"ours")
    await put(world, b"a", b"theirs")
    for _ in range(4):
        world.seconds += 60
        await world.tick()
    assert contents(world) == {b"a": b"theirs"}
    assert "conflict=fail" in world.flusher.status().flush_errors[0]


async def test_our_own_work_without_a_record_is_no_conflict(world: World) -> None:
    """Power was cut after the engine had it and before the journal was on the disk."""
    ino = world.create(ROOT, b"a", b"second")
    path = EntryPath(b"", b"a")
    await world.engine.put(path, b"first", THEIRS, expected=ABSENT, token=f"{world.state.mount_id}:{ino}:abc")
    await world.drain()
    assert contents(world) == {b"a": b"second"}
    assert world.flusher.status().conflicts == 0


async def test_our_file_that_somebody_moved_is_theirs(world: World) -> None:
    world.create(ROOT, b"a", b"one")
    await world.drain()
    version = (await world.engine.stat(EntryPath(b"", b"a"))).version
    await world.engine.move(EntryPath(b"", b"a"), EntryPath(b"", b"b"), version=version, expected=ABSENT)
    world.create(ROOT, b"b", b"two")
    await world.drain()
    assert sorted(contents(world).values()) == [b"one", b"two"]


def _deletion(name: bytes) -> Any:
    from vaultairefs.engine.interface import Deletion

    return Deletion(EntryPath(b"", name))


async def test_a_removed_and_discovered_file_is_another_inode(world: World) -> None:
    ino = world.create(ROOT, b"a", b"ours")
    await world.drain()
    await put(world, b"a", b"theirs")
    world.seconds += 60
    await discovery(world).ensure_listed(ROOT)
    found = world.ledger.namespace.child(ROOT, b"a")
    assert found is not None and found.ino not in (ino, Ino(0))
