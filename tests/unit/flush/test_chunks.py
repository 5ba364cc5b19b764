"""Large files go up in no more chunks than they need, and what the engine has already is not sent again."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.flush.world import NATIVE, PLAIN, Interfering, World
from vaultairefs.engine.interface import Capabilities
from vaultairefs.flush.chunks import Base, plan_chunks
from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import ANY, ROOT, EntryPath, Extent, Ino

MIB = 1 << 20
S3 = Capabilities(chunk_bytes=16 * MIB, chunk_bytes_min=5 * MIB)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (16 * MIB, 1), (16 * MIB + 1, 2), (64 * MIB, 4), (0, 0)])
def test_an_artifact_of_exactly_n_chunks_costs_n(size: int, count: int) -> None:
    assert len(plan_chunks(size, None, S3)) == count


@pytest.mark.parametrize("size", [160_000 * MIB, 160_000 * MIB + 1, 5 << 40])
def test_chunks_grow_so_that_there_are_never_too_many(size: int) -> None:
    chunks = plan_chunks(size, None, S3)
    assert len(chunks) <= 10_000
    assert chunks[0].length % MIB == 0 and chunks[-1].offset + chunks[-1].length == size


def test_chunks_are_never_smaller_than_the_engine_takes() -> None:
    small = msgspec.structs.replace(S3, chunk_bytes=MIB)
    assert {chunk.length for chunk in plan_chunks(20 * MIB, None, small)} == {5 * MIB}


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 60)), max_size=4),
    st.integers(1, 90),
    st.integers(1, 30),
)
def test_chunks_cover_the_file_and_clean_ones_are_the_bases(
    size: int, base_size: int, dirty: list[tuple[int, int]], length: int, most: int
) -> None:
    able = Capabilities(chunk_bytes=length, chunks_max=most)
    extents = ExtentSet([Extent(*pair) for pair in dirty])
    chunks = plan_chunks(size, Base(base_size, extents), able)
    assert [chunk.number for chunk in chunks] == list(range(len(chunks))) and len(chunks) <= most
    assert [chunk.offset for chunk in chunks] == [sum(c.length for c in chunks[:n]) for n in range(len(chunks))]
    assert sum(chunk.length for chunk in chunks) == size
    changed = {byte for offset, count in dirty for byte in range(offset, offset + count)}
    for chunk in chunks:
        place = range(chunk.offset, chunk.offset + chunk.length)
        assert chunk.is_clean == (place.stop <= base_size and changed.isdisjoint(place))


async def edited(world: World, *, is_here: bool) -> Ino:
    """A file of five chunks that the engine has; five bytes of the third were changed."""
    ino = world.create(ROOT, b"a", bytes(range(200)))
    await world.drain()
    if not is_here:
        world.evict_everything()
    world.engine.calls.clear()
    world.write(ino, 90, b"other")
    return ino


@pytest.mark.parametrize("is_here", [True, False])
async def test_unchanged_chunks_are_taken_from_the_engine(world: World, is_here: bool) -> None:
    await edited(world, is_here=is_here)
    sent = world.flusher.status().bytes_uploaded
    await world.drain()
    await world.check_equal()
    assert (world.engine.calls["put_chunk"], world.engine.calls["copy_chunk"]) == (1, 4)
    assert world.flusher.status().bytes_uploaded - sent == 40


async def test_what_a_changed_chunk_lacks_is_fetched_and_no_more(world: World) -> None:
    """Bytes of clean chunks never come here."""
    ino = world.create(ROOT, b"a", bytes(200) * 10_000)
    await world.drain()
    world.engine._capabilities = msgspec.structs.replace(NATIVE, chunk_bytes=100_000)
    world.evict_everything()
    world.write(ino, 1_234_567, b"other")
    before = world.fetcher.bytes_downloaded
    await world.drain()
    await world.check_equal()
    assert world.fetcher.bytes_downloaded - before < 1_000_000


async def test_an_engine_that_copies_no_chunks_gets_the_whole_body(tmp_path: Path) -> None:
    world = World(tmp_path / "state", Interfering(capabilities=PLAIN))
    await world.open()
    await edited(world, is_here=False)
    await world.drain()
    await world.check_equal()
    assert (world.engine.calls["put_chunk"], world.engine.calls["copy_chunk"]) == (5, 0)
    world.drop_everything()


@pytest.mark.parametrize("is_here", [True, False])
async def test_a_foreign_version_that_comes_while_chunks_are_taken_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch, is_here: bool
) -> None:
    """P5 and P4: neither overwritten nor mixed into ours, of which no half is ever stored."""
    await edited(world, is_here=is_here)
    theirs = b"theirs" * 50
    came = False

    async def come() -> None:
        info = await world.engine.stat(EntryPath(b"", b"a"))
        await world.engine.put(EntryPath(b"", b"a"), theirs, info.attributes, expected=ANY, token="")

    original = world.engine.copy_chunk

    async def copy_chunk(*arguments: object) -> str:
        nonlocal came
        if not came:
            came = True
            await come()
        return str(await original(*arguments))

    monkeypatch.setattr(world.engine, "copy_chunk", copy_chunk)
    await world.drain()
    held = {path.joined: content for path, _, content in world.engine.walk()}
    assert held.pop(b"a") == theirs
    ours = bytes(range(90)) + b"other" + bytes(range(95, 200))
    assert list(held.values()) == [ours]


async def test_a_half_of_a_version_that_is_gone_is_never_stored(world: World) -> None:
    """The unchanged chunks are nowhere any more: the changed ones stay here, and the engine keeps what it has."""
    world.engine._capabilities = msgspec.structs.replace(NATIVE, chunk_bytes=300_000)
    ino = world.create(ROOT, b"a", bytes(200) * 10_000)
    await world.drain()
    world.evict_everything()
    world.write(ino, 1_234_567, b"other")
    info = await world.engine.stat(EntryPath(b"", b"a"))
    await world.engine.put(EntryPath(b"", b"a"), b"theirs", info.attributes, expected=ANY, token="")
    for _ in range(20):
        world.seconds += 60
        await world.tick()
    assert [content for _, _, content in world.engine.walk()] == [b"theirs"]
    body = world.ledger.buffer.find(ino)
    assert body is not None and world.ledger.buffer.read(ino, 1_234_567, 5) == b"other"
