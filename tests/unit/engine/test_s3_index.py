"""Index artifacts save requests and never tell anything that is not so."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
import trio

from tests.engine_contract.given import at, attributes, listing, make, put
from tests.support import stores
from vaultairefs.engine import s3_index_format
from vaultairefs.engine.interface import Deletion, EntryInfo
from vaultairefs.engine.s3 import S3Engine
from vaultairefs.engine.s3_copying import PIN
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Reply
from vaultairefs.engine.s3_index import QUIET_SECONDS
from vaultairefs.engine.s3_index_format import Shard, pack, unpack
from vaultairefs.engine.s3_known import Known
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import ABSENT, EntryPath, Kind

NAMES = (b"plain", b"with space", b"not utf-8 \xff", b"n" * 254 + b"\xff", b"line\x01", b"%%25")


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Server]:
    with stores.moto() as found:
        yield found


def sibling(server: stores.Server, engine: S3Engine) -> S3Engine:
    """The same bucket, as another mount that knows nothing yet."""
    other = server.engine(engine._client.bucket)
    other._store.rely_on(engine.abilities)
    return other


async def fill(engine: S3Engine, container: bytes = b"folder") -> None:
    await make(engine, container)
    for number, name in enumerate(NAMES):
        given = attributes(mode=0o600 + number, xattrs={b"user.number": b"%d" % number})
        await engine.put(EntryPath(container, name), b"x" * number, given, expected=ABSENT, token=f"t{number}")
    link = attributes(Kind.SYMLINK, target=b"plain")
    await engine.put(EntryPath(container, b"link"), b"", link, expected=ABSENT, token="l")


async def told(engine: S3Engine, container: bytes = b"folder") -> tuple[dict[bytes, EntryInfo], Counter[str]]:
    """A listing, and the requests that it cost."""
    before = Counter(engine.requests)
    found = await listing(engine, container)
    return found, Counter(engine.requests) - before


async def test_an_indexed_container_is_listed_without_asking_for_any_entry(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        assert await engine.upkeep(everything=True) is None
        other = sibling(server, engine)
        found, requests = await told(other)
        assert requests == {"list": 1, "get": 1}
        assert found.keys() == {*NAMES, b"link"}
        for name, entry in found.items():
            assert entry == await other.stat(EntryPath(b"folder", name))
        again, requests = await told(other)
        assert again == found and requests == {"list": 1}


async def test_what_was_written_here_is_listed_without_asking_for_it(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        found, requests = await told(engine)
        assert requests == {"list": 1}
        expected, _ = await told(sibling(server, engine))
        assert found == expected


async def test_a_foreign_change_of_metadata_alone_is_seen_though_the_etag_stays(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        bucket = engine._client.bucket
        server.client().copy_object(
            Bucket=bucket,
            Key="folder/plain",
            CopySource={"Bucket": bucket, "Key": "folder/plain"},
            Metadata={"mode": str(0o100444), "uid": "7", "gid": "7"},
            MetadataDirective="REPLACE",
        )
        for mount in (engine, sibling(server, engine)):
            found, requests = await told(mount)
            assert found[b"plain"].attributes.mode == 0o444
            assert requests["head"] == 1


async def test_a_row_that_was_learnt_too_soon_is_not_trusted(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        later = engine._client.server_s() + 10
        engine._client.server_s = lambda: later  # type: ignore[method-assign]
        engine._index.write(b"folder/")
        found, requests = await told(sibling(server, engine))
        assert requests["get"] >= 1 and requests["head"] == len(found)


@pytest.mark.parametrize("damage", [b"", b"garbage", b"VFSIDX1\n\0\0\0\0"])
async def test_a_damaged_index_costs_requests_and_is_written_anew(server: stores.Server, damage: bytes) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        key = engine._index.all_keys(b"folder/")[0].decode()
        server.client().put_object(Bucket=engine._client.bucket, Key=key, Body=damage)
        other = sibling(server, engine)
        found, requests = await told(other)
        assert len(found) == len(NAMES) + 1 and requests["head"] == len(found)
        await other.upkeep(everything=True)
        assert (await told(sibling(server, engine)))[1] == {"list": 1, "get": 1}


async def test_two_mounts_write_one_index_together(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        other = sibling(server, engine)
        for name in (b"other 1", b"other 2"):
            await put(other, b"folder/" + name, name)
        await engine.upkeep(everything=True)
        await other.upkeep(everything=True)
        found, requests = await told(sibling(server, engine))
        assert requests == {"list": 1, "get": 1} and len(found) == len(NAMES) + 3


async def test_a_foreign_container_is_asked_for_once(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        for number in range(5):
            server.client().put_object(Bucket=engine._client.bucket, Key=f"theirs/{number}", Body=b"x")
        await trio.sleep(QUIET_SECONDS)  # so long a row may mean another state of the object
        assert (await told(engine, b"theirs"))[1]["head"] == 5
        assert (await told(engine, b"theirs"))[1] == {"list": 1}
        await engine.upkeep(everything=True)
        assert (await told(sibling(server, engine), b"theirs"))[1] == {"list": 1, "get": 1}


async def test_the_index_goes_with_its_container(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        other = sibling(server, engine)
        entries = await listing(other, b"folder")
        await other.delete([Deletion(EntryPath(b"folder", name), info.version) for name, info in entries.items()])
        await other.delete_container(b"folder")
        assert server.client().list_objects_v2(Bucket=engine._client.bucket).get("Contents", []) == []


async def test_a_read_only_mount_writes_no_index(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        other = sibling(server, engine)
        other._read_only = True
        await listing(other, b"folder")
        before = Counter(other.requests)
        assert await other.upkeep(everything=True) is None
        assert Counter(other.requests) == before and not other.capabilities.upkeep


async def test_a_copy_of_what_is_known_costs_one_request_where_sources_are_pinned(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        info = await engine.stat(EntryPath(b"folder", b"plain"))
        before = Counter(engine.requests)
        arguments = {"version": info.version, "attributes": info.attributes, "expected": ABSENT, "token": "c"}
        await engine.copy(EntryPath(b"folder", b"plain"), at(b"copy"), **arguments)
        cost = Counter(engine.requests) - before
        assert cost["copy"] == 1 and (cost.total() == 1 or not engine.abilities.copy_source)
        assert (await engine.stat(at(b"copy"))).attributes == info.attributes


async def test_foreign_metadata_survives_a_copy_of_what_was_known_before_it_came(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        engine._store.rely_on(msgspec.structs.replace(engine.abilities, copy_source=PIN))
        info = await engine.stat(EntryPath(b"folder", b"plain"))
        bucket = engine._client.bucket
        with closing(server.client()) as client:
            old = client.head_object(Bucket=bucket, Key="folder/plain")["Metadata"]
            client.copy_object(
                Bucket=bucket,
                Key="folder/plain",
                CopySource={"Bucket": bucket, "Key": "folder/plain"},
                Metadata={**old, "theirs": "precious"},
                MetadataDirective="REPLACE",
            )
            later = engine._client.server_s() + 10
            engine._client.server_s = lambda: later  # type: ignore[method-assign]
            arguments = {"version": info.version, "attributes": info.attributes, "expected": ABSENT, "token": "c"}
            await engine.copy(EntryPath(b"folder", b"plain"), at(b"copy"), **arguments)
            assert client.head_object(Bucket=bucket, Key="copy")["Metadata"]["theirs"] == "precious"


async def test_a_listed_row_is_known_well_enough_for_a_copy_without_a_look(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        other = sibling(server, engine)
        other._store.rely_on(msgspec.structs.replace(engine.abilities, copy_source=PIN, copy_absent=True))
        found, _ = await told(other)
        info = found[b"plain"]
        before = Counter(other.requests)
        arguments = {"version": info.version, "attributes": info.attributes, "expected": ABSENT, "token": "c"}
        await other.copy(EntryPath(b"folder", b"plain"), EntryPath(b"folder", b"copy"), **arguments)
        assert Counter(other.requests) - before == {"copy": 1}
        assert (await told(other))[1] == {"list": 1}, "the copy is not known"


async def test_a_link_whose_attributes_changed_still_has_its_target(server: stores.Server) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        path = EntryPath(b"folder", b"link")
        info = await engine.stat(path)
        changed = attributes(Kind.SYMLINK, uid=77, target=b"plain")
        await engine.set_attributes(path, changed, expected=info.version)
        for _ in range(2):
            found, _ = await told(engine)
            assert found[b"link"].attributes.target == b"plain" and found[b"link"].attributes.uid == 77
            assert found[b"link"].size == len(b"plain")
            await engine.upkeep(everything=True)
        found, _ = await told(sibling(server, engine))
        assert found[b"link"].attributes.target == b"plain"


@pytest.mark.parametrize(
    "forged",
    [
        {"kind": Kind.CONTAINER},
        {"mode": 0o104755},
        {"uid": -1},
        {"mtime_ns": 1 << 63},
        {"kind": Kind.SYMLINK, "target": b"a\0b"},
        {"kind": Kind.SYMLINK, "target": b""},
    ],
)
async def test_a_row_that_says_what_no_artifact_can_be_is_not_believed(
    server: stores.Server, forged: dict[str, object]
) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        bucket, key = engine._client.bucket, engine._index.all_keys(b"folder/")[0].decode()
        with closing(server.client()) as client:
            shard = unpack(client.get_object(Bucket=bucket, Key=key)["Body"].read(), b"folder/")
            assert shard is not None
            row = msgspec.msgpack.decode(shard.rows[b"plain"], type=Known)
            row = msgspec.structs.replace(row, attributes=msgspec.structs.replace(row.attributes, **forged))
            rows = {**shard.rows, b"plain": msgspec.msgpack.encode(row)}
            client.put_object(Bucket=bucket, Key=key, Body=pack(Shard(b"folder/", 1, 0, rows)))
        other = sibling(server, engine)
        found, requests = await told(other)
        expected = await other.stat(EntryPath(b"folder", b"plain"))
        assert found[b"plain"] == expected and requests["head"] in (0, 1)


async def test_an_index_that_may_not_be_read_costs_requests_and_no_entry(
    server: stores.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        other = sibling(server, engine)
        get = other._store.objects.get

        def refusing(key: bytes, *arguments: object) -> Reply:
            if b"/index/" in key:
                raise Refused(Reply(403, {}, b""), "get")
            return get(key, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(other._store.objects, "get", refusing)
        found, requests = await told(other)
        assert len(found) == len(NAMES) + 1 and requests["head"] == len(found)


async def test_an_index_that_could_not_be_written_is_written_later(
    server: stores.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stores.opened(server) as engine:
        await fill(engine)
        with monkeypatch.context() as patched:

            def lose(*arguments: object, **named: object) -> str:
                raise Lost("the answer")

            patched.setattr(engine._store.objects, "put", lose)
            with pytest.raises(VaultaireError):
                await engine.upkeep(everything=True)
        await engine.upkeep(everything=True)
        assert (await told(sibling(server, engine)))[1] == {"list": 1, "get": 1}


async def test_an_index_that_outgrows_its_shards_leaves_none_behind(
    server: stores.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_index_format, "SHARD_ROWS_MAX", 4)
    async with stores.opened(server) as engine:
        await fill(engine)
        await engine.upkeep(everything=True)
        for number in range(6):
            await put(engine, b"folder/more%d" % number, b"x")
        await engine.upkeep(everything=True)
        bucket = engine._client.bucket
        with closing(server.client()) as client:
            stored = client.list_objects_v2(Bucket=bucket, Prefix=".vaultairefs/index/")["Contents"]
            assert len(stored) == 4
            found, requests = await told(sibling(server, engine))
            assert len(found) == len(NAMES) + 7 and requests == {"list": 1, "get": 4}
            client.delete_object(Bucket=bucket, Key=min(entry["Key"] for entry in stored))
        other = sibling(server, engine)
        await told(other)
        await other.upkeep(everything=True)
        assert (await told(sibling(server, engine)))[1] == {"list": 1, "get": 4}
