"""Names of one file on an engine where each of them is an artifact of its own: who else may know, and what it costs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.flush.world import PLAIN, Crash, Interfering, World, is_crash
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model.values import ANY, ROOT, Attributes, EntryPath, Ino, Kind

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 10**16, 9)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "state", Interfering(capabilities=PLAIN))
    await world.open()
    yield world
    world.drop_everything()


async def settled(world: World) -> None:
    await world.drain()
    await world.check_equal()
    world.engine.calls.clear()


def registry(world: World) -> list[list[bytes]]:
    """The names of each group, sorted."""
    return sorted(sorted(path.joined for path in names) for names in world.engine._groups.registry.values())


async def fresh(world: World, directory: Path, *containers: bytes) -> World:
    """Another machine's mount of the same engine, that has listed the root and these containers."""
    other = World(directory, world.engine)
    await other.open()
    discovery = Discovery(other.ledger, other.engine, ttl_seconds=60.0, clock=lambda: other.seconds)
    await discovery.ensure_listed(ROOT)
    for name in containers:
        inode = other.ledger.namespace.child(ROOT, name)
        assert inode is not None
        await discovery.ensure_listed(inode.ino)
    return other


def found(world: World, parent: Ino, name: bytes) -> tuple[Ino, int]:
    """Number and link count of an entry."""
    inode = world.ledger.namespace.child(parent, name)
    assert inode is not None
    return inode.ino, inode.nlink


async def test_files_with_one_name_cost_no_call_more_whatever_becomes_of_them(world: World) -> None:
    await settled(world)
    one = world.create(ROOT, b"a", b"text")
    two = world.create(ROOT, b"b", b"text")
    world.link(two, ROOT, b"c")
    world.remove(ROOT, b"b")  # as git makes its objects
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"d")
    world.rename(ROOT, b"c", ROOT, b"e")
    world.chmod(one, 0o600)
    await world.drain()
    world.write(one, 0, b"T")
    world.remove(ROOT, b"e")
    await world.drain()
    assert not world.engine.calls["group"]
    await world.check_equal()


async def test_a_new_file_with_two_names_costs_a_put_a_copy_and_one_call_more(world: World) -> None:
    await settled(world)
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await world.drain()
    calls = world.engine.calls
    assert (calls["put"], calls["copy"], calls["group"], calls["set_attributes"]) == (1, 1, 1, 1)  # one of the root
    await world.check_equal()


async def test_a_name_that_is_added_later_marks_the_first_one(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    await settled(world)
    world.link(ino, ROOT, b"b")
    await settled(world)
    world.link(ino, ROOT, b"c")
    await world.drain()
    assert world.engine.calls["set_attributes"] == 1  # of the root: a and b carry the mark
    assert registry(world) == [[b"a", b"b", b"c"]]
    await world.check_equal()


async def test_bytes_written_through_one_name_reach_all_names_and_the_group(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await settled(world)
    world.write(ino, 0, b"TEXT and more")
    await world.drain()
    assert world.engine.calls["put"] == 1 and world.engine.calls["copy"] == 1
    await world.check_equal()


async def test_attributes_of_a_group_cost_no_call_about_it(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await settled(world)
    world.chmod(ino, 0o600)
    await world.drain()
    assert not world.engine.calls["group"]
    await world.check_equal()


async def test_a_name_that_is_renamed_stays_one_of_the_file(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    folder = world.mkdir(ROOT, b"folder")
    await settled(world)
    world.rename(ROOT, b"b", folder, b"c")
    await world.drain()
    assert registry(world) == [[b"a", b"folder/c"]]
    world.rename(ROOT, b"folder", ROOT, b"other")
    await world.drain()
    assert registry(world) == [[b"a", b"other/c"]]
    await world.check_equal()


async def test_one_name_left_is_no_group_and_a_second_one_later_is_again(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await settled(world)
    world.remove(ROOT, b"b")
    await settled(world)
    assert registry(world) == []
    world.write(ino, 0, b"T")
    await settled(world)
    world.link(ino, ROOT, b"c")
    await settled(world)
    assert registry(world) == [[b"a", b"c"]]


async def test_nothing_is_left_of_a_group_whose_names_are_all_removed(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await settled(world)
    world.remove(ROOT, b"a")
    world.remove(ROOT, b"b")
    await settled(world)
    assert registry(world) == []


async def test_a_new_machine_finds_one_file_with_all_its_names(world: World, tmp_path: Path) -> None:
    ino = world.create(ROOT, b"a", b"text")
    folder = world.mkdir(ROOT, b"folder")
    world.link(ino, folder, b"b")
    await settled(world)
    other = await fresh(world, tmp_path / "other")
    number, links = found(other, ROOT, b"a")
    assert links == 2  # also before the other name was seen
    discovery = Discovery(other.ledger, other.engine, ttl_seconds=60.0, clock=lambda: other.seconds)
    inside = found(other, ROOT, b"folder")[0]
    await discovery.ensure_listed(inside)
    assert found(other, inside, b"b") == (number, 2)
    other.drop_everything()


async def test_a_name_that_this_machine_has_not_seen_gets_what_is_written_here(world: World, tmp_path: Path) -> None:
    ino = world.create(ROOT, b"a", b"text")
    folder = world.mkdir(ROOT, b"folder")
    world.link(ino, folder, b"b")
    await settled(world)
    other = await fresh(world, tmp_path / "other")
    number, _ = found(other, ROOT, b"a")
    other.write(number, 0, b"theirs now")
    other.chmod(number, 0o600)
    await other.drain()
    held = other.engine_holds()
    assert held[b"a"][4] == held[b"folder/b"][4] == other.contents[number]
    assert held[b"a"][:4] == held[b"folder/b"][:4]
    assert registry(world) == [[b"a", b"folder/b"]]
    other.chmod(number, 0o640)
    await other.drain()
    held = other.engine_holds()
    assert held[b"a"][:4] == held[b"folder/b"][:4]
    other.drop_everything()


async def test_a_name_that_this_machine_has_not_seen_outlives_the_one_that_it_removes(
    world: World, tmp_path: Path
) -> None:
    ino = world.create(ROOT, b"a", b"text")
    folder = world.mkdir(ROOT, b"folder")
    world.link(ino, folder, b"b")
    world.link(ino, folder, b"c")
    await settled(world)
    other = await fresh(world, tmp_path / "other")
    other.remove(ROOT, b"a")
    await other.drain()
    assert registry(world) == [[b"folder/b", b"folder/c"]]
    other.drop_everything()


async def test_a_name_that_others_wrote_is_split_off_and_never_overwritten(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await settled(world)
    await world.engine.put(EntryPath(b"", b"b"), b"theirs", THEIRS, expected=ANY, token="theirs")
    info: EntryInfo = await world.engine.stat(EntryPath(b"", b"b"))
    assert (info.links, info.link_id) == (1, "")
    discovery = Discovery(world.ledger, world.engine, ttl_seconds=0.0, clock=lambda: world.seconds)
    await discovery.ensure_listed(ROOT)
    assert found(world, ROOT, b"a") == (ino, 1)
    assert found(world, ROOT, b"b")[0] != ino
    told = [(record.operation, record.artifact) for record in world.ledger.events.read()]
    assert ("split", b"b") in told
    world.write(ino, 0, b"T")
    await world.drain()
    held = world.engine_holds()
    assert held[b"b"][4] == b"theirs" and held[b"a"][4] == b"Text"
    assert registry(world) == []


async def test_a_mount_that_only_sees_others_change_a_group_says_nothing_about_it(world: World, tmp_path: Path) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    await settled(world)
    other = await fresh(world, tmp_path / "other")
    world.write(ino, 0, b"TEXT and more")
    await world.drain()
    discovery = Discovery(other.ledger, other.engine, ttl_seconds=0.0, clock=lambda: other.seconds)
    world.engine.calls.clear()
    await discovery.ensure_listed(ROOT)
    await other.drain()
    assert not world.engine.calls["group"] and registry(world) == [[b"a", b"b"]]
    other.drop_everything()


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("verb", ["put", "copy", "set_attributes", "delete", "group"])
async def test_a_crash_at_any_step_of_a_group_is_made_good(world: World, verb: str, afterwards: bool) -> None:
    ino = world.create(ROOT, b"a", b"text")
    large = world.create(ROOT, b"large", b"x" * 100)
    await settled(world)
    crashes = 0

    def crash(called: str) -> None:
        nonlocal crashes
        if called == verb and crashes < 4:
            crashes += 1
            raise Crash

    if afterwards:
        world.engine.after = crash
    else:
        world.engine.before = crash
    world.link(ino, ROOT, b"b")
    world.link(large, ROOT, b"also large")
    for change in range(3):
        if change == 1:
            world.write(ino, 0, b"newer text")
            world.write(large, 0, b"y" * 90)
        elif change == 2:
            world.remove(ROOT, b"a")
            world.rename(ROOT, b"large", ROOT, b"c")
        for _ in range(10):
            try:
                await world.drain()
                break
            except BaseException as error:
                if not is_crash(error):
                    raise
                await world.crash()
    assert crashes
    await world.check_equal()
    assert registry(world) == [[b"also large", b"c"]]
