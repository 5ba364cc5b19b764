"""The contract: names of one artifact, on engines where each of them is an artifact of its own."""

from typing import cast

import pytest

from tests.engine_contract.given import at, attributes, content_of, copy, listing, put, same
from vaultairefs.engine.interface import Deletion, Engine, EntryInfo, Grouped
from vaultairefs.model.values import ABSENT, Attributes, Version

pytestmark = pytest.mark.needs("groups")

LINK = "abc123def"


async def marked(engine: Engine, path: bytes, content: bytes = b"content", expected: Version = ABSENT) -> Version:
    return await engine.put(at(path), content, attributes(), expected=expected, token=f"m:{path!r}", link_id=LINK)


async def group(engine: Engine, names: dict[bytes, Version], given: Attributes | None = None) -> int:
    named = [Grouped(at(path), version) for path, version in names.items()]
    return cast(int, await engine.group(LINK, named, given or attributes()))


async def shown(engine: Engine, path: bytes) -> EntryInfo:
    """What ``stat`` says of it, which must be what its container's listing says."""
    info = await engine.stat(at(path))
    listed = (await listing(engine, at(path).container))[at(path).name]
    assert (listed.links, listed.link_id, listed.same_as) == (info.links, info.link_id, info.same_as)
    return info


async def linked(engine: Engine, *paths: bytes) -> bool:
    infos = [await shown(engine, path) for path in paths]
    return {(info.link_id, info.links) for info in infos} == {(LINK, len(paths))}


async def lone(engine: Engine, path: bytes) -> bool:
    info = await shown(engine, path)
    return (info.link_id, info.links, info.same_as) == ("", 1, ())


async def pair(engine: Engine) -> dict[bytes, Version]:
    first = await marked(engine, b"a/one")
    second = await engine.copy(
        at(b"a/one"), at(b"b/two"), version=first, attributes=attributes(), expected=ABSENT, token="m:2", link_id=LINK
    )
    names = {b"a/one": first, b"b/two": second}
    assert await group(engine, names) == 2
    return names


async def test_the_names_of_a_group_are_listed_as_one_artifact(engine: Engine) -> None:
    await pair(engine)
    assert await linked(engine, b"a/one", b"b/two")
    assert await content_of(engine, b"b/two") == b"content"


async def test_a_mark_without_a_group_means_nothing(engine: Engine) -> None:
    await marked(engine, b"one")
    await marked(engine, b"two")
    assert await lone(engine, b"one") and await lone(engine, b"two")


async def test_a_copy_that_nobody_grouped_is_no_link_whatever_mark_it_carries(engine: Engine) -> None:
    names = await pair(engine)
    await engine.copy(
        at(b"a/one"),
        at(b"a/copy"),
        version=names[b"a/one"],
        attributes=attributes(),
        expected=ABSENT,
        token="theirs",
        link_id=LINK,
    )
    assert await lone(engine, b"a/copy")
    assert await linked(engine, b"a/one", b"b/two")


async def test_a_copy_for_another_name_leaves_the_mark_behind(engine: Engine) -> None:
    names = await pair(engine)
    version = await copy(engine, b"a/one", b"c", names[b"a/one"], given=attributes())
    assert await group(engine, {**names, b"c": version}) == 3
    assert await lone(engine, b"c")


async def test_a_name_that_was_written_anew_is_none_of_the_group(engine: Engine) -> None:
    names = await pair(engine)
    await put(engine, b"b/two", b"theirs", expected=names[b"b/two"])
    assert await lone(engine, b"b/two")
    third = await marked(engine, b"a/three", b"content")
    assert await group(engine, {b"a/one": names[b"a/one"], b"a/three": third}) == 2
    assert await linked(engine, b"a/one", b"a/three")
    assert await content_of(engine, b"b/two") == b"theirs"


async def test_a_name_that_only_the_engine_knows_stays_and_gets_the_new_bytes(engine: Engine) -> None:
    names = await pair(engine)
    newer = await marked(engine, b"a/one", b"newer", names[b"a/one"])
    assert await group(engine, {b"a/one": newer}) == 2
    assert await linked(engine, b"a/one", b"b/two")
    assert await content_of(engine, b"b/two") == b"newer"


async def test_a_name_that_only_the_engine_knows_gets_the_new_attributes(engine: Engine) -> None:
    names = await pair(engine)
    given = attributes(mode=0o600, xattrs={b"user.a": b"b"})
    version = await engine.set_attributes(at(b"a/one"), given, expected=names[b"a/one"])
    assert await group(engine, {b"a/one": version}, given) == 2
    assert await linked(engine, b"a/one", b"b/two")
    assert same((await engine.stat(at(b"b/two"))).attributes, given)


async def test_a_mark_can_be_given_with_attributes_and_stays_with_others(engine: Engine) -> None:
    first = await put(engine, b"one", token="m:1")
    marked_now = await engine.set_attributes(at(b"one"), attributes(), expected=first, link_id=LINK)
    second = await marked(engine, b"two")
    changed = await engine.set_attributes(at(b"one"), attributes(mode=0o600), expected=marked_now)
    second = await engine.set_attributes(at(b"two"), attributes(mode=0o600), expected=second)
    assert await group(engine, {b"one": changed, b"two": second}, attributes(mode=0o600)) == 2
    assert await linked(engine, b"one", b"two")


async def test_a_group_of_one_name_is_none(engine: Engine) -> None:
    names = await pair(engine)
    assert await engine.delete([Deletion(at(b"b/two"), names[b"b/two"])]) == [None]
    assert await group(engine, {b"a/one": names[b"a/one"]}) < 2
    assert await lone(engine, b"a/one")


async def test_names_that_are_gone_leave_those_that_only_the_engine_knows(engine: Engine) -> None:
    names = await pair(engine)
    third = await marked(engine, b"c")
    await group(engine, {**names, b"c": third})
    assert await engine.delete([Deletion(at(b"c"), third)]) == [None]
    assert await group(engine, {}) == 2
    assert await linked(engine, b"a/one", b"b/two")


async def test_a_name_whose_container_has_become_an_artifact_is_gone(engine: Engine) -> None:
    names = await pair(engine)
    assert await engine.delete([Deletion(at(b"b/two"), names[b"b/two"])]) == [None]
    await engine.delete_container(b"b")
    await put(engine, b"b", b"in its way")
    third = await marked(engine, b"c")
    assert await group(engine, {b"a/one": names[b"a/one"], b"c": third}) == 2
    assert await linked(engine, b"a/one", b"c")


async def test_a_renamed_name_is_the_same_artifact(engine: Engine) -> None:
    names = await pair(engine)
    moved = await engine.copy(
        at(b"b/two"),
        at(b"a/new"),
        version=names[b"b/two"],
        attributes=attributes(),
        expected=ABSENT,
        token="m:3",
        link_id=LINK,
    )
    assert await engine.delete([Deletion(at(b"b/two"), names[b"b/two"])]) == [None]
    for _ in range(2):
        assert await group(engine, {b"a/one": names[b"a/one"], b"a/new": moved}) == 2
    assert await linked(engine, b"a/one", b"a/new")
