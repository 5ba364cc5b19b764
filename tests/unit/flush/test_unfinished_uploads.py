"""Uploads that were begun and not committed are thrown away, in this life or the next; nobody else's are."""

import pytest

from tests.unit.flush.world import Crash, World, is_crash
from vaultairefs.engine.interface import Upload
from vaultairefs.model.errors import Unavailable
from vaultairefs.model.values import ROOT, Attributes, EntryPath, Kind

LARGE = b"x" * 500


async def begun_by_others(world: World) -> Upload:
    attributes = Attributes(Kind.FILE, 0o600, 1, 2, 3, 4, 5)
    return await world.engine.begin_upload(EntryPath(b"", b"a"), 500, attributes, token="theirs")


@pytest.mark.parametrize("verb", ["put_chunk", "commit_upload"])
async def test_an_upload_that_a_crash_interrupted_is_thrown_away_by_the_next_life(world: World, verb: str) -> None:
    theirs = await begun_by_others(world)
    world.create(ROOT, b"a", LARGE)

    def crash(called: str) -> None:
        if called == verb:
            raise Crash

    def refuse_abort(called: str) -> None:
        crash(called)
        if called == "abort_upload":
            raise Crash  # kill -9 leaves no time for it

    world.engine.before = refuse_abort
    world.seconds += 60
    with pytest.raises(BaseException) as raised:
        await world.tick()
    assert is_crash(raised.value)
    world.engine.before = lambda called: None
    assert len(await world.engine.list_uploads()) == 2
    await world.crash()
    await world.drain()
    await world.check_equal()
    assert await world.engine.list_uploads() == [theirs]


async def test_an_upload_that_could_not_be_thrown_away_at_once_is_later(world: World) -> None:
    theirs = await begun_by_others(world)
    ino = world.create(ROOT, b"a", LARGE)
    chunks = 0

    def overtake(called: str) -> None:
        nonlocal chunks
        chunks += called == "put_chunk"
        if called == "put_chunk" and chunks == 3:
            world.remove(ROOT, b"a")

    world.engine.before = overtake
    world.engine.fail_next("abort_upload", Unavailable("not now"))
    await world.drain()
    assert chunks >= 3 and world.ledger.namespace.find(ino) is None
    assert await world.engine.list_uploads() == [theirs]
    await world.check_equal()


async def test_an_upload_that_was_overtaken_and_could_not_be_thrown_away_is_not_forgotten(world: World) -> None:
    theirs = await begun_by_others(world)
    ino = world.create(ROOT, b"a", LARGE)
    chunks = 0

    def overtake(called: str) -> None:
        nonlocal chunks
        chunks += called == "put_chunk"
        if called == "put_chunk" and chunks == 3:
            world.write(ino, 10, b"newer")

    world.engine.before = overtake
    world.engine.fail_next("abort_upload", Unavailable("not now"))
    await world.drain()
    assert chunks > 3
    assert await world.engine.list_uploads() == [theirs]
    await world.check_equal()
