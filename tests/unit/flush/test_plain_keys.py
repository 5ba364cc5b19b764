"""An engine that cannot rename: what a rename costs there, and that nothing is lost on the way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.flush.world import PLAIN, Crash, Interfering, World
from vaultairefs.model import changes
from vaultairefs.model.errors import Unavailable
from vaultairefs.model.values import ABSENT, ANY, ROOT, STAGING, Attributes, EntryKey, EntryPath, Ino, Kind

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 10**16, 9)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "state", Interfering(capabilities=PLAIN))
    await world.open()
    yield world
    assert world.engine.collisions == []
    world.drop_everything()


async def settled(world: World) -> None:
    await world.drain()
    await world.check_equal()
    world.engine.calls.clear()


def folder(world: World, name: bytes, files: int, *, parent: Ino = ROOT) -> Ino:
    made = world.mkdir(parent, name)
    for number in range(files):
        world.create(made, b"%d" % number, b"%s %d" % (name, number))
    return made


async def test_two_hundred_new_files_cost_a_put_each(world: World) -> None:
    await settled(world)
    folder(world, b"a", 200)
    await world.drain()
    assert world.engine.calls["put"] == 200
    assert world.engine.calls.total() <= 204
    await world.check_equal()


async def test_a_folder_of_two_hundred_files_is_renamed_by_a_copy_each_and_bulk_deletes(world: World) -> None:
    folder(world, b"a", 200)
    await settled(world)
    world.evict_everything()
    world.rename(ROOT, b"a", ROOT, b"b")
    await world.drain()
    calls = world.engine.calls
    assert calls["copy"] == 200 and not calls["put"] and not calls["stat"] and not calls["read"]
    assert calls["delete"] <= 2 and calls["list"] == 1
    assert calls.total() <= 210
    await world.check_equal()


async def test_a_folder_of_two_hundred_files_is_removed_by_few_calls(world: World) -> None:
    made = folder(world, b"a", 200)
    await settled(world)
    for number in range(200):
        world.remove(made, b"%d" % number)
    world.remove(ROOT, b"a")
    await world.drain()
    assert world.engine.calls.total() <= 5
    await world.check_equal()


async def test_a_renamed_file_is_one_copy_with_its_new_attributes(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    await settled(world)
    world.evict_everything()
    world.rename(ROOT, b"a", ROOT, b"b")
    world.chmod(ino, 0o600)
    await world.drain()
    assert world.engine.calls == {"copy": 1, "delete": 1, "set_attributes": 1}  # the last of the root
    await world.check_equal()


async def test_a_renamed_file_whose_bytes_are_owed_is_put_once_under_its_last_name(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"b")
    world.write(ino, 0, b"T")
    world.chmod(ino, 0o600)
    await world.drain()
    assert world.engine.calls == {"put": 1, "delete": 1, "set_attributes": 1}
    await world.check_equal()


async def test_every_name_of_a_file_gets_its_new_attributes(world: World) -> None:
    ino = world.create(ROOT, b"a", b"text")
    world.link(ino, ROOT, b"b")
    world.link(ino, ROOT, b"c")
    await settled(world)
    world.chmod(ino, 0o600)
    await world.drain()
    assert world.engine.calls == {"set_attributes": 1, "copy": 2}
    await world.check_equal()


async def test_a_name_that_other_names_are_copied_from_is_kept_until_a_power_cut_cannot_undo_it(world: World) -> None:
    world.create(ROOT, b"a", b"text")
    await settled(world)
    world.evict_everything()
    world.rename(ROOT, b"a", ROOT, b"b")
    world.seconds += 60
    await world.tick()
    assert world.engine_holds().keys() == {b"a", b"b"}
    synced: list[int] = []
    sync = world.ledger.sync

    async def noted() -> None:
        await sync()
        synced.append(world.engine.calls["delete"])

    world.ledger.sync = noted  # type: ignore[method-assign]
    await world.drain()
    assert synced[0] == 0 and world.engine.calls["delete"] == 1
    await world.check_equal()


async def test_nothing_is_deleted_while_the_journal_cannot_be_synced(world: World) -> None:
    world.create(ROOT, b"a", b"text")
    await settled(world)

    sync = world.ledger.sync

    async def fail() -> None:
        if world.engine.calls["copy"]:
            raise Unavailable("no disk now")
        await sync()

    world.ledger.sync = fail  # type: ignore[method-assign]
    world.rename(ROOT, b"a", ROOT, b"b")
    for _ in range(5):
        world.seconds += 60
        await world.tick()
    assert world.engine_holds().keys() == {b"a", b"b"}
    world.ledger.sync = sync  # type: ignore[method-assign]
    await world.drain()
    await world.check_equal()


async def test_exchanged_folders_and_files_end_in_each_others_place(world: World) -> None:
    one, two = folder(world, b"one", 3), folder(world, b"two", 3)
    folder(world, b"deep", 2, parent=one)
    world.create(ROOT, b"x", b"ecks")
    world.create(ROOT, b"y", b"why")
    await settled(world)
    world.evict_everything()
    world.rename(ROOT, b"one", ROOT, b"two", exchange=True)
    world.rename(ROOT, b"x", ROOT, b"y", exchange=True)
    world.rename(two, b"1", ROOT, b"x", exchange=True)
    await world.drain()
    assert world.engine.calls["put"] == 0
    await world.check_equal()


async def test_a_folder_goes_into_its_own_child(world: World) -> None:
    outer = folder(world, b"a", 2)
    inner = folder(world, b"b", 2, parent=outer)
    await settled(world)
    world.rename(outer, b"b", ROOT, b"c")
    world.rename(ROOT, b"a", inner, b"a")
    await world.drain()
    await world.check_equal()


async def test_a_folder_that_goes_and_comes_back_meanwhile_is_whole(world: World) -> None:
    folder(world, b"a", 20)
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"b")
    copies = 0

    def turn_back(verb: str) -> None:
        nonlocal copies
        copies += verb == "copy"
        if copies == 10 and verb == "copy":
            world.rename(ROOT, b"b", ROOT, b"a")

    world.engine.before = turn_back
    await world.drain()
    assert copies > 10
    await world.check_equal()


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("verb", ["list", "create_container", "copy", "delete", "delete_container", "set_attributes"])
async def test_a_crash_at_any_step_of_a_rename_is_made_good(world: World, verb: str, afterwards: bool) -> None:
    made = folder(world, b"a", 3)
    folder(world, b"b", 2, parent=made)
    await settled(world)
    world.evict_everything()
    world.rename(ROOT, b"a", ROOT, b"c")
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
    for _ in range(30):
        try:
            world.seconds += 60
            await world.tick()
        except BaseException:
            await world.crash()
    assert crashes
    world.engine.before = world.engine.after = lambda called: None
    await world.drain()
    await world.check_equal()


async def test_a_removed_folder_is_known_as_one_after_a_crash(world: World) -> None:
    """The engine would take the deletion of an artifact of its name for done."""
    world.mkdir(ROOT, b"a")
    await settled(world)
    world.remove(ROOT, b"a")
    await world.ledger.checkpoint()
    await world.crash()
    await world.drain()
    assert world.engine_holds() == {}


async def test_what_is_left_of_a_renamed_folder_is_known_after_a_crash(world: World) -> None:
    made = folder(world, b"a", 0)
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"b")
    ghost = world.ledger.namespace.allocate()
    world.ledger.commit(changes.ContainerHandedOver(made, ghost, ROOT, b"a"))
    await world.ledger.checkpoint()
    await world.crash()
    assert world.ledger.namespace.allocate() > ghost
    await world.drain()
    await world.check_equal()


async def test_an_open_file_without_a_name_is_read_from_a_renamed_folder(world: World) -> None:
    made = world.mkdir(ROOT, b"a")
    ino = world.create(made, b"f", b"x" * 500)
    world.create(made, b"g", b"stays")
    await settled(world)
    world.evict_everything()
    world.hold(ino)
    world.remove(made, b"f")
    world.rename(ROOT, b"a", ROOT, b"b")
    for _ in range(6):
        world.seconds += 60
        await world.tick()
    await world.fetcher.ensure(ino, 0, 500)
    assert world.ledger.buffer.read(ino, 0, 500) == b"x" * 500
    world.let_go(ino)
    await world.drain()
    await world.check_equal()


async def test_entries_that_nobody_here_knew_go_with_their_folder(world: World) -> None:
    made = folder(world, b"a", 2)
    await settled(world)
    world.engine._tree.put(EntryPath(b"a", b"theirs"), b"foreign", THEIRS, ABSENT, "")
    world.rename(ROOT, b"a", ROOT, b"b")
    await world.drain()
    there = {path.joined for path, _, _ in world.engine.walk()}
    assert there == {b"b", b"b/0", b"b/1", b"b/theirs"}
    assert world.ledger.namespace.child(made, b"theirs") is not None


async def test_entries_that_appear_later_stay_and_are_told_of(world: World) -> None:
    folder(world, b"a", 2)
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"b")

    def put_theirs(verb: str) -> None:
        if verb == "copy":
            world.engine._tree.put(EntryPath(b"a", b"late"), b"foreign", THEIRS, ANY, "")

    world.engine.before = put_theirs
    await world.drain()
    there = {path.joined for path, _, _ in world.engine.walk()}
    assert there == {b"a", b"a/late", b"b", b"b/0", b"b/1"}
    assert world.flusher.status().conflicts == 1
    assert world.ledger.namespace.child(ROOT, b"a") is not None


def replaced_by_others(world: World) -> None:
    """They write anew what programs here have renamed, and the flusher has not."""
    world.engine._tree.put(EntryPath(b"", b"a"), b"theirs", THEIRS, ANY, "")


def held(world: World) -> dict[bytes, bytes]:
    return {path.joined: content for path, _, content in world.engine.walk()}


async def test_a_source_that_others_replaced_is_renamed_as_they_left_it(world: World) -> None:
    world.create(ROOT, b"a", b"ours")
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"b")
    replaced_by_others(world)
    await world.drain()
    assert held(world) == {b"b": b"theirs"}
    found = world.ledger.namespace.child(ROOT, b"b")
    assert found is not None and (found.size, found.mode) == (6, 0o600)


@pytest.mark.parametrize("afterwards", [False, True])
async def test_a_crash_while_their_version_is_renamed_is_made_good(world: World, afterwards: bool) -> None:
    world.create(ROOT, b"a", b"ours")
    await settled(world)
    world.evict_everything()
    world.rename(ROOT, b"a", ROOT, b"b")
    replaced_by_others(world)
    copies = 0

    def crash(verb: str) -> None:
        nonlocal copies
        copies += verb == "copy"
        if copies == 2 and verb == "copy":
            raise Crash

    if afterwards:
        copies = 1  # the first, of our version, is refused and never gets there
        world.engine.after = crash
    else:
        world.engine.before = crash
    for _ in range(4):
        try:
            world.seconds += 60
            await world.tick()
        except BaseException:
            await world.crash()
    assert copies >= 2
    await world.drain()
    assert held(world) == {b"b": b"theirs"}


async def test_a_name_that_others_replaced_leaves_other_names_of_ours_as_they_are(world: World) -> None:
    ino = world.create(ROOT, b"a", b"ours")
    await settled(world)
    world.link(ino, ROOT, b"b")
    replaced_by_others(world)
    await world.drain()
    assert held(world) == {b"a": b"theirs", b"b": b"ours"}


async def test_nothing_is_parked_for_a_plain_rename(world: World) -> None:
    folder(world, b"a", 3)
    folder(world, b"b", 3)
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"c")
    world.rename(ROOT, b"b", ROOT, b"a")
    parked: list[EntryKey] = []
    commit = world.ledger.commit

    def watched(change: changes.Change) -> object:
        if isinstance(change, changes.StepBegun) and change.verb == "copy" and change.container == STAGING:
            parked.append(EntryKey(change.source_container, change.source_name))
        return commit(change)

    world.ledger.commit = watched  # type: ignore[method-assign, assignment]
    await world.drain()
    await world.check_equal()
    assert parked == []


async def test_a_folder_that_may_be_gone_already_is_not_taken_over_by_another(world: World) -> None:
    made = world.mkdir(ROOT, b"a")
    await settled(world)
    world.remove(ROOT, b"a")
    world.engine.fail_next("delete_container", Unavailable("no answer"), applied=True)
    world.seconds += 60
    await world.tick()
    again = world.mkdir(ROOT, b"a")
    await world.drain()
    await world.check_equal()
    assert made != again and world.ledger.namespace.child(ROOT, b"a") is not None
