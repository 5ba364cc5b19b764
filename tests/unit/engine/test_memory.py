"""What tests of other rooms rely on: the memory engine fails, waits, counts and lacks abilities as it is told."""

import pytest
import trio

from tests.engine_contract.given import at, content_of, make, names, put
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.errors import Conflict, NotSupported, Unavailable
from vaultairefs.model.values import ABSENT, ANY


async def test_a_failure_comes_once_and_changes_nothing() -> None:
    engine = MemoryEngine()
    engine.fail_next("put", Unavailable())
    with pytest.raises(Unavailable):
        await put(engine, b"file")
    assert await names(engine) == set()
    await put(engine, b"file")
    assert engine.calls["put"] == 2


async def test_an_applied_failure_is_a_lost_answer() -> None:
    engine = MemoryEngine()
    engine.fail_next("put", Unavailable(), applied=True)
    with pytest.raises(Unavailable):
        await put(engine, b"file", b"bytes", token="m:1:1")
    assert await content_of(engine, b"file") == b"bytes"
    await put(engine, b"file", b"bytes", token="m:1:1")


async def test_failures_queue_up() -> None:
    engine = MemoryEngine()
    engine.fail_next("list", Unavailable())
    engine.fail_next("list", Conflict())
    with pytest.raises(Unavailable):
        await engine.list(b"")
    with pytest.raises(Conflict):
        await engine.list(b"")
    assert await names(engine) == set()


async def test_a_verbs_own_refusal_comes_before_an_applied_failure() -> None:
    engine = MemoryEngine()
    await put(engine, b"file")
    engine.fail_next("put", Unavailable(), applied=True)
    with pytest.raises(Conflict):
        await put(engine, b"file")


async def test_a_call_can_be_held() -> None:
    engine = MemoryEngine()
    reached, gate = trio.Event(), trio.Event()

    async def hold(verb: str) -> None:
        if verb == "put":
            reached.set()
            await gate.wait()

    engine.on_call = hold
    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, engine, b"file")
        await reached.wait()
        assert await names(engine) == set()
        gate.set()
    assert await names(engine) == {b"file"}


async def test_abilities_can_be_taken_away() -> None:
    engine = MemoryEngine(capabilities=Capabilities(moves=False, links=False))
    version = await put(engine, b"file")
    with pytest.raises(NotSupported):
        await engine.move(at(b"file"), at(b"x"), version=version, expected=ABSENT)
    with pytest.raises(NotSupported):
        await engine.link(at(b"file"), at(b"x"), version=version, expected=ABSENT)
    assert await names(engine) == {b"file"}


async def test_the_whole_tree_can_be_seen() -> None:
    engine = MemoryEngine()
    await make(engine, b"b", b"b/c")
    await put(engine, b"b/c/file", b"bytes")
    version = await put(engine, b"a", b"top")
    await engine.move(at(b"a"), engine.staging_path(b"parked"), version=version, expected=ANY)
    assert [(path.joined, content) for path, _, content in engine.walk()] == [
        (b"b", b""),
        (b"b/c", b""),
        (b"b/c/file", b"bytes"),
    ]
    assert engine.parked() == [b"parked"]
