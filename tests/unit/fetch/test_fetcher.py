"""Bytes from the engine into bodies: the right ones, once, and never over newer ones."""

import pytest
import trio
import trio.testing

from tests.unit.flush.world import World
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.windows import FIRST_BYTES
from vaultairefs.model.changes import Truncated
from vaultairefs.model.errors import Stale, Unavailable
from vaultairefs.model.values import ABSENT, ANY, ROOT, EntryPath, Ino, Kind

KIB = 1 << 10
MIB = 1 << 20


async def stored(world: World, name: bytes, content: bytes) -> Ino:
    """A file whose bytes are only in the engine."""
    attributes = world.attributes(Kind.FILE)
    await world.engine.put(EntryPath(b"", name), content, attributes, expected=ABSENT, token="")
    await Discovery(world.ledger, world.engine, ttl_seconds=0).ensure_listed(ROOT)
    inode = world.ledger.namespace.child(ROOT, name)
    assert inode is not None
    world.contents[inode.ino] = content
    world.engine.calls.clear()
    return inode.ino


def local(world: World, ino: Ino, offset: int, length: int) -> bytes:
    body = world.ledger.buffer.find(ino)
    assert body is not None and body.has(offset, length)
    return world.ledger.buffer.read(ino, offset, length)


async def test_a_small_file_comes_whole_by_one_request(world: World) -> None:
    ino = await stored(world, b"a", b"0123456789")
    await world.fetcher.ensure(ino, 3, 2)
    assert local(world, ino, 0, 10) == b"0123456789"
    await world.fetcher.ensure(ino, 0, 10)
    assert world.engine.calls["read"] == 1
    assert world.fetcher.bytes_downloaded == 10


async def test_callers_of_the_same_bytes_share_one_request(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 1000)
    async with trio.open_nursery() as nursery:
        for offset in range(8):
            nursery.start_soon(world.fetcher.ensure, ino, offset * 100, 100)
    assert world.engine.calls["read"] == 1


async def test_a_scan_asks_for_more_and_more_and_a_random_read_for_little(world: World) -> None:
    content = bytes(1024) * 1024 * 9
    ino = await stored(world, b"a", content)
    for offset in range(0, len(content), 128 * KIB):
        world.fetcher.follow(ino, offset, 128 * KIB)
        await world.fetcher.ensure(ino, offset, 128 * KIB)
    assert world.engine.calls["read"] <= 8
    world.evict_everything()
    before = world.fetcher.bytes_downloaded
    await world.fetcher.ensure(ino, 5 * MIB, 4 * KIB)
    assert world.fetcher.bytes_downloaded - before == FIRST_BYTES


async def test_only_what_is_missing_is_fetched(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 100)
    world.write(ino, 40, b"NEW")
    await world.fetcher.ensure(ino, 0, 100)
    assert local(world, ino, 0, 100) == b"x" * 40 + b"NEW" + b"x" * 57
    assert world.fetcher.bytes_downloaded == 97


async def test_a_writer_waits_for_a_fetch_of_its_range_only(world: World) -> None:
    content = b"x" * (3 * MIB)
    ino = await stored(world, b"a", content)
    fetching, go_on = trio.Event(), trio.Event()

    async def hold(verb: str) -> None:
        if verb == "read":
            fetching.set()
            await go_on.wait()

    world.engine.on_call = hold
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.fetcher.ensure, ino, 0, 10)
        await fetching.wait()
        assert world.fetcher.range_is_busy(ino, 100, 10)
        assert not world.fetcher.range_is_busy(ino, 2 * MIB, 10)
        await world.fetcher.settled(ino, 2 * MIB, 10)
        written = False

        async def write() -> None:
            nonlocal written
            await world.fetcher.settled(ino, 100, 3)
            world.write(ino, 100, b"NEW")
            written = True

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        assert not written
        go_on.set()
    assert local(world, ino, 99, 5) == b"xNEWx"


async def test_what_is_written_between_two_windows_stays(world: World) -> None:
    content = b"x" * (20 * MIB)
    ino = await stored(world, b"a", content)
    world.write(ino, 0, b"N")
    wrote = False

    def write(verb: str) -> None:
        nonlocal wrote
        if verb == "read" and not wrote:
            wrote = True
            world.write(ino, 19 * MIB, b"NEW")

    world.engine.after = write
    await world.fetcher.complete(ino)
    assert local(world, ino, 0, 20 * MIB) == world.contents[ino]


async def test_a_fetch_follows_the_file_that_the_flusher_moves(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 100)
    moved = False

    async def move(verb: str) -> None:
        nonlocal moved
        if verb == "read" and not moved:
            moved = True
            world.rename(ROOT, b"a", world.mkdir(ROOT, b"d"), b"b")
            world.chmod(ino, 0o600, mtime_ns=5)  # which gives its version another name
            await world.drain()

    world.engine.on_call = move
    await world.fetcher.ensure(ino, 0, 100)
    assert local(world, ino, 0, 100) == b"x" * 100


async def test_a_version_that_is_gone_is_stale(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 100)
    attributes = world.ledger.namespace.get(ino).attributes()
    await world.engine.put(EntryPath(b"", b"a"), b"y" * 100, attributes, expected=ANY, token="")
    with pytest.raises(Stale):
        await world.fetcher.ensure(ino, 0, 100)
    with pytest.raises(Stale):
        await world.fetcher.complete(ino)


async def test_a_failed_fetch_leaves_nothing_behind(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 100)
    world.engine.fail_next("read", Unavailable("down"))
    with pytest.raises(Unavailable):
        await world.fetcher.ensure(ino, 0, 100)
    assert not world.fetcher.range_is_busy(ino, 0, 100)
    await world.fetcher.ensure(ino, 0, 100)
    assert local(world, ino, 0, 100) == b"x" * 100


async def test_a_file_replaced_under_its_fetch_keeps_its_new_bytes(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 100)
    replaced = False

    def replace(verb: str) -> None:
        nonlocal replaced
        if verb == "read" and not replaced:
            replaced = True
            world.ledger.commit(Truncated(ino, 0, world.tick_ns()))
            world.ledger.buffer.truncate_file(ino, 0)
            world.contents[ino] = b""
            world.write(ino, 0, b"new")

    world.engine.after = replace
    await world.fetcher.ensure(ino, 0, 100)
    assert world.ledger.buffer.read(ino, 0, 100) == b"new"


async def test_a_full_buffer_makes_room_by_dropping_what_is_clean(world: World) -> None:
    first = await stored(world, b"first", b"1" * (2 * MIB))
    second = await stored(world, b"second", b"2" * (2 * MIB))
    world.ledger.buffer.buffer_size = 3 * MIB
    await world.fetcher.complete(first)
    await world.ledger.sync()
    await world.fetcher.complete(second)
    body = world.ledger.buffer.find(first)
    assert body is None or not body.complete
    assert local(world, second, 0, 2 * MIB) == b"2" * (2 * MIB)


async def test_a_file_larger_than_the_buffer_can_be_read(world: World) -> None:
    content = bytes(range(256)) * (24 * KIB)
    ino = await stored(world, b"a", content)
    world.ledger.buffer.buffer_size = 2 * MIB
    for offset in range(0, len(content), MIB):
        await world.fetcher.ensure(ino, offset, MIB)
        assert world.ledger.buffer.read(ino, offset, MIB) == content[offset : offset + MIB]


async def test_the_bodys_own_mtime_is_the_files(world: World) -> None:
    ino = await stored(world, b"a", b"x" * 100)
    await world.fetcher.ensure(ino, 0, 1)
    status = world.ledger.buffer.stat(ino)
    assert status is not None and status.st_mtime_ns == world.ledger.namespace.get(ino).mtime_ns
