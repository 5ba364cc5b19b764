"""What listings of the engine do to what programs see."""

import pytest
import trio
import trio.testing

from tests.unit.flush.world import World
from vaultairefs.engine.interface import Deletion
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model.errors import AccessDenied, NotAContainer, NotFound, Stale, Unavailable
from vaultairefs.model.values import ANY, ROOT, Attributes, EntryPath, Ino, Kind

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 8, 9)
CONTAINER = Attributes(Kind.CONTAINER, 0o700, 1, 2, 3, 4, 5)


async def put(world: World, name: bytes, content: bytes, container: bytes = b"") -> None:
    await world.engine.put(EntryPath(container, name), content, THEIRS, expected=ANY, token="")


def names(world: World, container: Ino = ROOT) -> list[bytes]:
    return sorted(name for name, _, _ in world.ledger.namespace.entries(container))


async def again(world: World, discovery: Discovery, container: Ino = ROOT) -> None:
    world.seconds += 10
    await discovery.ensure_listed(container)


async def test_what_the_engine_holds_is_seen(world: World, discovery: Discovery) -> None:
    await world.engine.create_container(b"d", CONTAINER)
    await put(world, b"a", b"hello", b"d")
    assert not discovery.is_fresh(ROOT)
    await discovery.ensure_listed(ROOT)
    assert discovery.is_fresh(ROOT)
    found = world.ledger.namespace.child(ROOT, b"d")
    assert found is not None and found.attributes() == CONTAINER
    assert names(world, found.ino) == []
    await discovery.ensure_listed(found.ino)
    inode = world.ledger.namespace.child(found.ino, b"a")
    assert inode is not None and inode.size == 5 and inode.attributes() == THEIRS
    assert world.is_idle()


async def test_a_fresh_container_costs_no_request_and_a_stale_one_costs_one(world: World, discovery: Discovery) -> None:
    await discovery.ensure_listed(ROOT)
    await discovery.ensure_listed(ROOT)
    assert discovery.listings == 1
    await again(world, discovery)
    assert discovery.listings == 2


async def test_many_callers_share_one_listing(world: World, discovery: Discovery) -> None:
    await put(world, b"a", b"1")
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(discovery.ensure_listed, ROOT)
    assert discovery.listings == 1


async def test_a_failed_listing_fails_its_callers_and_changes_nothing(world: World, discovery: Discovery) -> None:
    await put(world, b"a", b"1")
    await discovery.ensure_listed(ROOT)
    for error in (AccessDenied("not for us"), Unavailable("down")):
        discovery.expire(ROOT)
        world.engine.fail_next("list", error)
        with pytest.raises(type(error)):
            await again(world, discovery)
    assert names(world) == [b"a"]
    await discovery.ensure_listed(ROOT)


async def test_while_the_engine_is_away_what_was_listed_is_gone_on_with(world: World, discovery: Discovery) -> None:
    """Programs read what is cached; what nobody has listed yet cannot be told, and is no absence."""
    await world.engine.create_container(b"d", Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0))
    await put(world, b"a", b"1")
    await discovery.ensure_listed(ROOT)
    container = world.ledger.namespace.child(ROOT, b"d")
    assert container is not None
    world.engine.fail_next("list", Unavailable("down"))
    await again(world, discovery)
    assert names(world) == [b"a", b"d"]
    asked = discovery.listings
    await discovery.ensure_listed(ROOT)
    assert discovery.listings == asked, "an engine that is away is asked at every call"
    world.engine.fail_next("list", Unavailable("down"))
    with pytest.raises(Unavailable):
        await discovery.ensure_listed(container.ino)
    await put(world, b"new", b"2")
    await again(world, discovery)
    assert names(world) == [b"a", b"d", b"new"]


async def test_a_cancelled_listing_is_taken_over(world: World, discovery: Discovery) -> None:
    await put(world, b"a", b"1")
    started = trio.Event()

    async def hang(verb: str) -> None:
        if verb == "list" and not started.is_set():
            started.set()
            await trio.sleep_forever()

    world.engine.on_call = hang
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def wait_and_cancel() -> None:
                await started.wait()
                nursery.start_soon(discovery.ensure_listed, ROOT)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

            nursery.start_soon(wait_and_cancel)
            await discovery.ensure_listed(ROOT)
    assert names(world) == [b"a"]


async def test_new_changed_and_removed_files_of_others_are_noticed(world: World, discovery: Discovery) -> None:
    await put(world, b"gone", b"1")
    await put(world, b"changed", b"1")
    await discovery.ensure_listed(ROOT)
    before = world.ledger.namespace.child(ROOT, b"changed")
    await world.engine.delete([Deletion(EntryPath(b"", b"gone"))])
    await put(world, b"changed", b"22")
    await put(world, b"new", b"333")
    await again(world, discovery)
    assert names(world) == [b"changed", b"new"]
    after = world.ledger.namespace.child(ROOT, b"changed")
    assert before is not None and after is not None
    assert after.ino != before.ino and after.size == 2 and before.nlink == 0
    assert world.is_idle()


async def test_attributes_changed_by_others_are_taken_over_and_owed_to_nobody(
    world: World, discovery: Discovery
) -> None:
    await put(world, b"a", b"1")
    await discovery.ensure_listed(ROOT)
    inode = world.ledger.namespace.child(ROOT, b"a")
    assert inode is not None
    path = EntryPath(b"", b"a")
    changed = Attributes(Kind.FILE, 0o640, 5, 6, 7, 8, 9, xattrs={b"user.a": b"1"})
    await world.engine.set_attributes(path, changed, expected=ANY)
    await again(world, discovery)
    assert world.ledger.namespace.child(ROOT, b"a") is inode
    assert inode.mode == 0o640 and inode.xattrs == {b"user.a": b"1"}
    assert world.is_idle()


async def test_what_is_owed_is_left_alone(world: World, discovery: Discovery) -> None:
    for name in (b"written", b"chmodded", b"moved", b"removed"):
        await put(world, name, b"1")
    await discovery.ensure_listed(ROOT)
    inos = {name: world.ledger.namespace.child(ROOT, name) for name in names(world)}
    written, chmodded = inos[b"written"], inos[b"chmodded"]
    assert written is not None and chmodded is not None
    world.contents[written.ino] = b"1"
    world.truncate(written.ino, 0)
    world.chmod(chmodded.ino, 0o644)
    world.rename(ROOT, b"moved", ROOT, b"elsewhere")
    world.remove(ROOT, b"removed")
    world.create(ROOT, b"local", b"2")
    for name in (b"written", b"chmodded", b"local"):
        await put(world, name, b"theirs")
    await again(world, discovery)
    assert names(world) == [b"chmodded", b"elsewhere", b"local", b"written"]
    assert world.ledger.namespace.child(ROOT, b"written") is written
    assert world.ledger.namespace.child(ROOT, b"chmodded") is chmodded


async def test_a_file_that_was_removed_there_while_ours_is_newer_is_stored_anew(
    world: World, discovery: Discovery
) -> None:
    ino = world.create(ROOT, b"a", b"old")
    await world.drain()
    await discovery.ensure_listed(ROOT)
    world.write(ino, 0, b"new")
    await world.engine.delete([Deletion(EntryPath(b"", b"a"))])
    await again(world, discovery)
    assert names(world) == [b"a"]
    await world.drain()
    await world.check_equal()


async def test_links_are_one_inode(world: World, discovery: Discovery) -> None:
    await put(world, b"a", b"1")
    version = (await world.engine.stat(EntryPath(b"", b"a"))).version
    await world.engine.link(EntryPath(b"", b"a"), EntryPath(b"", b"b"), version=version, expected=ANY)
    await discovery.ensure_listed(ROOT)
    one, other = world.ledger.namespace.child(ROOT, b"a"), world.ledger.namespace.child(ROOT, b"b")
    assert one is not None and one is other and one.nlink == 2


async def test_a_changed_file_with_links_is_one_new_inode(world: World, discovery: Discovery) -> None:
    await put(world, b"a", b"1")
    version = (await world.engine.stat(EntryPath(b"", b"a"))).version
    await world.engine.link(EntryPath(b"", b"a"), EntryPath(b"", b"b"), version=version, expected=ANY)
    await discovery.ensure_listed(ROOT)
    before = world.ledger.namespace.child(ROOT, b"a")
    moved = Attributes(Kind.FILE, 0o600, 5, 6, 7, 12345, 9)
    await world.engine.set_attributes(EntryPath(b"", b"a"), moved, expected=ANY)  # its mtime is part of the version
    await again(world, discovery)
    one, other = world.ledger.namespace.child(ROOT, b"a"), world.ledger.namespace.child(ROOT, b"b")
    assert one is not None and one is other and one is not before and one.nlink == 2


async def test_a_container_that_others_removed_goes_with_what_is_clean(world: World, discovery: Discovery) -> None:
    container = world.mkdir(ROOT, b"d")
    inner = world.mkdir(container, b"e")
    world.create(inner, b"clean", b"1")
    dirty = world.create(inner, b"dirty", b"2")
    world.create(container, b"clean too", b"3")
    await world.drain()
    await discovery.ensure_listed(ROOT)
    world.write(dirty, 0, b"new")
    await world.engine.delete(
        [
            Deletion(EntryPath(b"d/e", b"clean")),
            Deletion(EntryPath(b"d/e", b"dirty")),
            Deletion(EntryPath(b"d", b"clean too")),
        ]
    )
    await world.engine.delete_container(b"d/e")
    await world.engine.delete_container(b"d")
    await again(world, discovery)
    assert names(world, container) == [b"e"] and names(world, inner) == [b"dirty"]
    await world.drain()
    await world.check_equal()


async def test_listing_a_container_that_others_removed_says_so(world: World, discovery: Discovery) -> None:
    container = world.mkdir(ROOT, b"d")
    await world.drain()
    await discovery.ensure_listed(ROOT)
    await world.engine.delete_container(b"d")
    world.seconds += 10
    with pytest.raises(Stale):
        await discovery.ensure_listed(container)
    assert names(world) == []


async def test_the_absence_of_the_whole_namespace_is_no_deletion(world: World, discovery: Discovery) -> None:
    await put(world, b"a", b"1")
    await discovery.ensure_listed(ROOT)
    world.engine.fail_next("list", NotFound("the disk is not mounted"))
    await again(world, discovery)
    assert names(world) == [b"a"]
    discovery.expire(ROOT)
    world.engine.fail_next("list", NotFound("the disk is not mounted"))
    with pytest.raises(Unavailable):
        await again(world, discovery)
    assert names(world) == [b"a"]


async def test_a_container_that_is_only_here_needs_no_listing(world: World, discovery: Discovery) -> None:
    container = world.mkdir(ROOT, b"d")
    await discovery.ensure_listed(container)
    assert discovery.is_fresh(container) and discovery.listings == 0


async def test_only_containers_are_listed(world: World, discovery: Discovery) -> None:
    with pytest.raises(NotAContainer):
        await discovery.ensure_listed(world.create(ROOT, b"a"))
    with pytest.raises(Stale):
        await discovery.ensure_listed(Ino(99))


async def test_a_container_moved_under_its_listing_is_listed_again(world: World, discovery: Discovery) -> None:
    """The old path may lead to another container by then."""
    one, other = world.mkdir(ROOT, b"one"), world.mkdir(ROOT, b"other")
    world.create(one, b"a", b"1")
    world.create(other, b"b", b"2")
    await world.drain()
    swapped = False

    async def swap(verb: str) -> None:
        nonlocal swapped
        if verb == "list" and not swapped:
            swapped = True
            world.rename(ROOT, b"one", ROOT, b"other", exchange=True)
            await world.drain()

    world.engine.on_call = swap
    await discovery.ensure_listed(one)
    assert names(world, one) == [b"a"] and names(world, other) == [b"b"]
    await world.check_equal()


async def test_what_the_flusher_stores_under_a_listing_is_not_taken_for_anothers(
    world: World, discovery: Discovery
) -> None:
    ino = world.create(ROOT, b"a", b"1")
    kept = world.create(ROOT, b"b", b"2")
    await world.drain()
    busy = False

    async def work(verb: str) -> None:
        nonlocal busy
        if verb == "list" and not busy:
            busy = True
            world.write(ino, 0, b"3")
            world.remove(ROOT, b"b")
            world.create(ROOT, b"c", b"4")
            await world.drain()

    world.engine.on_call = work
    await discovery.ensure_listed(ROOT)
    assert names(world) == [b"a", b"c"]
    assert world.ledger.namespace.find(kept) is None
    inode = world.ledger.namespace.child(ROOT, b"a")
    assert inode is not None and inode.ino == ino


@pytest.mark.parametrize("ends_first", [True, False], ids=["during the listing", "begun before it"])
async def test_attributes_sent_by_one_name_of_a_file_are_not_undone_by_an_older_listing_of_another(
    world: World, discovery: Discovery, *, ends_first: bool
) -> None:
    """The listing shows the other name as it was before, and is answered when nothing is owed any more."""
    container = world.mkdir(ROOT, b"d")
    ino = world.create(ROOT, b"a", b"1")
    world.link(ino, container, b"linked")
    await world.drain()
    world.set_xattr(ino, b"user.a", b"ours")
    world.seconds += 10
    gate, listed, asked = trio.Event(), trio.Event(), trio.Event()
    older = await world.engine.list(b"d", None)

    async def hold(verb: str) -> None:
        if verb == "set_attributes":
            asked.set()
            if not ends_first:
                await listed.wait()

    async def answer_late(path: bytes, cursor: str | None) -> object:
        listed.set()
        await gate.wait()
        return older

    world.engine.on_call = hold
    world.engine.list = answer_late
    async with trio.open_nursery() as nursery:
        if not ends_first:
            nursery.start_soon(world.drain)
            await asked.wait()
        nursery.start_soon(discovery.ensure_listed, container)
        await listed.wait()
        if ends_first:
            await world.drain()
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert world.is_idle()
    assert world.ledger.namespace.get(ino).xattrs == {b"user.a": b"ours"}


async def test_the_roots_own_attributes_are_those_of_the_engine(world: World, discovery: Discovery) -> None:
    await world.engine.set_attributes(EntryPath(b"", b""), CONTAINER, expected=ANY)
    await discovery.ensure_listed(ROOT)
    assert world.ledger.namespace.get(ROOT).attributes() == CONTAINER
    assert world.is_idle()


async def test_long_listings_come_in_pages(world: World, discovery: Discovery) -> None:
    world.engine._page_entries = 7
    for number in range(450):
        await put(world, b"%d" % number, b"1")
    await discovery.ensure_listed(ROOT)
    assert len(names(world)) == 450
    await again(world, discovery)
    assert len(names(world)) == 450 and world.is_idle()
