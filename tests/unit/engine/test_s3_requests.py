"""What the S3 engine does not ask a store for, and that nothing is lost by it."""

import hashlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.engine_contract.given import attributes, make
from tests.support import stores
from vaultairefs.engine import s3_vacancy
from vaultairefs.engine.s3 import S3Engine
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.model.errors import Conflict, NotFound
from vaultairefs.model.values import ABSENT, ANY, EntryPath, Kind, Version


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Server]:
    with stores.moto() as found:
        yield found


@contextmanager
def counted(engine: S3Engine) -> Iterator[Counter[str]]:
    """Filled with the requests of the block at its end."""
    before, found = Counter(engine.requests), Counter[str]()
    yield found
    found.update(Counter(engine.requests) - before)


def without(engine: S3Engine, **abilities: bool | str) -> None:
    """As if the probe had found less."""
    engine._store.rely_on(msgspec.structs.replace(engine.abilities, **abilities))


async def put(engine: S3Engine, container: bytes, name: bytes, token: str) -> Version:
    return await engine.put(EntryPath(container, name), b"bytes", attributes(), expected=ABSENT, token=token)


async def copies(engine: S3Engine, versions: list[Version]) -> None:
    for number, version in enumerate(versions):
        source, target = EntryPath(b"old", b"%d" % number), EntryPath(b"new", b"%d" % number)
        given = attributes()
        await engine.copy(source, target, version=version, attributes=given, expected=ABSENT, token=f"c{number}")


async def given_files(engine: S3Engine, count: int) -> list[Version]:
    await make(engine, b"old")
    versions = [await put(engine, b"old", b"%d" % number, f"t{number}") for number in range(count)]
    await make(engine, b"new")
    return versions


async def test_copies_into_a_new_container_share_one_look(
    server: stores.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    async with stores.opened(server) as engine:
        versions = await given_files(engine, 8)
        without(engine, copy_absent=False)
        with counted(engine) as asked:
            await copies(engine, versions)
        assert asked == {"copy": 8, "list": 1}


async def test_a_look_at_a_new_container_is_worth_a_second(
    server: stores.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    async with stores.opened(server) as engine:
        (version, *_) = await given_files(engine, 2)
        without(engine, copy_absent=False)
        await copies(engine, [version])
        now[0] += s3_vacancy._LOOK_SECONDS
        theirs = server.client().put_object(Bucket=engine._client.bucket, Key="new/1", Body=b"theirs")["ETag"]
        with pytest.raises(Conflict):
            source, target = EntryPath(b"old", b"0"), EntryPath(b"new", b"1")
            await engine.copy(source, target, version=version, attributes=attributes(), expected=ABSENT, token="x")
        assert (await engine.stat(EntryPath(b"new", b"1"))).version == theirs.strip('"')


async def test_what_is_in_a_new_container_already_is_a_conflict(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        versions = await given_files(engine, 1)
        server.client().put_object(Bucket=engine._client.bucket, Key="new/0", Body=b"theirs")
        without(engine, copy_absent=False)
        with pytest.raises(Conflict):
            await copies(engine, versions)


async def test_copies_into_a_container_that_was_there_look_at_each_name(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        versions = await given_files(engine, 4)
        engine._store.known.fresh.clear()
        without(engine, copy_absent=False)
        with counted(engine) as asked:
            await copies(engine, versions)
        assert asked == {"copy": 4, "head": 4}


async def test_an_unpinned_copy_of_another_version_is_seen_and_taken_back(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        versions = await given_files(engine, 1)
        without(engine, copy_source="")
        server.client().put_object(Bucket=engine._client.bucket, Key="old/0", Body=b"theirs")
        with pytest.raises(Conflict):
            await copies(engine, versions)
        with pytest.raises(NotFound):
            await engine.stat(EntryPath(b"new", b"0"))


async def test_attributes_of_a_new_container_are_one_put(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await make(engine, b"folder")
        with counted(engine) as asked:
            given = attributes(Kind.CONTAINER, mode=0o700)
            await engine.set_attributes(EntryPath(b"", b"folder"), given, expected=ANY)
        assert asked == {"put": 1}
        found = await engine.stat(EntryPath(b"", b"folder"))
        assert found.attributes.mode == 0o700


async def test_attributes_of_the_root_are_one_put_once_it_was_seen(
    server: stores.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    async with stores.opened(server) as engine:
        await engine.stat(EntryPath(b"", b""))
        now[0] += 3600
        with counted(engine) as asked:
            given = attributes(Kind.CONTAINER, mode=0o711)
            await engine.set_attributes(EntryPath(b"", b""), given, expected=ANY)
        assert asked == {"put": 1}
        assert (await engine.stat(EntryPath(b"", b""))).attributes.mode == 0o711


async def test_what_others_say_of_a_container_stays_said(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await engine.stat(EntryPath(b"", b""))
        client, bucket = server.client(), engine._client.bucket
        client.put_object(Bucket=bucket, Key="theirs/", Body=b"", Metadata={"colour": "blue"})
        for mode in (0o700, 0o711):
            given = attributes(Kind.CONTAINER, mode=mode)
            await engine.set_attributes(EntryPath(b"", b"theirs"), given, expected=ANY)
        assert client.head_object(Bucket=bucket, Key="theirs/")["Metadata"]["colour"] == "blue"


async def test_the_version_of_what_went_up_in_parts_is_reckoned_where_the_store_does_not_tell_it(
    server: stores.Server,
) -> None:
    async with stores.opened(server) as engine:
        assert engine.abilities.commit_digests
        without(engine, commit_tells_version=False)
        path, size = EntryPath(b"", b"large"), 6 << 20
        with tempfile.TemporaryFile() as file, counted(engine) as asked:
            file.write(bytes(size))
            file.flush()
            upload = await engine.begin_upload(path, size, attributes(), token="t")
            places = [(0, 5 << 20), (5 << 20, 1 << 20)]
            receipts = [
                await engine.put_chunk(upload, number, offset, file.fileno(), length)
                for number, (offset, length) in enumerate(places)
            ]
            version = await engine.commit_upload(upload, receipts, attributes(), expected=ABSENT)
        assert asked == {"begin-upload": 1, "put-part": 2, "commit-upload": 1}
        assert (await engine.stat(path)).version == version


def test_a_version_is_reckoned_of_digests_only() -> None:
    digest = hashlib.md5(b"one", usedforsecurity=False)
    both = hashlib.md5(digest.digest() * 2, usedforsecurity=False).hexdigest()
    assert Abilities(commit_digests=True).digest_of_parts([digest.hexdigest()] * 2) == f"{both}-2"
    assert Abilities().digest_of_parts([digest.hexdigest()]) == ""
    assert Abilities(commit_digests=True).digest_of_parts(["opaque"]) == ""


async def test_an_index_is_not_written_for_one_artifact_that_changed(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await make(engine, b"folder")
        await put(engine, b"folder", b"one", "t1")
        with counted(engine) as asked:
            assert await engine.upkeep(everything=True) is None
        assert not asked
        await put(engine, b"folder", b"two", "t2")
        with counted(engine) as asked:
            await engine.upkeep(everything=True)
        assert asked == {"list": 1, "put": 1}
