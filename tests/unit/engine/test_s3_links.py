"""Registries of hard links: what they cost on the wire, and that nothing makes links of what are none."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.engine_contract.given import at, attributes, listing, make, put
from tests.support import stores
from vaultairefs.engine.interface import Deletion, EntryInfo, Grouped
from vaultairefs.engine.s3 import S3Engine
from vaultairefs.engine.s3_links import pack, unpack
from vaultairefs.model.values import ABSENT, EntryPath

LINK = "0123456789abcdef"
REGISTRY = ".vaultairefs/links/" + LINK


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Server]:
    with stores.moto() as found:
        yield found


def sibling(server: stores.Server, engine: S3Engine) -> S3Engine:
    """The same bucket, as another mount that knows nothing yet."""
    other = server.engine(engine._client.bucket)
    other._store.rely_on(engine.abilities)
    return other


async def pair(engine: S3Engine, one: bytes = b"folder/one", two: bytes = b"folder/two") -> list[Grouped]:
    first = await engine.put(at(one), b"bytes", attributes(), expected=ABSENT, token="m:1", link_id=LINK)
    second = await engine.copy(
        at(one), at(two), version=first, attributes=attributes(), expected=ABSENT, token="m:2", link_id=LINK
    )
    names = [Grouped(at(one), first), Grouped(at(two), second)]
    assert await engine.group(LINK, names, attributes()) == 2
    return names


async def told(engine: S3Engine, container: bytes = b"folder") -> tuple[dict[bytes, EntryInfo], Counter[str]]:
    """A listing, and the requests that it cost."""
    before = Counter(engine.requests)
    found = await listing(engine, container)
    return found, Counter(engine.requests) - before


def are_one(found: dict[bytes, EntryInfo], *names: bytes) -> bool:
    return {(found[name].link_id, found[name].links) for name in names} == {(LINK, len(names))}


def is_lone(info: EntryInfo) -> bool:
    return (info.link_id, info.links) == ("", 1)


async def test_a_group_of_new_names_is_one_request_and_told_again_none(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        before = Counter(engine.requests)
        names = await pair(engine)
        spent = Counter(engine.requests) - before
        assert spent["put"] == 2 and spent["copy"] == 1 and not spent["get"]
        before = Counter(engine.requests)
        await engine.group(LINK, names, attributes())
        assert not Counter(engine.requests) - before


async def test_an_indexed_container_tells_its_links_without_asking_for_them(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await make(engine, b"folder")
        await pair(engine)
        await put(engine, b"folder/three", token="m:3")
        assert await engine.upkeep(everything=True) is None
        other = sibling(server, engine)
        found, requests = await told(other)
        assert requests == {"list": 1, "get": 1}  # of the index
        assert are_one(found, b"one", b"two") and is_lone(found[b"three"])
        for name, entry in found.items():
            assert entry == await other.stat(EntryPath(b"folder", name))


async def test_without_an_index_a_group_costs_one_request_and_other_files_none(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await make(engine, b"folder")
        await pair(engine)
        for number in range(3):
            await put(engine, b"folder/%d" % number, token=f"m:{number}")
        found, requests = await told(sibling(server, engine))
        assert are_one(found, b"one", b"two")
        assert requests["head"] == 5 and requests["get"] <= 3  # the index that is not there, and the registry


async def test_a_copy_that_others_made_with_all_metadata_is_no_link(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await pair(engine)
        bucket = engine._client.bucket
        server.client().copy_object(
            Bucket=bucket, Key="folder/copy", CopySource={"Bucket": bucket, "Key": "folder/one"}
        )
        for mount in (engine, sibling(server, engine)):
            found, _ = await told(mount)
            assert found[b"copy"].version == found[b"one"].version
            assert is_lone(found[b"copy"]) and are_one(found, b"one", b"two")


async def test_a_name_that_others_wrote_with_its_metadata_is_split_off(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await pair(engine)
        s3, bucket = server.client(), engine._client.bucket
        metadata = s3.head_object(Bucket=bucket, Key="folder/two")["Metadata"]
        assert metadata["vaultaire-link"] == LINK
        s3.put_object(Bucket=bucket, Key="folder/two", Body=b"edited", Metadata=metadata)
        for mount in (engine, sibling(server, engine)):
            assert is_lone((await told(mount))[0][b"two"])


@pytest.mark.parametrize("damage", [b"", b"garbage", b"VFSLNK1\n\0\0\0\0", pack("other", {b"folder/one": "x"})])
async def test_a_damaged_registry_makes_separate_files_and_is_written_anew(
    server: stores.Server, damage: bytes
) -> None:
    async with stores.opened(server) as engine:
        names = await pair(engine)
        server.client().put_object(Bucket=engine._client.bucket, Key=REGISTRY, Body=damage)
        other = sibling(server, engine)
        found, _ = await told(other)
        assert is_lone(found[b"one"]) and is_lone(found[b"two"])
        assert await other.group(LINK, names, attributes()) == 2
        found, _ = await told(sibling(server, engine))
        assert are_one(found, b"one", b"two")


async def test_a_registry_that_another_mount_wrote_or_removed_meanwhile_is_merged(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        names = await pair(engine)
        other = sibling(server, engine)
        third = await other.copy(
            names[0].path,
            at(b"folder/three"),
            version=names[0].version,
            attributes=attributes(),
            expected=ABSENT,
            token="n:1",
            link_id=LINK,
        )
        assert await other.group(LINK, [names[0], Grouped(at(b"folder/three"), third)], attributes()) == 3
        fourth = await engine.copy(
            names[0].path,
            at(b"folder/four"),
            version=names[0].version,
            attributes=attributes(),
            expected=ABSENT,
            token="m:4",
            link_id=LINK,
        )
        ours = [*names, Grouped(at(b"folder/four"), fourth)]
        assert await engine.group(LINK, ours, attributes()) == 4
        server.client().delete_object(Bucket=engine._client.bucket, Key=REGISTRY)
        newer = await engine.put(
            names[0].path, b"newer", attributes(), expected=names[0].version, token="m:5", link_id=LINK
        )
        assert await engine.group(LINK, [Grouped(names[0].path, newer), *ours[1:]], attributes()) == 3


async def test_a_group_of_one_leaves_no_registry_and_its_file_costs_no_look_in_an_index(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await make(engine, b"folder")
        names = await pair(engine)
        await put(engine, b"folder/three", token="m:3")
        assert await engine.delete([Deletion(names[1].path, names[1].version)]) == [None]
        before = Counter(engine.requests)
        assert await engine.group(LINK, names[:1], attributes()) < 2
        assert Counter(engine.requests) - before == {"delete": 1}
        await engine.upkeep(everything=True)
        found, requests = await told(sibling(server, engine))
        assert requests == {"list": 1, "get": 1} and is_lone(found[b"one"])


def test_what_is_packed_is_read_again_and_nothing_else() -> None:
    members = {b"a": "1", b"b/\xff": "2"}
    assert unpack(pack(LINK, members), LINK) == members
    assert unpack(pack(LINK, members), "ff") == {}
    assert unpack(pack(LINK, members)[:-1], LINK) == {}
