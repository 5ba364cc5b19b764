"""The contract: a copy is a new artifact with the bytes of one version, under conditions, whole, and repeatable."""

import os

import pytest

from tests.engine_contract.given import at, attributes, content_of, copy, listing, make, names, put, same
from vaultairefs.engine.interface import Deletion, Engine
from vaultairefs.model.errors import Conflict, IsAContainer, NotFound
from vaultairefs.model.values import ABSENT, ANY, Attributes, Kind, Version

KINDS = [
    attributes(Kind.FILE, xattrs={b"user.a": b"b"}),
    attributes(Kind.FILE, xattrs={b"user.large": b"x" * 20_000}),
    attributes(Kind.SYMLINK, target=b"any/where"),
    attributes(Kind.FIFO),
    attributes(Kind.CHARACTER, rdev=os.makedev(1, 3)),
]


@pytest.mark.parametrize("given", KINDS, ids=lambda given: given.kind.name)
async def test_a_copy_has_bytes_and_attributes_and_a_token_of_its_own(engine: Engine, given: Attributes) -> None:
    await make(engine, b"folder")
    version = await put(engine, b"source", b"bytes" if given.kind is Kind.FILE else b"", given=given, token="m:1:1")
    copied = await copy(engine, b"source", b"folder/target", version, token="m:1:2")
    found = (await listing(engine, b"folder"))[b"target"]
    assert same(found.attributes, given)
    assert (found.version, found.token) == (copied, "m:1:2")
    source = await engine.stat(at(b"source"))
    assert (source.version, source.token) == (version, "m:1:1")
    if given.kind is Kind.FILE:
        assert await content_of(engine, b"folder/target", copied) == b"bytes"


async def test_a_copy_may_be_given_other_attributes(engine: Engine) -> None:
    version = await put(engine, b"source", b"bytes", given=attributes(xattrs={b"user.a": b"b"}))
    wanted = attributes(mode=0o4711, uid=1, mtime_ns=5, xattrs={b"user.c": b"d"})
    copied = await copy(engine, b"source", b"target", version, given=wanted)
    found = await engine.stat(at(b"target"))
    assert same(found.attributes, wanted)
    assert found.version == copied
    assert same((await engine.stat(at(b"source"))).attributes, attributes(xattrs={b"user.a": b"b"}))


async def test_copies_go_their_own_ways(engine: Engine) -> None:
    version = await put(engine, b"source", b"old")
    copied = await copy(engine, b"source", b"target", version)
    await put(engine, b"source", b"new", expected=version)
    await engine.set_attributes(at(b"source"), attributes(mode=0o600), expected=ANY)
    assert await content_of(engine, b"target", copied) == b"old"
    assert (await engine.stat(at(b"target"))).attributes.mode == 0o640
    await engine.delete([Deletion(at(b"source"))])
    assert await content_of(engine, b"target", copied) == b"old"


async def test_a_copy_replaces_exactly_the_expected_version(engine: Engine) -> None:
    version = await put(engine, b"source", b"new")
    old = await put(engine, b"target", b"old")
    for expected in (ABSENT, version, Version("no such version")):
        with pytest.raises(Conflict):
            await copy(engine, b"source", b"target", version, expected=expected)
    assert await content_of(engine, b"target") == b"old"
    await copy(engine, b"source", b"target", version, expected=old)
    assert await content_of(engine, b"target") == b"new"


async def test_a_copy_of_another_version_is_a_conflict(engine: Engine) -> None:
    old = await put(engine, b"source", b"old")
    await put(engine, b"source", b"foreign", expected=old)
    with pytest.raises(Conflict):
        await copy(engine, b"source", b"target", old)
    with pytest.raises(NotFound):
        await copy(engine, b"nothing", b"target", old)
    assert await names(engine) == {b"source"}


async def test_a_repeated_copy_succeeds_whatever_became_of_the_source(engine: Engine) -> None:
    version = await put(engine, b"source", b"bytes")
    copied = await copy(engine, b"source", b"target", version, token="m:1:1")
    assert await copy(engine, b"source", b"target", version, token="m:1:1") == copied
    foreign = await put(engine, b"source", b"foreign", expected=version)
    assert await copy(engine, b"source", b"target", version, token="m:1:1") == copied
    await engine.delete([Deletion(at(b"source"), foreign)])
    assert await copy(engine, b"source", b"target", version, token="m:1:1") == copied
    with pytest.raises(NotFound):
        await copy(engine, b"source", b"target", version, token="m:1:2")
    assert await content_of(engine, b"target", copied) == b"bytes"


async def test_a_container_is_not_copied(engine: Engine) -> None:
    await make(engine, b"folder")
    with pytest.raises(IsAContainer):
        await copy(engine, b"folder", b"target", ANY)
    assert await names(engine) == {b"folder"}


async def test_a_copy_can_be_parked(engine: Engine) -> None:
    version = await put(engine, b"file", b"bytes")
    parking = engine.staging_path(b"m.1")
    parked = await copy(engine, b"file", parking.joined, version)
    await engine.delete([Deletion(at(b"file"), version)])
    assert await names(engine) == set()
    assert (await engine.stat(parking)).version == parked
    await copy(engine, parking.joined, b"back", parked)
    assert await engine.delete([Deletion(parking, parked)]) == [None]
    assert await content_of(engine, b"back") == b"bytes"
