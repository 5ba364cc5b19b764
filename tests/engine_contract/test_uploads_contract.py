"""The contract: a large artifact goes up in chunks, in any order, and is published whole or not at all."""

import random

import pytest
import trio

from tests.engine_contract.given import at, attributes, body, content_of, make, names, put, same, upload
from vaultairefs.engine.interface import Engine, Upload
from vaultairefs.model.errors import Conflict, Corrupt, InvalidRequest, IsAContainer, NotFound
from vaultairefs.model.values import ABSENT, ANY, Kind, Version

CHUNK = 5 << 20
"""More than any engine's smallest chunk, and no engine's favourite."""
SIZES = [CHUNK + 40_000, CHUNK, CHUNK + 1, 30_002]
CONTENT = random.Random(7).randbytes(sum(SIZES))


async def test_an_upload_is_published_whole(engine: Engine) -> None:
    version = await upload(engine, b"file", CONTENT, SIZES, token="m:1:1")
    found = await engine.stat(at(b"file"))
    assert (found.size, found.version, found.token) == (len(CONTENT), version, "m:1:1")
    assert same(found.attributes, attributes())
    assert await content_of(engine, b"file", version) == CONTENT
    assert await engine.list_uploads() == []


async def test_chunks_go_up_in_any_order(engine: Engine) -> None:
    await upload(engine, b"file", CONTENT, SIZES, order=[3, 0, 2, 1])
    assert await content_of(engine, b"file") == CONTENT


async def test_chunks_go_up_at_the_same_time_and_again(engine: Engine) -> None:
    started = await engine.begin_upload(at(b"file"), len(CONTENT), attributes(), token="")
    receipts = [""] * 4

    async def send(number: int, descriptor: int) -> None:
        receipts[number] = await engine.put_chunk(started, number, sum(SIZES[:number]), descriptor, SIZES[number])

    with body(CONTENT) as descriptor:
        async with trio.open_nursery() as nursery:
            for number in (0, 1, 2, 3, 1, 0):
                nursery.start_soon(send, number, descriptor)
    await engine.commit_upload(started, receipts, attributes(), expected=ABSENT)
    assert await content_of(engine, b"file") == CONTENT


async def test_nothing_is_visible_before_the_commit(engine: Engine) -> None:
    old = await put(engine, b"file", b"old")
    started = await engine.begin_upload(at(b"file"), 3, attributes(), token="")
    with body(b"new") as descriptor:
        receipt = await engine.put_chunk(started, 0, 0, descriptor, 3)
    assert await content_of(engine, b"file", old) == b"old"
    assert await names(engine) == {b"file"}
    await engine.commit_upload(started, [receipt], attributes(), expected=old)
    assert await content_of(engine, b"file") == b"new"


async def test_an_upload_of_no_bytes_has_no_chunks(engine: Engine) -> None:
    await upload(engine, b"file", b"", [])
    assert (await engine.stat(at(b"file"))).size == 0


async def test_a_conflict_leaves_the_upload_to_be_committed_again_or_aborted(engine: Engine) -> None:
    old = await put(engine, b"file", b"foreign")
    started = await engine.begin_upload(at(b"file"), 4, attributes(), token="m:1:1")
    with body(b"mine") as descriptor:
        receipt = await engine.put_chunk(started, 0, 0, descriptor, 4)
    for expected in (ABSENT, Version("some version")):
        with pytest.raises(Conflict):
            await engine.commit_upload(started, [receipt], attributes(), expected=expected)
    assert await content_of(engine, b"file") == b"foreign"
    assert await engine.list_uploads() == [started]
    await engine.commit_upload(started, [receipt], attributes(), expected=old)
    assert await content_of(engine, b"file") == b"mine"


@pytest.mark.needs("names_checked")
async def test_a_container_is_never_replaced_by_an_upload(engine: Engine) -> None:
    await make(engine, b"folder")
    with pytest.raises(IsAContainer):
        await upload(engine, b"folder", CONTENT, SIZES, expected=ANY)
    assert (await engine.stat(at(b"folder"))).attributes.kind is Kind.CONTAINER


async def test_a_repeated_commit_succeeds(engine: Engine) -> None:
    started = await engine.begin_upload(at(b"file"), 3, attributes(), token="m:1:1")
    with body(b"new") as descriptor:
        receipt = await engine.put_chunk(started, 0, 0, descriptor, 3)
    version = await engine.commit_upload(started, [receipt], attributes(), expected=ABSENT)
    assert await engine.commit_upload(started, [receipt], attributes(), expected=ABSENT) == version


async def test_an_aborted_upload_is_gone_and_leaves_nothing(engine: Engine) -> None:
    started = await engine.begin_upload(at(b"file"), 3, attributes(), token="")
    assert await engine.list_uploads() == [started]
    for _ in range(2):
        await engine.abort_upload(started)
    assert await engine.list_uploads() == []
    with body(b"new") as descriptor, pytest.raises(NotFound):
        await engine.put_chunk(started, 0, 0, descriptor, 3)
    with pytest.raises(NotFound):
        await engine.commit_upload(started, ["0:0:3"], attributes(), expected=ABSENT)
    assert await names(engine) == set()


async def test_uploads_of_several_names_are_listed(engine: Engine) -> None:
    await make(engine, b"folder")
    begun = {await engine.begin_upload(at(path), 1, attributes(), token="") for path in (b"a", b"folder/b", b"a")}
    assert len(begun) == 3
    assert set(await engine.list_uploads()) == begun


async def test_an_upload_that_nobody_began_is_not_found(engine: Engine) -> None:
    for upload_id in ("", "0123456789abcdef", "../../file", "a/b"):
        unknown = Upload(at(b"file"), upload_id)
        await engine.abort_upload(unknown)
        with pytest.raises(NotFound):
            await engine.commit_upload(unknown, [], attributes(), expected=ANY)


async def test_a_descriptor_that_ends_early_is_corrupt(engine: Engine) -> None:
    started = await engine.begin_upload(at(b"file"), 10, attributes(), token="")
    with body(b"123456789") as descriptor, pytest.raises(Corrupt):
        await engine.put_chunk(started, 0, 0, descriptor, 10)


@pytest.mark.parametrize("receipts", [[], ["0:0:4"], ["0:0:4", "1:5:5"], ["1:0:4", "0:4:6"], ["0:0:4", "nonsense"]])
async def test_chunks_that_do_not_make_the_whole_are_not_published(engine: Engine, receipts: list[str]) -> None:
    started = await engine.begin_upload(at(b"file"), 10, attributes(), token="")
    with body(bytes(10)) as descriptor:
        await engine.put_chunk(started, 0, 0, descriptor, 4)
        await engine.put_chunk(started, 1, 4, descriptor, 6)
    with pytest.raises(InvalidRequest):
        await engine.commit_upload(started, receipts, attributes(), expected=ABSENT)
    assert await names(engine) == set()


@pytest.mark.needs("names_checked")
async def test_a_commit_needs_its_container(engine: Engine) -> None:
    with pytest.raises(NotFound):
        await upload(engine, b"nowhere/file", CONTENT, SIZES)


async def test_holes_are_zeros(engine: Engine) -> None:
    content = bytes(CHUNK + 300_000) + b"data" + bytes(CHUNK + 400_000)
    await upload(engine, b"file", content, [CHUNK, CHUNK + 200_000, 500_004])
    assert await content_of(engine, b"file") == content


@pytest.mark.needs("copies_chunks")
async def test_chunks_of_one_version_are_taken_without_being_sent(engine: Engine) -> None:
    version = await upload(engine, b"file", CONTENT, SIZES)
    started = await engine.begin_upload(at(b"file"), len(CONTENT), attributes(), token="m:1:2")
    first, rest = CHUNK, len(CONTENT) - CHUNK
    receipts = [await engine.copy_chunk(started, 0, 0, first, at(b"file"), version)]
    with body(bytes(len(CONTENT))) as descriptor:
        receipts.append(await engine.put_chunk(started, 1, first, descriptor, rest))
    await engine.commit_upload(started, receipts, attributes(), expected=version)
    assert await content_of(engine, b"file") == CONTENT[:CHUNK] + bytes(rest)


@pytest.mark.needs("copies_chunks")
async def test_chunks_of_another_version_than_asked_for_are_never_taken(engine: Engine) -> None:
    version = await put(engine, b"file", CONTENT[:100])
    started = await engine.begin_upload(at(b"other"), 100, attributes(), token="")
    await put(engine, b"file", CONTENT[100:200], expected=version)
    with pytest.raises(Conflict):
        await engine.copy_chunk(started, 0, 0, 100, at(b"file"), version)
    with pytest.raises(NotFound):
        await engine.copy_chunk(started, 0, 0, 100, at(b"nothing"), version)
    await engine.abort_upload(started)


@pytest.mark.needs("copies_chunks")
async def test_a_chunk_that_the_version_does_not_have_is_corrupt(engine: Engine) -> None:
    version = await put(engine, b"file", b"123456789")
    started = await engine.begin_upload(at(b"other"), 10, attributes(), token="")
    with pytest.raises(Corrupt):
        await engine.copy_chunk(started, 0, 0, 10, at(b"file"), version)
    await engine.abort_upload(started)
