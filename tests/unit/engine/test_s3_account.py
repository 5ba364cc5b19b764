"""``s3://`` mounts the account: buckets are the top-level containers, and stay apart."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.engine_contract.given import at, attributes, content_of, copy, listing, make, names, put
from tests.support import stores
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.s3_account import S3Account
from vaultairefs.model.errors import ContainerNotEmpty, CrossesVolumes, InvalidRequest, NotFound, NotPermitted
from vaultairefs.model.values import ANY, Kind


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


@pytest.fixture
async def account(server: stores.Server) -> AsyncIterator[S3Account]:
    engine = server.account()
    yield engine
    await engine.close()


async def test_the_top_lists_the_buckets(account: S3Account, server: stores.Server) -> None:
    bucket = server.new_bucket().encode()
    found = await listing(account)
    assert found[bucket].attributes.kind is Kind.CONTAINER
    assert (await account.stat(at(bucket))).version == found[bucket].version
    assert (await account.stat(at(b""))).attributes.kind is Kind.CONTAINER
    assert await names(account, bucket) == set()


async def test_making_a_container_at_the_top_makes_a_bucket_and_removing_it_removes_that(account: S3Account) -> None:
    await make(account, b"new-bucket")
    assert b"new-bucket" in await names(account)
    await put(account, b"new-bucket/file", b"bytes")
    with pytest.raises(ContainerNotEmpty):
        await account.delete_container(b"new-bucket")
    await account.delete([Deletion(at(b"new-bucket/file"))])
    await account.delete_container(b"new-bucket")
    assert b"new-bucket" not in await names(account)
    with pytest.raises(NotFound):
        await account.list(b"new-bucket")


async def test_a_bucket_keeps_attributes(account: S3Account) -> None:
    await make(account, b"with-attributes")
    identity = (await account.stat(at(b"with-attributes"))).version
    wanted = attributes(Kind.CONTAINER, 0o700)
    assert await account.set_attributes(at(b"with-attributes"), wanted, expected=ANY) == identity
    assert (await account.stat(at(b"with-attributes"))).attributes.mode == 0o700


async def test_artifacts_live_in_buckets_only(account: S3Account, server: stores.Server) -> None:
    bucket = server.new_bucket().encode()
    with pytest.raises(NotPermitted):
        await put(account, b"file", b"bytes")
    version = await put(account, bucket + b"/a/file", b"bytes", token="m:1:1")
    assert await content_of(account, bucket + b"/a/file", version) == b"bytes"
    copied = await copy(account, bucket + b"/a/file", bucket + b"/other", version)
    assert await content_of(account, bucket + b"/other", copied) == b"bytes"


async def test_nothing_is_copied_from_bucket_to_bucket(account: S3Account, server: stores.Server) -> None:
    one, two = (server.new_bucket().encode() for _ in range(2))
    version = await put(account, one + b"/file", b"bytes")
    with pytest.raises(CrossesVolumes):
        await copy(account, one + b"/file", two + b"/file", version)
    assert await names(account, two) == set()


@pytest.mark.parametrize("name", [b"a", b"Under_Score!", b"with space", b"\xff\xff\xff"])
async def test_what_cannot_be_a_bucket_is_refused(account: S3Account, name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await make(account, name)
