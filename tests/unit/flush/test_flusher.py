"""What reaches the engine, when, and by which verbs."""

from pathlib import Path

import pytest
import trio

from tests.unit.flush.world import Crash, World
from vaultairefs.model.errors import OutOfSpace, Unavailable
from vaultairefs.model.values import ROOT, EntryPath


async def settled(world: World) -> None:
    await world.drain()
    world.engine.calls.clear()


async def test_what_comes_and_goes_within_the_delay_never_reaches_the_engine(world: World) -> None:
    await settled(world)
    world.create(ROOT, b"a.tmp", b"draft")
    world.seconds += 0.5
    await world.tick()
    world.rename(ROOT, b"a.tmp", ROOT, b"a")
    world.seconds += 0.5
    await world.tick()
    world.remove(ROOT, b"a")
    world.seconds += 60
    await world.tick()
    assert set(world.engine.calls) <= {"stat", "set_attributes"}  # of the root


async def test_an_unflushed_file_goes_straight_to_its_last_name(world: World) -> None:
    await settled(world)
    world.create(ROOT, b"a.tmp", b"text")
    world.rename(ROOT, b"a.tmp", ROOT, b"a")
    await world.drain()
    assert world.engine.calls["put"] == 1 and not world.engine.calls["move"]
    assert list(world.engine_holds()) == [b"a"]


async def test_a_file_waits_for_its_delay_and_not_longer(world: World) -> None:
    await settled(world)
    world.create(ROOT, b"a", b"text")
    world.seconds += 0.9
    await world.tick()
    assert not world.engine.calls["put"]
    world.seconds += 0.2
    await world.tick()
    assert world.engine.calls["put"] == 1


async def test_a_file_that_is_written_all_the_time_is_flushed_every_half_minute(world: World) -> None:
    ino = world.create(ROOT, b"log", b"0")
    await settled(world)
    for second in range(70):
        world.write(ino, second % 50, b"x", leave_open=True)
        world.seconds += 0.9
        await world.tick()
    assert world.engine.calls["put"] == 2


async def test_renames_and_links_move_no_bytes(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    ino = world.create(container, b"a", b"text")
    await settled(world)
    world.rename(ROOT, b"d", ROOT, b"e")
    world.rename(container, b"a", ROOT, b"b")
    world.link(ino, container, b"c")
    await world.drain()
    await world.check_equal()
    assert world.engine.calls["move"] == 2 and world.engine.calls["link"] == 1
    assert not world.engine.calls["put"] and not world.engine.calls["create_container"]


async def test_names_that_change_places_are_parked_and_come_back(world: World) -> None:
    for name in (b"a", b"b", b"c"):
        world.create(ROOT, name, b"this is " + name)
    await settled(world)
    world.rename(ROOT, b"a", ROOT, b"b", exchange=True)
    world.rename(ROOT, b"b", ROOT, b"c", exchange=True)
    await world.drain()
    await world.check_equal()
    assert world.engine.calls["move"] == 4 and not world.engine.calls["put"]


async def test_a_chain_of_renames_parks_nothing(world: World) -> None:
    for number in range(40):
        world.create(ROOT, b"%d" % number, b"%d" % number)
    await settled(world)
    for number in reversed(range(40)):
        world.rename(ROOT, b"%d" % number, ROOT, b"%d" % (number + 1))
    await world.drain()
    await world.check_equal()
    assert world.engine.calls["move"] == 40


async def test_a_removed_tree_is_deleted_in_batches(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    for number in range(60):
        world.create(container, b"%d" % number)
    await settled(world)
    for number in range(60):
        world.remove(container, b"%d" % number)
    world.remove(ROOT, b"d")
    await world.drain()
    assert world.engine_holds() == {}
    assert world.engine.calls["delete"] == 1 and world.engine.calls["delete_container"] == 1


async def test_a_new_file_takes_the_name_of_a_removed_container(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    world.create(container, b"a", b"1")
    await settled(world)
    world.rename(container, b"a", ROOT, b"elsewhere")
    world.remove(ROOT, b"d")
    world.rename(ROOT, b"elsewhere", ROOT, b"d")
    await world.drain()
    await world.check_equal()
    assert not world.engine.calls["put"]


async def test_an_unlinked_open_file_can_be_read_to_its_end(world: World) -> None:
    ino = world.create(ROOT, b"a", b"x" * 200)
    await settled(world)
    world.hold(ino)
    world.evict_everything()
    world.remove(ROOT, b"a")
    world.seconds += 60
    await world.tick()
    assert [path.name for path, _, _ in world.engine.walk()] == [b"a"]
    await world.fetcher.ensure(ino, 0, 200)
    assert world.ledger.buffer.read(ino, 0, 200) == b"x" * 200
    world.seconds += 60
    await world.tick()
    assert world.engine_holds() == {}
    world.evict_everything()
    assert world.ledger.buffer.read(ino, 0, 200) == b"x" * 200


async def test_an_unlinked_open_file_can_be_written_though_it_was_empty_and_evicted(world: World) -> None:
    ino = world.create(ROOT, b"a")
    await settled(world)
    world.hold(ino)
    world.evict_everything()
    world.remove(ROOT, b"a")
    await world.drain()
    world.write(ino, 0, b"late")
    assert world.ledger.buffer.read(ino, 0, 10) == b"late"


async def test_a_drain_does_not_wait_for_an_unlinked_open_file(world: World) -> None:
    ino = world.create(ROOT, b"a", b"x" * 200)
    await settled(world)
    world.hold(ino)
    world.evict_everything()
    world.remove(ROOT, b"a")
    await world.drain()
    assert world.engine_holds() == {}
    assert world.ledger.buffer.read(ino, 0, 200) == b"x" * 200


async def test_an_open_file_in_a_removed_container_holds_nobody_up(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    ino = world.create(container, b"a", b"x" * 200)
    await settled(world)
    world.hold(ino)
    world.evict_everything()
    world.remove(container, b"a")
    world.remove(ROOT, b"d")
    world.create(ROOT, b"d", b"new")
    world.seconds += 60
    for _ in range(3):
        await world.tick()
    assert world.engine_holds().keys() == {b"d"} and len(world.engine.parked()) == 1
    await world.fetcher.ensure(ino, 0, 200)
    assert world.ledger.buffer.read(ino, 0, 200) == b"x" * 200
    await world.drain()
    await world.check_equal()


async def test_nothing_is_begun_below_a_container_whose_move_is_in_doubt(world: World) -> None:
    """Its path says nothing: what is not found there is not lost."""
    container = world.mkdir(ROOT, b"d")
    ino = world.create(container, b"a", b"1")
    await settled(world)
    world.engine.fail_next("move", Unavailable("the connection broke"), applied=True)
    world.engine.fail_next("stat", Unavailable("and stays broken"))
    world.rename(ROOT, b"d", ROOT, b"e")
    world.seconds += 2
    await world.tick()
    world.write(ino, 0, b"2")
    world.link(ino, ROOT, b"b")
    world.remove(container, b"a")
    world.seconds += 2
    world.engine.calls.clear()
    await world.tick()
    assert not world.engine.calls.keys() & {"put", "link", "delete"}
    await world.drain()
    await world.check_equal()


async def test_one_failing_item_stops_nobody_and_is_told_until_it_works(world: World) -> None:
    await settled(world)
    world.engine.fail_next("put", OutOfSpace("the store is full"))
    world.create(ROOT, b"a", b"1")
    world.create(ROOT, b"b", b"2")
    world.seconds += 2
    await world.tick()
    stored = {path.decode() for path in world.engine_holds()}
    (failed,) = {"a", "b"} - stored
    assert world.flusher.status().flush_errors == [f"{failed}: the store is full"]
    await world.drain()
    assert world.flusher.status().flush_errors == []
    await world.check_equal()


async def test_a_lost_answer_is_no_conflict_and_no_second_upload(world: World) -> None:
    await settled(world)
    world.create(ROOT, b"a", b"x" * 200)
    world.create(ROOT, b"b", b"1")
    world.engine.fail_next("commit_upload", Unavailable("the connection broke"), applied=True)
    world.engine.fail_next("put", Unavailable("the connection broke"), applied=True)
    await world.drain()
    await world.check_equal()
    assert world.engine.calls["commit_upload"] == 1 and world.engine.calls["put"] == 1
    assert world.flusher.status().conflicts == 0


async def test_what_was_removed_during_its_upload_stays_removed_after_a_crash(world: World) -> None:
    """The engine has it, no record says so: only the journalled beginning of the step does."""
    world.create(ROOT, b"a", b"1")

    def remove(verb: str) -> None:
        if verb == "put":
            world.remove(ROOT, b"a")
            raise Crash

    world.engine.after = remove
    world.seconds += 2
    with pytest.raises(Crash):
        await world.tick()
    world.engine.after = lambda verb: None
    await world.crash()
    await world.drain()
    assert world.engine_holds() == {}


async def test_a_large_file_goes_up_in_chunks_and_comes_down_whole(world: World) -> None:
    content = bytes(range(250)) * 3
    ino = world.create(ROOT, b"big", content)
    await world.drain()
    assert world.engine.calls["put_chunk"] == -(-750 // 40)
    await world.check_equal()
    world.evict_everything()
    await world.fetcher.ensure(ino, 300, 20)
    assert world.ledger.buffer.read(ino, 300, 20) == content[300:320]


async def test_a_file_written_under_every_upload_is_copied_aside_and_flushed(world: World) -> None:
    ino = world.create(ROOT, b"busy", b"x" * 200)
    await settled(world)
    world.write(ino, 0, b"a", leave_open=True)
    writes = iter(range(1, 100))

    def write(verb: str) -> None:
        if verb == "put_chunk" and ino not in world.flusher.gate.closed:
            world.write(ino, next(writes), b"b", leave_open=True)

    world.engine.before = write
    world.seconds += 2
    await world.tick()
    assert world.engine.calls["commit_upload"] == 1
    assert world.engine.calls["abort_upload"] == 2
    assert world.ledger.backlog.owes_content(ino)  # what was written under the copy's upload
    world.engine.before = lambda verb: None
    await world.drain()
    await world.check_equal()


async def test_a_file_removed_under_its_upload_is_not_published(world: World) -> None:
    await settled(world)
    world.create(ROOT, b"big", b"x" * 200)

    def remove(verb: str) -> None:
        if verb == "put_chunk" and world.names():
            world.remove(ROOT, b"big")

    world.engine.before = remove
    world.seconds += 2
    await world.tick()
    assert not world.engine.calls["commit_upload"] and world.engine.calls["abort_upload"] == 1
    assert world.engine_holds() == {}


async def test_a_container_is_not_moved_under_an_upload_into_it(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    await settled(world)
    world.create(container, b"big", b"x" * 200)
    passes = world.flusher._passes
    renamed = False

    async def rename(verb: str) -> None:
        nonlocal renamed
        if verb == "put_chunk" and not renamed:
            renamed = True
            world.rename(ROOT, b"d", ROOT, b"e")
            world.seconds += 2
            await passes.run()
            assert not world.engine.calls["move"]

    world.engine.on_call = rename
    world.seconds += 2
    await world.tick()
    assert renamed
    await world.drain()
    await world.check_equal()


async def test_containers_keep_their_own_times(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    world.create(container, b"a", b"1")
    world.chmod(container, 0o750, mtime_ns=123)
    await world.drain()
    assert (await world.engine.stat(EntryPath(b"", b"d"))).attributes.mtime_ns == 123


async def test_flush_waits_for_one_file_and_its_containers(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    ino = world.create(container, b"a", b"1")
    world.create(ROOT, b"other", b"2")
    with trio.fail_after(20):
        await world.flusher.flush(ino)
    assert set(world.engine_holds()) == {b"d", b"d/a"}


async def test_drain_ends_at_its_deadline_and_loses_nothing(world: World) -> None:
    for _ in range(100):
        world.engine.fail_next("put", Unavailable("down"))
    world.create(ROOT, b"a", b"1")
    await world.flusher.drain(deadline=trio.current_time() + 0.2)
    assert world.flusher.progress().artifacts > 0
    world.engine._failures.clear()
    await world.drain()
    await world.check_equal()


async def test_whoever_insists_does_not_wait_for_the_next_try_of_what_failed(world: World) -> None:
    await settled(world)
    for _ in range(8):
        world.engine.fail_next("put", Unavailable("down"))
    ino = world.create(ROOT, b"a", b"1")
    for _ in range(8):
        world.seconds += 60
        await world.tick()
    assert world.flusher.status().flush_errors
    await world.tick()
    assert world.engine.calls["put"] == 8
    await world.flusher.flush(ino)
    assert world.engine.calls["put"] == 9
    assert not world.flusher.status().flush_errors


async def test_a_drain_of_nothing_returns(world: World) -> None:
    with trio.fail_after(20):
        await world.flusher.drain()


async def test_an_engine_without_links_gets_copies(tmp_path: Path) -> None:
    from tests.unit.flush.world import Interfering
    from vaultairefs.engine.interface import Capabilities

    world = World(tmp_path / "state", Interfering(capabilities=Capabilities(moves=True, links=False)))
    await world.open()
    ino = world.create(ROOT, b"a", b"one")
    world.link(ino, ROOT, b"b")
    await world.drain()
    world.write(ino, 0, b"two")
    await world.drain()
    assert {path.name: content for path, _, content in world.engine.walk()} == {b"a": b"two", b"b": b"two"}
    world.drop_everything()
