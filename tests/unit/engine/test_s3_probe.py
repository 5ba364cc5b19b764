"""The probe finds out what each server does, whatever it says, and leaves nothing; a lying store costs no byte."""

from collections.abc import Iterator

import pytest

from tests.engine_contract.given import at, attributes, body, content_of, listing, make, names, put
from tests.support import stores
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_findings import findings_of
from vaultairefs.model.errors import BadInput, Conflict, Unavailable
from vaultairefs.model.values import ANY, EntryPath, Version


@pytest.fixture(scope="module")
def moto() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


@pytest.fixture(scope="module")
def rclone() -> Iterator[stores.Server]:
    with stores.rclone() as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> stores.Server:
    found: stores.Server = request.getfixturevalue(request.param)
    return found


async def test_nothing_of_the_probe_is_left(server: stores.Server) -> None:
    bucket = server.new_bucket()
    engine = server.engine(bucket, b"pre/")
    await engine.probe()
    await engine.close()
    client = server.client()
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


async def test_moto_is_found_out(moto: stores.Server) -> None:
    engine = moto.engine(moto.new_bucket())
    capabilities = await engine.probe()
    assert capabilities.conditional
    found = engine.abilities
    assert found.markers and found.put_absent and found.put_version and found.read_version and found.bulk_delete
    assert not (found.copy_absent or found.copy_version or found.copy_source or found.part_copy)
    await engine.close()


def test_a_store_that_honours_everything_is_degraded_in_nothing() -> None:
    everything = dict.fromkeys(Abilities.__struct_fields__, True)
    texts = {"copy_source": "x-amz-copy-source-if-match", "checksum": "crc32", "key_bytes_max": 1024}
    assert [found for found in findings_of(Abilities(**everything | texts)) if found.is_degraded] == []


def test_an_ability_that_is_missing_is_told() -> None:
    """Each finding that can be worse is worse on a store without anything."""
    nothing = {found.subject for found in findings_of(Abilities(copied_metadata=False)) if found.is_degraded}
    assert nothing >= {"put of a new name", "copy over a version", "delete of one version", "longest key"}
    assert "checks of what is sent" in nothing


async def test_a_store_that_heeds_no_condition_is_found_out(rclone: stores.Server) -> None:
    engine = rclone.engine(rclone.new_bucket())
    capabilities = await engine.probe()
    assert not capabilities.conditional
    assert engine.abilities == Abilities(
        markers=False,
        copied_metadata=False,
        digests=True,
        bulk_delete=True,
        key_bytes_max=1024,
        checksum="md5",
        tells_modified=True,
    )
    assert {"put of a new name", "put over a version", "copy of one version"} <= set(capabilities.degraded)
    told = {finding.subject: finding.found for finding in capabilities.findings}
    assert told["put over a version"] == "best effort" and told["delete of many"] == "at once"
    await engine.close()


async def test_what_was_found_holds_in_another_process_without_asking(server: stores.Server) -> None:
    bucket = server.new_bucket()
    one, other = server.engine(bucket), server.engine(bucket)
    await one.probe()
    await put(one, b"implicit/a")
    other.rely_on(one.knowledge())
    assert not other.requests
    assert other.abilities == one.abilities
    assert other.capabilities == one.capabilities
    await put(other, b"implicit/b")
    assert (await listing(other)) == (await listing(one))
    assert other.knowledge() == one.knowledge()
    await one.close()
    await other.close()


async def test_on_a_lying_store_no_foreign_byte_is_overwritten_and_no_wrong_one_read(rclone: stores.Server) -> None:
    """Each condition is checked right before, and each answer's version before its bytes are used."""
    async with stores.opened(rclone) as engine:
        version = await put(engine, b"file", b"ours", token="m:1:1")
        rclone.client().put_object(Bucket=engine._client.bucket, Key="file", Body=b"theirs")
        for expected in (Version(""), version):
            with pytest.raises(Conflict):
                await put(engine, b"file", b"newer", expected=expected, token="m:1:2")
        with pytest.raises(Conflict):
            await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=version)
        with body(b"....") as descriptor, pytest.raises(Conflict):
            await engine.read(at(b"file"), version, 0, 4, descriptor, 0)
        assert await content_of(engine, b"file") == b"theirs"


async def test_where_copies_lose_metadata_the_bytes_are_sent_again(rclone: stores.Server) -> None:
    async with stores.opened(rclone) as engine:
        version = await put(engine, b"file", b"bytes" * 1000)
        wanted = attributes(mode=0o600, xattrs={b"user.a": b"b"})
        version = await engine.set_attributes(at(b"file"), wanted, expected=version)
        assert (await engine.stat(at(b"file"))).attributes == wanted
        await engine.copy(
            at(b"file"), at(b"copy"), version=version, attributes=None, expected=Version(""), token="m:1:2"
        )
        assert (await engine.stat(at(b"copy"))).attributes == wanted
        assert await content_of(engine, b"copy") == b"bytes" * 1000


async def test_on_a_lying_store_a_container_never_takes_a_files_place(rclone: stores.Server) -> None:
    """PUT of ``x/`` would overwrite ``x`` there."""
    async with stores.opened(rclone) as engine:
        await put(engine, b"x", b"precious")
        with pytest.raises(Unavailable):
            await make(engine, b"x")
        assert await content_of(engine, b"x") == b"precious"
        await make(engine, b"folder")
        assert await names(engine, b"folder") == set()
        await engine.delete_container(b"folder")
        assert set(await listing(engine)) == {b"x"}


async def test_on_a_store_with_one_object_for_both_a_deep_container_is_found_from_above(rclone: stores.Server) -> None:
    """Its entries lie apart from it: its own object must be where its parent's listing shows it."""
    async with stores.opened(rclone) as engine:
        chain = [b"/".join([b"d" * 200] * depth) for depth in range(1, 6)]
        for container in chain:
            await make(engine, container)
        await put(engine, chain[-1] + b"/file", b"bytes")
        for container in chain[:-1]:
            assert await names(engine, container) == {b"d" * 200}
        assert await names(engine, chain[-1]) == {b"file"}
        await engine.delete([Deletion(EntryPath(chain[-1], b"file"))])
        for container in reversed(chain):
            await engine.delete_container(container)
        assert "Contents" not in rclone.client().list_objects_v2(Bucket=engine._client.bucket)


@pytest.mark.parametrize("wrong", ["no such bucket", "wrong key", "nobody there"])
async def test_what_cannot_work_is_said_in_one_sentence(moto: stores.Server, rclone: stores.Server, wrong: str) -> None:
    if wrong == "no such bucket":
        engine = moto.engine("no-such-bucket")
    elif wrong == "wrong key":
        engine = rclone._replace(access_key="stranger").engine(rclone.new_bucket())
    else:
        engine = moto._replace(endpoint_url="http://127.0.0.1:9").engine("bucket")
        engine._client._sleep = lambda seconds: None
    with pytest.raises((BadInput, Unavailable)) as caught:
        await engine.probe()
    assert "\n" not in caught.value.args[0]
    if wrong != "nobody there":
        assert isinstance(caught.value, BadInput)
    await engine.close()


def test_any_is_never_a_condition(moto: stores.Server) -> None:
    engine = moto.engine("bucket")
    assert engine._store.conditions(ANY) == {}
