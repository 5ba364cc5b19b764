"""What other programs put into a bucket is shown, all of it, under names that lead back to it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.engine_contract.given import at, attributes, content_of, listing, make, names, put
from tests.support import stores
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.s3 import S3Engine
from vaultairefs.model.errors import InvalidRequest, NotFound
from vaultairefs.model.values import ANY, Kind


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


@pytest.fixture
async def engine(server: stores.Server) -> AsyncIterator[S3Engine]:
    async with stores.opened(server) as engine:
        yield engine


@pytest.fixture
def foreign(server: stores.Server, engine: S3Engine) -> Any:
    """Puts objects past the engine: ``foreign(key, body, **boto3 arguments)``."""
    client = server.client()

    def write(key: str, body: bytes = b"foreign", **more: Any) -> None:
        client.put_object(Bucket=engine._client.bucket, Key=key, Body=body, **more)

    return write


async def test_plain_objects_are_files_and_their_prefixes_containers(engine: S3Engine, foreign: Any) -> None:
    foreign("a/b/c.txt")
    foreign("top.txt", b"12345")
    assert await names(engine) == {b"a", b"top.txt"}
    assert await names(engine, b"a") == {b"b"}
    found = (await listing(engine))[b"top.txt"]
    assert (found.attributes.kind, found.attributes.mode, found.size) == (Kind.FILE, 0o644, 5)
    assert found.attributes.mtime_ns > 10**18
    assert (await listing(engine))[b"a"].attributes.kind is Kind.CONTAINER
    assert await content_of(engine, b"a/b/c.txt") == b"foreign"


@pytest.mark.parametrize(
    "key", ["a//b", "//", "/x", "d/./e", "d/../e", "../up", "ctl/a\x01b", "ctl\x7f/x", "%%=", "x/%%41", "sp ace/+&?#"]
)
async def test_odd_keys_are_walked_to_and_read_and_deleted(engine: S3Engine, foreign: Any, key: str) -> None:
    foreign(key, b"odd")
    container, depth = b"", 0
    while True:
        entries = await listing(engine, container)
        if not entries:
            assert key.endswith("/")
            return
        (entry,) = entries.values()
        path = container + b"/" + entry.name if container else entry.name
        if entry.attributes.kind is Kind.FILE:
            break
        container, depth = path, depth + 1
    assert depth == key.count("/")
    assert await content_of(engine, path, entry.version) == b"odd"
    assert await engine.delete([Deletion(at(path), entry.version)]) == [None]
    with pytest.raises(NotFound):
        await engine.stat(at(path))


async def test_an_object_beside_a_prefix_of_its_name_has_another_name_on_every_page(
    server: stores.Server, engine: S3Engine, foreign: Any
) -> None:
    """The prefix ``x/`` may come pages after ``x``: everything with a character below ``/`` lies between."""
    expected = set()
    for number in range(12):
        foreign(f"x-{number:02}")
        expected.add(b"x-%02d" % number)
    foreign("x", b"file")
    foreign("x/inside", b"inside")
    foreign("x-03/inside", b"inside")
    expected |= {b"x", b"x%%file", b"x-03%%file"}
    for page_entries in (2, 3, 4, 5, 7, 1000):
        paged = server.engine(engine._client.bucket, page_entries=page_entries)
        paged._store.rely_on(engine.abilities)
        found = await listing(paged)
        assert set(found) == expected
        assert found[b"x"].attributes.kind is Kind.CONTAINER
        assert await content_of(paged, b"x%%file", found[b"x%%file"].version) == b"file"
        await paged.close()


async def test_a_foreign_marker_is_a_container(engine: S3Engine, foreign: Any) -> None:
    foreign("d/", b"", ContentType="application/x-directory", Metadata={"mode": "16832", "uid": "7", "mtime": "5"})
    found = (await listing(engine))[b"d"]
    assert (found.attributes.kind, found.attributes.mode, found.attributes.uid) == (Kind.CONTAINER, 0o700, 7)
    assert found.attributes.mtime_ns == 5_000_000_000
    assert await names(engine, b"d") == set()
    await engine.delete_container(b"d")
    assert await names(engine) == set()


async def test_a_prefix_without_a_marker_outlives_what_is_in_it(engine: S3Engine, foreign: Any) -> None:
    """rm of the last file in a directory does not remove the directory (unlink(2))."""
    foreign("d/only")
    await listing(engine)
    version = (await listing(engine, b"d"))[b"only"].version
    assert await engine.delete([Deletion(at(b"d/only"), version)]) == [None]
    assert await names(engine) == {b"d"}
    assert await names(engine, b"d") == set()


async def test_what_a_foreign_object_says_beside_attributes_survives_a_change_of_them(
    server: stores.Server, engine: S3Engine, foreign: Any
) -> None:
    foreign(
        "page.html",
        b"<p>",
        ContentType="text/html",
        CacheControl="max-age=5",
        ContentDisposition="inline",
        Metadata={"theirs": "kept", "mode": "33188"},
    )
    await engine.set_attributes(at(b"page.html"), attributes(mode=0o600), expected=ANY)
    head = server.client().head_object(Bucket=engine._client.bucket, Key="page.html")
    assert (head["ContentType"], head["CacheControl"]) == ("text/html", "max-age=5")
    assert head["ContentDisposition"] == "inline"
    assert head["Metadata"]["theirs"] == "kept"
    assert (await engine.stat(at(b"page.html"))).attributes.mode == 0o600


async def test_our_objects_are_plain_and_in_s3fs_form(server: stores.Server, engine: S3Engine) -> None:
    await make(engine, b"dir")
    await put(engine, b"dir/file", b"bytes", given=attributes(mode=0o4751, uid=7, xattrs={b"user.a": b"b"}))
    await put(engine, b"link", given=attributes(Kind.SYMLINK, target=b"dir/file"))
    client, bucket = server.client(), engine._client.bucket
    found = client.get_object(Bucket=bucket, Key="dir/file")
    assert found["Body"].read() == b"bytes"
    assert found["Metadata"]["mode"] == str(0o104751)
    assert (found["Metadata"]["uid"], found["Metadata"]["mtime"]) == ("7", "1700000000.123456789")
    assert found["Metadata"]["xattr"] == "%7B%22user.a%22%3A%22Yg%3D%3D%22%7D"
    link = client.get_object(Bucket=bucket, Key="link")
    assert (link["Body"].read(), link["Metadata"]["mode"]) == (b"dir/file", "41471")
    marker = client.head_object(Bucket=bucket, Key="dir/")
    assert (marker["ContentType"], marker["Metadata"]["mode"]) == ("application/x-directory", "16877")
    keys = {found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {"dir/", "dir/file", "link"}


async def test_a_tenant_sees_nothing_of_another(server: stores.Server) -> None:
    bucket = server.new_bucket()
    one, two = (server.engine(bucket, base) for base in (b"pre/t-one/", b"pre/t-two/"))
    await put(one, b"file", b"one", expected=ANY)
    assert await names(two) == set()
    for path in (b"../t-one/file", b"%%=../t-one/file", b"%%=.."):
        with pytest.raises((InvalidRequest, NotFound)):
            await two.stat(at(path))
    await one.close()
    await two.close()


async def test_a_container_that_others_made_outlives_the_last_container_in_it(engine: S3Engine, foreign: Any) -> None:
    """It exists by what is in it alone, and nobody here removed it."""
    foreign("a/b/c.txt")
    assert await names(engine, b"a") == {b"b"}
    assert await names(engine) == {b"a"}
    assert await engine.delete([Deletion(at(b"a/b/c.txt"))]) == [None]
    await engine.delete_container(b"a/b")
    assert await names(engine, b"a") == set()
    assert await names(engine) == {b"a"}
