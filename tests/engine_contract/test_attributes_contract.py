"""The contract: whatever attributes an entry is given, the same come back, whatever the store can hold natively."""

import os

import pytest

from tests.engine_contract.given import (
    ACCESS_ACL,
    DEFAULT_ACL,
    at,
    attributes,
    content_of,
    listing,
    make,
    put,
    rename,
    same,
)
from vaultairefs.engine.interface import Engine
from vaultairefs.model.values import ANY, Attributes, Kind

KINDS = [
    attributes(Kind.FILE),
    attributes(Kind.SYMLINK, target=b"../any/where"),
    attributes(Kind.SYMLINK, target=b"t" * 4095),
    attributes(Kind.SYMLINK, target=b"\xff\n\x01"),
    attributes(Kind.FIFO),
    attributes(Kind.SOCKET),
    attributes(Kind.CHARACTER, rdev=os.makedev(1, 3)),
    attributes(Kind.BLOCK, rdev=os.makedev(259, 70000)),
]
ODD = {
    "nothing allowed": attributes(mode=0),
    "write only": attributes(mode=0o222),
    "every bit": attributes(mode=0o7777),
    "another owner": attributes(uid=4_000_000, gid=5_000_000),
    "set-user-id of another owner": attributes(mode=0o6755, uid=0, gid=0),
    "before 1970": attributes(atime_ns=-1, mtime_ns=-1_500_000_000),
    "epoch": attributes(atime_ns=0, mtime_ns=0),
    "far future": attributes(atime_ns=2**62, mtime_ns=2**62 + 1),
    "attributes": attributes(xattrs={b"user.a": b"", b"user.b\xff": bytes(range(256))}),
    "trusted": attributes(xattrs={b"trusted.a": b"b", b"user.c": b"d"}),
    "capability": attributes(
        mode=0o755, xattrs={b"security.capability": bytes.fromhex("0100000200040000" + "00" * 12)}
    ),
    "large attribute": attributes(xattrs={b"user.large": b"x" * 20_000}),
    "many attributes": attributes(xattrs={b"user.%d" % n: b"x" * 100 for n in range(100)}),
    "an engine's own names": attributes(xattrs={b"user.vaultaire": b"a", b"trusted.vaultaire": b"b"}),
    "access list": attributes(mode=0o640, xattrs={b"system.posix_acl_access": ACCESS_ACL}),
    "access list, forbidden to its owner": attributes(
        mode=0o040, xattrs={b"system.posix_acl_access": ACCESS_ACL[:6] + b"\0" + ACCESS_ACL[7:]}
    ),
}
CONTAINERS = {
    "plain": attributes(Kind.CONTAINER, 0o755),
    "nothing allowed": attributes(Kind.CONTAINER, 0),
    "every bit": attributes(Kind.CONTAINER, 0o7777),
    "another owner": attributes(Kind.CONTAINER, 0o2700, uid=7, gid=8),
    "access lists": attributes(
        Kind.CONTAINER,
        0o640,
        xattrs={b"system.posix_acl_access": ACCESS_ACL, b"system.posix_acl_default": DEFAULT_ACL},
    ),
    "large attribute": attributes(Kind.CONTAINER, 0o700, xattrs={b"user.large": b"x" * 20_000}),
}


@pytest.mark.parametrize("given", KINDS, ids=lambda given: given.kind.name)
async def test_every_kind_comes_back(engine: Engine, given: Attributes) -> None:
    version = await put(engine, b"entry", b"", given=given, token="m:1:1")
    found = await engine.stat(at(b"entry"))
    assert same(found.attributes, given)
    assert (found.version, found.token) == (version, "m:1:1")
    assert found.size == len(given.target)
    assert await put(engine, b"entry", b"", given=given, token="m:1:1") == version


@pytest.mark.parametrize("given", KINDS, ids=lambda given: given.kind.name)
async def test_every_kind_is_listed_replaced_and_renamed(engine: Engine, given: Attributes) -> None:
    old = await put(engine, b"entry", b"bytes")
    version = await put(engine, b"entry", b"", given=given, expected=old)
    version = await rename(engine, b"entry", b"moved", version)
    found = await listing(engine)
    assert set(found) == {b"moved"}
    assert same(found[b"moved"].attributes, given)
    assert found[b"moved"].version == version
    await put(engine, b"moved", b"bytes", expected=version)
    assert await content_of(engine, b"moved") == b"bytes"


@pytest.mark.parametrize("kind", KINDS, ids=lambda given: given.kind.name)
async def test_every_kind_has_owner_times_and_attributes(engine: Engine, kind: Attributes) -> None:
    given = attributes(kind.kind, 0o604, target=kind.target, rdev=kind.rdev, uid=3, gid=4, xattrs={b"user.a": b"b"})
    version = await put(engine, b"entry", b"", given=given)
    assert same((await engine.stat(at(b"entry"))).attributes, given)
    again = attributes(kind.kind, 0o755, target=kind.target, rdev=kind.rdev, mtime_ns=9, xattrs={b"trusted.c": b"d"})
    after = await engine.set_attributes(at(b"entry"), again, expected=version)
    found = await engine.stat(at(b"entry"))
    assert same(found.attributes, again)
    assert found.version == after


@pytest.mark.parametrize("case", ODD)
async def test_odd_attributes_come_back_from_a_put(engine: Engine, case: str) -> None:
    version = await put(engine, b"file", b"bytes", given=ODD[case], token="m:1:1")
    found = await engine.stat(at(b"file"))
    assert same(found.attributes, ODD[case])
    assert found.token == "m:1:1"
    assert await content_of(engine, b"file", version) == b"bytes"


@pytest.mark.parametrize("case", ODD)
async def test_odd_attributes_come_and_go_with_set_attributes(engine: Engine, case: str) -> None:
    version = await put(engine, b"file", b"bytes", token="m:1:1")
    version = await engine.set_attributes(at(b"file"), ODD[case], expected=version)
    assert same((await engine.stat(at(b"file"))).attributes, ODD[case])
    version = await engine.set_attributes(at(b"file"), attributes(), expected=version)
    found = await engine.stat(at(b"file"))
    assert same(found.attributes, attributes())
    assert (found.version, found.token) == (version, "m:1:1")
    assert await content_of(engine, b"file", version) == b"bytes"


@pytest.mark.parametrize("case", CONTAINERS)
async def test_containers_keep_their_attributes(engine: Engine, case: str) -> None:
    given = CONTAINERS[case]
    identity = await engine.create_container(b"folder", given)
    assert same((await engine.stat(at(b"folder"))).attributes, given)
    await put(engine, b"folder/file", b"bytes")
    assert await content_of(engine, b"folder/file") == b"bytes"
    assert await engine.set_attributes(at(b"folder"), given, expected=identity) == identity
    found = await listing(engine)
    assert same(found[b"folder"].attributes, given)
    await engine.set_attributes(at(b"folder"), attributes(Kind.CONTAINER, 0o755), expected=ANY)
    assert same((await engine.stat(at(b"folder"))).attributes, attributes(Kind.CONTAINER, 0o755))


async def test_a_default_access_list_is_not_inherited_behind_the_callers_back(engine: Engine) -> None:
    """Inheritance is decided above the engine, once."""
    await engine.create_container(b"folder", CONTAINERS["access lists"])
    await put(engine, b"folder/file")
    await make(engine, b"folder/inner")
    assert same((await engine.stat(at(b"folder/file"))).attributes, attributes())
    assert same((await engine.stat(at(b"folder/inner"))).attributes, attributes(Kind.CONTAINER, 0o755))


async def test_a_setgid_container_does_not_give_its_group_away(engine: Engine) -> None:
    await engine.create_container(b"folder", attributes(Kind.CONTAINER, 0o2775, gid=4711))
    await make(engine, b"folder/inner")
    await put(engine, b"folder/file")
    assert same((await engine.stat(at(b"folder/inner"))).attributes, attributes(Kind.CONTAINER, 0o755))
    assert same((await engine.stat(at(b"folder/file"))).attributes, attributes())
