"""The contract: any bytes that Linux takes as a name are one, each name is its own, and paths have no end."""

import hashlib

import pytest

from tests.engine_contract.given import at, attributes, content_of, copy, listing, make, names, put, rename
from vaultairefs.engine.interface import Deletion, Engine
from vaultairefs.model.errors import AlreadyExists, Conflict, IsAContainer, NameTooLong, NotAContainer, NotSupported
from vaultairefs.model.values import ABSENT, ANY, Kind

ODD_NAMES = [
    *(bytes([byte]) for byte in range(1, 256) if bytes([byte]) not in (b"/", b".")),
    b"...",
    b" leading and trailing ",
    b"-rf",
    b"a\nb",
    b"a\\b",
    b"%2F",
    b"a%00",
    b"?#&=+",
    b"x.",
    b".hidden",
    "gr\u00fc\u00dfe".encode(),
    "gru\u0308\u00dfe".encode(),
    "\u65e5\u672c\u8a9e".encode(),
    b"\xed\xa0\x80",
    b"\xff" * 255,
    b"n" * 255,
    b"t-tenant",
    b"lost+found",
    b".vaultairefs",
    b".vaultairefs%",
    b".vaultairefs%%",
    b".vaultairefs%x",
    b".vaultairefs-not",
]


def tag(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()


async def test_any_bytes_name_an_artifact(engine: Engine) -> None:
    for name in ODD_NAMES:
        await put(engine, name, tag(name))
    found = await listing(engine)
    assert set(found) == set(ODD_NAMES)
    for name in ODD_NAMES:
        assert await content_of(engine, name, found[name].version) == tag(name)
    outcomes = await engine.delete([Deletion(at(name), found[name].version) for name in ODD_NAMES])
    assert set(outcomes) == {None}
    assert await names(engine) == set()


async def test_any_bytes_name_a_container_and_what_is_in_it(engine: Engine) -> None:
    for name in ODD_NAMES:
        await make(engine, name)
        await put(engine, name + b"/" + name, tag(name))
    assert await names(engine) == set(ODD_NAMES)
    for name in ODD_NAMES:
        assert await names(engine, name) == {name}
        assert await content_of(engine, name + b"/" + name) == tag(name)
        await engine.delete([Deletion(at(name + b"/" + name))])
        await engine.delete_container(name)
    assert await names(engine) == set()


@pytest.mark.needs("links")
@pytest.mark.needs("moves")
@pytest.mark.parametrize("name", [b".vaultairefs", b".vaultairefs%", b"n" * 255, b"\xff\n"])
async def test_any_bytes_are_moved_to_and_from(engine: Engine, name: bytes) -> None:
    version = await put(engine, b"plain", b"bytes")
    await engine.move(at(b"plain"), at(name), version=version, expected=ABSENT)
    assert await names(engine) == {name}
    await engine.link(at(name), at(b"second"), version=version, expected=ABSENT)
    await engine.move(at(name), at(b"plain"), version=version, expected=ABSENT)
    assert await names(engine) == {b"plain", b"second"}
    identity = await engine.create_container(name, attributes(Kind.CONTAINER))
    await engine.move(at(name), at(b"folder"), version=identity, expected=ABSENT)
    await engine.move(at(b"folder"), at(name), version=identity, expected=ABSENT)
    assert await names(engine) == {name, b"plain", b"second"}


async def test_a_name_of_256_bytes_is_too_long_everywhere(engine: Engine) -> None:
    long = b"n" * 256
    version = await put(engine, b"file")
    with pytest.raises(NameTooLong):
        await put(engine, long)
    with pytest.raises(NameTooLong):
        await make(engine, long)
    for verb, able in ((engine.move, engine.capabilities.moves), (engine.link, engine.capabilities.links)):
        with pytest.raises(NameTooLong if able else NotSupported):
            await verb(at(b"file"), at(long), version=version, expected=ABSENT)
    with pytest.raises(NameTooLong):
        await copy(engine, b"file", long, version)
    with pytest.raises(NameTooLong):
        await engine.stat(at(long))
    with pytest.raises(NameTooLong):
        engine.staging_path(long)


async def test_paths_may_be_longer_than_path_max(engine: Engine) -> None:
    component = b"c" * 250
    container = component
    for _ in range(24):
        await engine.create_container(container, attributes(Kind.CONTAINER, 0o755))
        container += b"/" + component
    await engine.create_container(container, attributes(Kind.CONTAINER, 0o755))
    assert len(container) > 6000
    deep = container + b"/file"
    version = await put(engine, deep, b"deep")
    assert await content_of(engine, deep, version) == b"deep"
    assert await names(engine, container) == {b"file"}
    assert await engine.set_attributes(at(deep), attributes(mode=0o600), expected=version) == version
    second = await copy(engine, deep, container + b"/second", version)
    assert await names(engine, container) == {b"file", b"second"}
    version = await rename(engine, deep, b"up", version)
    assert await engine.delete([Deletion(at(container + b"/second"), second)]) == [None]
    await engine.delete_container(container)
    assert await content_of(engine, b"up") == b"deep"


@pytest.mark.needs("names_checked")
async def test_an_artifact_and_a_container_never_share_a_name(engine: Engine) -> None:
    """``x`` beside ``x/`` cannot be: each keeps what was there first, and nothing changes."""
    await put(engine, b"x", b"artifact")
    with pytest.raises(AlreadyExists):
        await make(engine, b"x")
    with pytest.raises(NotAContainer):
        await put(engine, b"x/y")
    with pytest.raises(NotAContainer):
        await engine.list(b"x")
    with pytest.raises(NotAContainer):
        await engine.delete_container(b"x")
    await make(engine, b"z")
    with pytest.raises(Conflict):
        await put(engine, b"z")
    with pytest.raises(IsAContainer):
        await put(engine, b"z", expected=ANY)
    assert [type(outcome) for outcome in await engine.delete([Deletion(at(b"z"))])] == [IsAContainer]
    assert await content_of(engine, b"x") == b"artifact"
    assert await names(engine) == {b"x", b"z"}


async def test_names_that_differ_only_in_case_or_form_are_different(engine: Engine) -> None:
    several = [b"name", b"Name", b"NAME", b"name ", b"name.", "\u00e9".encode(), "e\u0301".encode()]
    for name in several:
        await put(engine, name, tag(name))
    for name in several:
        assert await content_of(engine, name) == tag(name)
    assert await names(engine) == set(several)


async def test_listings_come_in_pages_with_each_name_once(engine: Engine) -> None:
    several = {b"name%d" % number for number in range(100)}
    await make(engine, b"folder")
    for name in several:
        await put(engine, b"folder/" + name, b"")
    assert (await engine.list(b"folder")).cursor is not None
    assert await names(engine, b"folder") == several


async def test_a_page_may_be_asked_for_again(engine: Engine) -> None:
    """Also when its names went meanwhile, and in the order of the cursors or not."""
    for number in range(50):
        await put(engine, b"name%d" % number, b"")
    cursors, pages = [], []
    cursor = None
    while True:
        page = await engine.list(b"", cursor)
        cursors.append(cursor)
        pages.append({entry.name for entry in page.entries})
        cursor = page.cursor
        if cursor is None:
            break
    for asked, seen in reversed(list(zip(cursors, pages, strict=True))):
        if asked is not None:
            assert {entry.name for entry in (await engine.list(b"", asked)).entries} == seen


async def test_names_that_come_and_go_during_a_listing_do_no_harm(engine: Engine) -> None:
    several = [b"name%02d" % number for number in range(60)]
    for name in several:
        await put(engine, name, b"")
    first = await engine.list(b"")
    seen = [entry.name for entry in first.entries]
    gone = [name for name in several if name not in seen][::2]
    await engine.delete([Deletion(at(name)) for name in gone])
    await put(engine, b"zz new", b"")
    cursor = first.cursor
    while cursor is not None:
        page = await engine.list(b"", cursor)
        seen += [entry.name for entry in page.entries]
        cursor = page.cursor
    assert len(seen) == len(set(seen))
    assert set(several) - set(gone) <= set(seen) <= (set(several) - set(gone)) | {b"zz new"}
