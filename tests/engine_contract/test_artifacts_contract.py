"""The contract: one artifact is put, read, replaced, and given attributes, whole and under conditions."""

import os

import pytest

from tests.engine_contract.given import NOON_NS, at, attributes, body, content_of, make, names, put, same
from vaultairefs.engine.interface import Engine
from vaultairefs.model.errors import (
    Conflict,
    InvalidRequest,
    IsAContainer,
    NameTooLong,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.values import ABSENT, ANY, Kind, Version


async def test_a_put_artifact_is_there_with_its_bytes_and_attributes(engine: Engine) -> None:
    version = await put(engine, b"file", b"hello", token="m:1:2")
    found = await engine.stat(at(b"file"))
    assert (found.name, found.size, found.version, found.links, found.token) == (b"file", 5, version, 1, "m:1:2")
    assert same(found.attributes, attributes())
    assert await content_of(engine, b"file", version) == b"hello"


async def test_an_empty_artifact_is_an_artifact(engine: Engine) -> None:
    version = await put(engine, b"empty", b"")
    assert (await engine.stat(at(b"empty"))).size == 0
    assert await content_of(engine, b"empty", version) == b""


async def test_a_read_puts_a_range_where_it_was_asked_to(engine: Engine) -> None:
    version = await put(engine, b"file", bytes(range(100)))
    with body(b"." * 10) as descriptor:
        assert await engine.read(at(b"file"), version, 20, 5, descriptor, 3) == 5
        assert os.pread(descriptor, 100, 0) == b"..." + bytes(range(20, 25)) + b".."


async def test_a_read_is_short_only_at_the_end(engine: Engine) -> None:
    version = await put(engine, b"file", bytes(100))
    with body() as descriptor:
        assert await engine.read(at(b"file"), version, 90, 50, descriptor, 0) == 10
        assert await engine.read(at(b"file"), version, 100, 50, descriptor, 0) == 0
        assert await engine.read(at(b"file"), version, 1000, 50, descriptor, 0) == 0


async def test_a_read_of_another_version_is_a_conflict_and_copies_nothing(engine: Engine) -> None:
    old = await put(engine, b"file", b"old")
    await put(engine, b"file", b"new", expected=old)
    with body(b"...") as descriptor:
        with pytest.raises(Conflict):
            await engine.read(at(b"file"), old, 0, 3, descriptor, 0)
        assert os.pread(descriptor, 3, 0) == b"..."


async def test_reading_what_has_no_bytes_is_refused(engine: Engine) -> None:
    await make(engine, b"folder")
    await put(engine, b"link", given=attributes(Kind.SYMLINK, target=b"folder"))
    with body() as descriptor:
        with pytest.raises(NotFound):
            await engine.read(at(b"nothing"), ANY, 0, 1, descriptor, 0)
        with pytest.raises(IsAContainer):
            await engine.read(at(b"folder"), ANY, 0, 1, descriptor, 0)
        with pytest.raises(InvalidRequest):
            await engine.read(at(b"link"), ANY, 0, 1, descriptor, 0)


async def test_absent_is_refused_where_something_is(engine: Engine) -> None:
    await put(engine, b"file", b"first")
    with pytest.raises(Conflict):
        await put(engine, b"file", b"second", expected=ABSENT)
    assert await content_of(engine, b"file") == b"first"


async def test_a_version_is_refused_where_another_or_nothing_is(engine: Engine) -> None:
    old = await put(engine, b"file", b"old")
    await put(engine, b"file", b"new", expected=old)
    for path in (b"file", b"nothing"):
        with pytest.raises(Conflict):
            await put(engine, path, b"mine", expected=old)
    assert await content_of(engine, b"file") == b"new"
    assert await names(engine) == {b"file"}


async def test_any_replaces_whatever_artifact_is_there_or_nothing(engine: Engine) -> None:
    await put(engine, b"file", b"one", expected=ANY)
    await put(engine, b"file", b"two", expected=ANY)
    assert await content_of(engine, b"file") == b"two"


@pytest.mark.needs("names_checked")
async def test_a_container_is_never_replaced(engine: Engine) -> None:
    await make(engine, b"folder")
    with pytest.raises(IsAContainer):
        await put(engine, b"folder", expected=ANY)
    with pytest.raises(Conflict):
        await put(engine, b"folder", expected=ABSENT)
    assert (await engine.stat(at(b"folder"))).attributes.kind is Kind.CONTAINER


async def test_every_put_makes_another_version(engine: Engine) -> None:
    seen: list[Version] = []
    for content in (b"aaa", b"bbb", b"ccc", b"ddd"):
        seen.append(await put(engine, b"file", content, expected=seen[-1] if seen else ABSENT))
    assert len(set(seen)) == 4


async def test_a_put_repeated_with_its_token_succeeds(engine: Engine) -> None:
    """The answer to the first call was lost: the second finds its own work."""
    old = await put(engine, b"file", b"old", token="m:1:1")
    version = await put(engine, b"file", b"new", expected=old, token="m:1:2")
    assert await put(engine, b"file", b"new", expected=old, token="m:1:2") == version
    fresh = await put(engine, b"fresh", b"x", token="m:2:3")
    assert await put(engine, b"fresh", b"x", token="m:2:3") == fresh


async def test_somebody_elses_work_is_a_conflict_for_a_repeated_put(engine: Engine) -> None:
    await put(engine, b"file", b"theirs", token="other:1:1")
    for token in ("m:1:1", ""):
        with pytest.raises(Conflict):
            await put(engine, b"file", b"mine", token=token)
    await put(engine, b"tokenless", b"theirs")
    with pytest.raises(Conflict):
        await put(engine, b"tokenless", b"mine")


@pytest.mark.needs("names_checked")
async def test_a_put_needs_its_container(engine: Engine) -> None:
    await put(engine, b"file")
    with pytest.raises(NotFound):
        await put(engine, b"nowhere/x")
    with pytest.raises(NotAContainer):
        await put(engine, b"file/x")
    with pytest.raises(NotFound):
        await engine.stat(at(b"nowhere/x"))
    assert await names(engine) == {b"file"}


async def test_a_container_is_not_put(engine: Engine) -> None:
    with pytest.raises(IsAContainer):
        await put(engine, b"folder", given=attributes(Kind.CONTAINER))


async def test_impossible_names_are_refused(engine: Engine) -> None:
    for name in (b"", b".", b"..", b"a\0b"):
        with pytest.raises(InvalidRequest):
            await engine.put(at(b"x")._replace(name=name), b"", attributes(), expected=ANY, token="")
    for container in (b"/", b"..", b"a/../..", b"a//b", b"./a", b"a\0b"):
        with pytest.raises(InvalidRequest):
            await engine.put(at(b"x")._replace(container=container), b"", attributes(), expected=ANY, token="")
    with pytest.raises(NameTooLong):
        await put(engine, b"n" * 256)
    assert await names(engine) == set()


async def test_set_attributes_changes_everything_but_the_bytes(engine: Engine) -> None:
    version = await put(engine, b"file", b"hello")
    wanted = attributes(mode=0o751, atime_ns=5, mtime_ns=NOON_NS + 77, xattrs={b"user.a": b"b"})
    after = await engine.set_attributes(at(b"file"), wanted, expected=version)
    found = await engine.stat(at(b"file"))
    assert same(found.attributes, wanted)
    assert found.version == after
    assert await content_of(engine, b"file", after) == b"hello"


async def test_a_changed_mode_leaves_the_version_alone(engine: Engine) -> None:
    """So a chmod of one link does not make the others look changed, nor re-pin readers."""
    version = await put(engine, b"file")
    assert await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=version) == version


async def test_set_attributes_repeated_succeeds(engine: Engine) -> None:
    version = await put(engine, b"file")
    wanted = attributes(mtime_ns=NOON_NS + 1)
    after = await engine.set_attributes(at(b"file"), wanted, expected=version)
    assert await engine.set_attributes(at(b"file"), wanted, expected=version) == after


async def test_set_attributes_of_another_version_is_a_conflict(engine: Engine) -> None:
    old = await put(engine, b"file", b"old")
    await put(engine, b"file", b"new", expected=old)
    with pytest.raises(Conflict):
        await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=old)
    assert (await engine.stat(at(b"file"))).attributes.mode == 0o640
    with pytest.raises(NotFound):
        await engine.set_attributes(at(b"nothing"), attributes(), expected=old)


async def test_set_attributes_that_are_there_already_on_other_bytes_is_a_conflict(engine: Engine) -> None:
    """Only work of its own counts as done."""
    old = await put(engine, b"file", b"old")
    await put(engine, b"file", b"new", expected=old)
    with pytest.raises(Conflict):
        await engine.set_attributes(at(b"file"), attributes(), expected=old)


async def test_set_attributes_does_not_change_what_an_entry_is(engine: Engine) -> None:
    await make(engine, b"folder")
    await put(engine, b"link", given=attributes(Kind.SYMLINK, target=b"there"))
    with pytest.raises(IsAContainer):
        await engine.set_attributes(at(b"folder"), attributes(), expected=ANY)
    with pytest.raises(NotAContainer):
        await engine.set_attributes(at(b"link"), attributes(Kind.CONTAINER), expected=ANY)
    await engine.set_attributes(at(b"link"), attributes(Kind.SYMLINK, target=b"elsewhere"), expected=ANY)
    assert (await engine.stat(at(b"link"))).attributes.target == b"there"


async def test_the_token_survives_new_attributes(engine: Engine) -> None:
    await put(engine, b"file", token="m:1:2")
    await engine.set_attributes(at(b"file"), attributes(mtime_ns=1), expected=ANY)
    assert (await engine.stat(at(b"file"))).token == "m:1:2"


async def test_replacing_an_artifact_leaves_nothing_of_the_old_ones_attributes(engine: Engine) -> None:
    given = attributes(mode=0o7777, xattrs={b"user.old": b"1", b"trusted.old": b"2"})
    old = await put(engine, b"file", b"old", given=given)
    await put(engine, b"file", b"new", expected=old)
    assert same((await engine.stat(at(b"file"))).attributes, attributes())


async def test_the_root_has_attributes(engine: Engine) -> None:
    root = at(b"")
    assert (await engine.stat(root)).attributes.kind is Kind.CONTAINER
    wanted = attributes(Kind.CONTAINER, 0o1777, xattrs={b"user.a": b"b"})
    await engine.set_attributes(root, wanted, expected=ANY)
    assert same((await engine.stat(root)).attributes, wanted)


async def test_usage_is_plausible(engine: Engine) -> None:
    found = await engine.usage()
    if found.capacity_bytes is not None:
        assert found.available_bytes is not None
        assert found.capacity_bytes >= found.available_bytes > 0


async def test_probe_reports_the_capabilities(engine: Engine) -> None:
    assert await engine.probe() == engine.capabilities
    assert await names(engine) == set()
