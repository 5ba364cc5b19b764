"""The contract: move, link, delete, parking; under conditions, repeatable, nothing lost on refusal."""

import pytest

from tests.engine_contract.given import at, attributes, content_of, listing, make, names, put, same
from vaultairefs.engine.interface import Deletion, Engine
from vaultairefs.model.errors import (
    Conflict,
    InvalidRequest,
    IsAContainer,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.values import ABSENT, ANY, Kind, Version


@pytest.mark.needs("moves")
async def test_a_move_takes_bytes_attributes_version_and_token_along(engine: Engine) -> None:
    await make(engine, b"from", b"to")
    given = attributes(mode=0o4711, xattrs={b"user.a": b"b"})
    version = await put(engine, b"from/old", b"bytes", token="m:1:1", given=given)
    await engine.move(at(b"from/old"), at(b"to/new"), version=version, expected=ABSENT)
    found = await engine.stat(at(b"to/new"))
    assert (found.version, found.token) == (version, "m:1:1")
    assert same(found.attributes, given)
    assert await content_of(engine, b"to/new", version) == b"bytes"
    assert await names(engine, b"from") == set()


@pytest.mark.needs("moves")
async def test_a_move_replaces_exactly_the_expected_version(engine: Engine) -> None:
    version = await put(engine, b"source", b"new")
    old = await put(engine, b"target", b"old")
    for expected in (ABSENT, version, Version("no such version")):
        with pytest.raises(Conflict):
            await engine.move(at(b"source"), at(b"target"), version=version, expected=expected)
    assert await content_of(engine, b"target") == b"old"
    await engine.move(at(b"source"), at(b"target"), version=version, expected=old)
    assert await content_of(engine, b"target") == b"new"
    assert await names(engine) == {b"target"}


@pytest.mark.needs("moves")
async def test_a_move_onto_nothing_expects_nothing(engine: Engine) -> None:
    version = await put(engine, b"source")
    with pytest.raises(Conflict):
        await engine.move(at(b"source"), at(b"target"), version=version, expected=Version("some version"))
    await engine.move(at(b"source"), at(b"target"), version=version, expected=ANY)
    assert await names(engine) == {b"target"}


@pytest.mark.needs("moves")
async def test_a_move_of_another_version_is_a_conflict(engine: Engine) -> None:
    old = await put(engine, b"source", b"old")
    await put(engine, b"source", b"foreign", expected=old)
    with pytest.raises(Conflict):
        await engine.move(at(b"source"), at(b"target"), version=old, expected=ABSENT)
    with pytest.raises(NotFound):
        await engine.move(at(b"nothing"), at(b"target"), version=old, expected=ABSENT)
    assert await names(engine) == {b"source"}


@pytest.mark.needs("moves")
async def test_a_repeated_move_succeeds(engine: Engine) -> None:
    await make(engine, b"folder")
    version = await put(engine, b"source")
    for _ in range(2):
        await engine.move(at(b"source"), at(b"folder/target"), version=version, expected=ABSENT)
    identity = await engine.create_container(b"one", attributes(Kind.CONTAINER))
    for _ in range(2):
        await engine.move(at(b"one"), at(b"two"), version=identity, expected=ABSENT)
    assert await names(engine) == {b"folder", b"two"}


@pytest.mark.needs("moves")
async def test_a_repeated_move_succeeds_though_the_source_name_is_taken_again(engine: Engine) -> None:
    version = await put(engine, b"source", b"ours")
    await engine.move(at(b"source"), at(b"target"), version=version, expected=ABSENT)
    await put(engine, b"source", b"foreign")
    await engine.move(at(b"source"), at(b"target"), version=version, expected=ABSENT)
    assert await content_of(engine, b"source") == b"foreign"
    assert await content_of(engine, b"target") == b"ours"


@pytest.mark.needs("moves")
async def test_a_container_moves_with_everything_in_it_and_keeps_its_identity(engine: Engine) -> None:
    identity = await engine.create_container(b"one", attributes(Kind.CONTAINER, 0o750))
    await make(engine, b"one/inner", b"other")
    version = await put(engine, b"one/inner/file", b"bytes")
    await engine.move(at(b"one"), at(b"other/two"), version=identity, expected=ABSENT)
    found = await engine.stat(at(b"other/two"))
    assert found.version == identity
    assert found.attributes.mode == 0o750
    assert await content_of(engine, b"other/two/inner/file", version) == b"bytes"
    assert await names(engine) == {b"other"}


async def test_a_container_keeps_its_identity_when_things_change_inside(engine: Engine) -> None:
    identity = await engine.create_container(b"folder", attributes(Kind.CONTAINER))
    await put(engine, b"folder/file")
    await engine.set_attributes(at(b"folder"), attributes(Kind.CONTAINER, 0o700, mtime_ns=5), expected=identity)
    assert (await engine.stat(at(b"folder"))).version == identity
    await engine.delete([Deletion(at(b"folder/file"))])
    await engine.delete_container(b"folder")
    await make(engine, b"folder")
    assert (await engine.stat(at(b"folder"))).version != identity


@pytest.mark.needs("moves")
async def test_a_container_does_not_move_into_itself(engine: Engine) -> None:
    identity = await engine.create_container(b"one", attributes(Kind.CONTAINER))
    await make(engine, b"one/inner")
    with pytest.raises(InvalidRequest):
        await engine.move(at(b"one"), at(b"one/inner/two"), version=identity, expected=ABSENT)
    assert await names(engine, b"one") == {b"inner"}


@pytest.mark.needs("links")
@pytest.mark.needs("moves")
async def test_containers_are_neither_replaced_nor_replace(engine: Engine) -> None:
    identity = await engine.create_container(b"folder", attributes(Kind.CONTAINER))
    other = await engine.create_container(b"other", attributes(Kind.CONTAINER))
    version = await put(engine, b"file")
    with pytest.raises(Conflict):
        await engine.move(at(b"file"), at(b"folder"), version=version, expected=ABSENT)
    for expected in (ANY, identity):
        with pytest.raises(IsAContainer):
            await engine.move(at(b"file"), at(b"folder"), version=version, expected=expected)
        with pytest.raises(IsAContainer):
            await engine.move(at(b"other"), at(b"folder"), version=other, expected=expected)
        with pytest.raises(IsAContainer):
            await engine.link(at(b"file"), at(b"folder"), version=version, expected=expected)
    with pytest.raises(NotAContainer):
        await engine.move(at(b"folder"), at(b"file"), version=identity, expected=version)
    assert await names(engine) == {b"file", b"folder", b"other"}


@pytest.mark.needs("moves")
async def test_a_move_needs_both_containers(engine: Engine) -> None:
    version = await put(engine, b"file")
    with pytest.raises(NotFound):
        await engine.move(at(b"file"), at(b"nowhere/x"), version=version, expected=ABSENT)
    with pytest.raises(NotAContainer):
        await engine.move(at(b"file"), at(b"file/x"), version=version, expected=ABSENT)
    assert await names(engine) == {b"file"}


@pytest.mark.needs("moves")
async def test_a_move_to_its_own_name_changes_nothing(engine: Engine) -> None:
    version = await put(engine, b"file", b"bytes")
    await engine.move(at(b"file"), at(b"file"), version=version, expected=version)
    assert await content_of(engine, b"file", version) == b"bytes"


@pytest.mark.needs("links")
async def test_linked_names_are_one_artifact(engine: Engine) -> None:
    await make(engine, b"folder")
    version = await put(engine, b"one", b"bytes")
    assert (await engine.stat(at(b"one"))).links == 1
    await engine.link(at(b"one"), at(b"folder/two"), version=version, expected=ABSENT)
    one, two = await engine.stat(at(b"one")), (await listing(engine, b"folder"))[b"two"]
    assert (one.links, two.links) == (2, 2)
    assert one.link_id == two.link_id != ""
    assert one.version == two.version == version
    await engine.set_attributes(at(b"folder/two"), attributes(mode=0o604), expected=version)
    assert (await engine.stat(at(b"one"))).attributes.mode == 0o604


@pytest.mark.needs("links")
async def test_replacing_one_linked_name_leaves_the_others(engine: Engine) -> None:
    version = await put(engine, b"one", b"old", given=attributes(uid=9, xattrs={b"trusted.a": b"b"}))
    await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
    await put(engine, b"one", b"new", expected=version)
    assert await content_of(engine, b"one") == b"new"
    assert await content_of(engine, b"two", version) == b"old"
    two = await engine.stat(at(b"two"))
    assert two.links == 1
    assert same(two.attributes, attributes(uid=9, xattrs={b"trusted.a": b"b"}))


@pytest.mark.needs("links")
async def test_deleting_one_linked_name_leaves_the_others(engine: Engine) -> None:
    given = attributes(uid=9, xattrs={b"user.large": b"x" * 20_000})
    version = await put(engine, b"one", b"old", given=given)
    await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
    assert await engine.delete([Deletion(at(b"one"), version)]) == [None]
    assert same((await engine.stat(at(b"two"))).attributes, given)


@pytest.mark.needs("links")
async def test_a_link_replaces_exactly_the_expected_version(engine: Engine) -> None:
    version = await put(engine, b"one", b"bytes")
    old = await put(engine, b"two", b"old")
    for expected in (ABSENT, version):
        with pytest.raises(Conflict):
            await engine.link(at(b"one"), at(b"two"), version=version, expected=expected)
    with pytest.raises(Conflict):
        await engine.link(at(b"one"), at(b"three"), version=old, expected=ABSENT)
    await engine.link(at(b"one"), at(b"two"), version=version, expected=old)
    assert await content_of(engine, b"two", version) == b"bytes"
    assert await names(engine) == {b"one", b"two"}


@pytest.mark.needs("links")
async def test_a_repeated_link_succeeds(engine: Engine) -> None:
    version = await put(engine, b"one")
    old = await put(engine, b"three")
    for _ in range(2):
        await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
        await engine.link(at(b"one"), at(b"three"), version=version, expected=old)
    assert (await engine.stat(at(b"one"))).links == 3


@pytest.mark.needs("links")
async def test_a_link_needs_an_artifact_that_is_there(engine: Engine) -> None:
    await make(engine, b"folder")
    with pytest.raises(NotFound):
        await engine.link(at(b"nothing"), at(b"two"), version=ANY, expected=ABSENT)
    with pytest.raises(IsAContainer):
        await engine.link(at(b"folder"), at(b"two"), version=ANY, expected=ABSENT)
    assert await names(engine) == {b"folder"}


@pytest.mark.needs("links")
async def test_symlinks_have_links_of_their_own(engine: Engine) -> None:
    version = await put(engine, b"one", b"", given=attributes(Kind.SYMLINK, target=b"folder"))
    await make(engine, b"folder")
    await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
    found = await engine.stat(at(b"two"))
    assert (found.attributes.kind, found.links) == (Kind.SYMLINK, 2)


@pytest.mark.needs("links")
@pytest.mark.needs("moves")
async def test_moving_one_linked_name_onto_another_leaves_one(engine: Engine) -> None:
    """rename(2) would do nothing; the volume means that the source's name goes."""
    version = await put(engine, b"one", b"bytes")
    await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
    await engine.move(at(b"one"), at(b"two"), version=version, expected=version)
    assert await names(engine) == {b"two"}
    assert (await engine.stat(at(b"two"))).links == 1


async def test_many_are_deleted_each_for_itself(engine: Engine) -> None:
    await make(engine, b"a", b"b")
    versions = {path: await put(engine, path, path) for path in (b"a/1", b"a/2", b"b/3", b"top")}
    outcomes = await engine.delete(
        [
            Deletion(at(b"a/1"), versions[b"a/1"]),
            Deletion(at(b"a/2"), versions[b"b/3"]),
            Deletion(at(b"b")),
            Deletion(at(b"b/gone"), versions[b"a/1"]),
            Deletion(at(b"nowhere/gone")),
            Deletion(at(b"top/gone")),
            Deletion(at(b"b/3")),
            Deletion(at(b"top"), ABSENT),
            Deletion(at(b"n" * 256)),
        ]
    )
    words = [None if outcome is None else type(outcome).__name__ for outcome in outcomes]
    of_container = "IsAContainer" if engine.capabilities.names_checked else None
    assert words == [None, "Conflict", of_container, None, None, None, None, "Conflict", "NameTooLong"]
    assert await names(engine, b"a") == {b"2"}
    assert await names(engine, b"b") == set()
    assert b"top" in await names(engine)


async def test_nothing_to_delete_is_no_error(engine: Engine) -> None:
    assert await engine.delete([]) == []


@pytest.mark.needs("moves")
async def test_a_parked_entry_is_in_no_listing_and_comes_back(engine: Engine) -> None:
    parking = engine.staging_path(b"m.1")
    await make(engine, b"folder")
    version = await put(engine, b"folder/file", b"bytes")
    await engine.move(at(b"folder/file"), parking, version=version, expected=ABSENT)
    assert await names(engine) == {b"folder"}
    assert await names(engine, b"folder") == set()
    assert (await engine.stat(parking)).version == version
    await engine.move(parking, at(b"back"), version=version, expected=ABSENT)
    assert await content_of(engine, b"back", version) == b"bytes"


@pytest.mark.needs("moves")
async def test_a_parked_container_keeps_its_contents_reachable(engine: Engine) -> None:
    identity = await engine.create_container(b"folder", attributes(Kind.CONTAINER, 0o755))
    version = await put(engine, b"folder/file", b"bytes")
    parking = engine.staging_path(b"m.1")
    await engine.move(at(b"folder"), parking, version=identity, expected=ABSENT)
    assert await names(engine, parking.joined) == {b"file"}
    inside = at(parking.joined + b"/file")
    await engine.move(inside, at(b"file"), version=version, expected=ABSENT)
    await engine.delete_container(parking.joined)
    assert await names(engine) == {b"file"}


@pytest.mark.needs("moves")
async def test_users_names_do_not_reach_the_parking_place(engine: Engine) -> None:
    version = await put(engine, b"file")
    await engine.move(at(b"file"), engine.staging_path(b"name"), version=version, expected=ABSENT)
    for path in (b".vaultairefs/staging/name", b".vaultairefs/name", b"staging/name"):
        with pytest.raises(NotFound):
            await engine.stat(at(path))
    await make(engine, b".vaultairefs", b".vaultairefs/staging")
    assert await names(engine, b".vaultairefs/staging") == set()
