"""How objects are stored and who pays is said by every request that has to, and survives copies."""

import base64
import hashlib
from collections.abc import Iterator

import pytest

from tests.engine_contract.given import at, attributes, body, content_of, put
from tests.support import stores
from tests.support.scripted import Answer, answer, refusal, scripted
from vaultairefs.engine import s3_copying
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_policy import Policy
from vaultairefs.model.values import ABSENT, ANY, Version

KEY = bytes(range(32))
SSE = "x-amz-server-side-encryption"
CUSTOMER = {
    "algorithm": "AES256",
    "key": base64.b64encode(KEY).decode(),
    "key-md5": base64.b64encode(hashlib.md5(KEY).digest()).decode(),
}
MINE = {f"{SSE}-customer-{name}": value for name, value in CUSTOMER.items()}
SOURCE = {f"x-amz-copy-source-server-side-encryption-customer-{name}": value for name, value in CUSTOMER.items()}
ABLE = Abilities(
    put_absent=True, commit_absent=True, commit_tells_version=True, copy_source="x-amz-copy-source-if-match"
)
HEAD = {"ETag": '"e"', "content_type": "text/x", "x_amz_meta_vaultaire_token": "m:1:1"}
COPIED = answer(200, b"<CopyObjectResult><ETag>c</ETag></CopyObjectResult>")
BEGUN = answer(200, b"<R><UploadId>u</UploadId></R>")
COMMITTED = answer(200, b"<R><ETag>c</ETag></R>")


@pytest.fixture(scope="module")
def moto() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


async def headers_of(policy: Policy, verb: str, *script: Answer) -> list[dict[str, str]]:
    """The headers of each request that a verb makes, those that encrypt, class or pay only."""
    with scripted(*script) as server:
        engine = stores.Server("scripted", server.url).engine("bucket", policy=policy)
        engine._store.rely_on(ABLE)
        with body(b"a file") as descriptor:
            match verb:
                case "put":
                    await put(engine, b"file", token="m:1:1")
                case "read":
                    await engine.read(at(b"file"), Version("e"), 0, 5, descriptor, 0)
                case "stat":
                    engine._store.objects.head(b"file")
                case "copy":
                    await engine.copy(
                        at(b"file"), at(b"new"), version=Version("e"), attributes=None, expected=ANY, token="m:1:2"
                    )
                case "set_attributes":
                    await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=Version("e"))
                case "upload":
                    upload = await engine.begin_upload(at(b"file"), 6, attributes(), token="m:1:1")
                    receipt = await engine.put_chunk(upload, 0, 0, descriptor, 6)
                    await engine.commit_upload(upload, [receipt], attributes(), expected=ABSENT)
        await engine.close()
    names = (SSE, "x-amz-copy-source-server-side", "x-amz-storage-class", "x-amz-request-payer")
    return [{name: text for name, text in asked.headers.items() if name.startswith(names)} for asked in server.asked]


SCRIPTS: dict[str, tuple[Answer, ...]] = {
    "put": (answer(200, ETag='"e"'),),
    "stat": (answer(200, **HEAD),),
    "read": (answer(206, b"bytes", content_range="bytes 0-4/5", **HEAD),),
    "upload": (BEGUN, answer(200, ETag='"p"'), COMMITTED),
}
MEANT = {f"{SSE}-customer-algorithm".replace("-", "_"): "AES256"}
"""What a store says of an object under a customer's key."""


@pytest.mark.parametrize("verb", SCRIPTS)
async def test_without_a_policy_nothing_is_said(verb: str) -> None:
    assert await headers_of(Policy(), verb, *SCRIPTS[verb]) == [{}] * len(SCRIPTS[verb])


async def test_a_key_of_the_stores_is_named_where_an_object_is_made_and_nowhere_else() -> None:
    policy, said = Policy("aws:kms", "my-key", storage_class="STANDARD_IA"), {SSE: "aws:kms"}
    said |= {f"{SSE}-aws-kms-key-id": "my-key", "x-amz-storage-class": "STANDARD_IA"}
    assert await headers_of(policy, "put", *SCRIPTS["put"]) == [said]
    assert await headers_of(policy, "upload", *SCRIPTS["upload"]) == [said, {}, {}]
    assert await headers_of(policy, "read", *SCRIPTS["read"]) == [{}]
    assert await headers_of(policy, "stat", *SCRIPTS["stat"]) == [{}]


async def test_a_customers_key_is_sent_with_each_request_about_bytes_or_metadata() -> None:
    policy = Policy(customer_key=KEY)
    assert await headers_of(policy, "put", *SCRIPTS["put"]) == [MINE]
    assert await headers_of(policy, "read", *SCRIPTS["read"]) == [MINE]
    assert await headers_of(policy, "stat", *SCRIPTS["stat"]) == [MINE]
    assert await headers_of(policy, "upload", *SCRIPTS["upload"]) == [MINE, MINE, {}]


@pytest.mark.parametrize("verb", ["copy", "set_attributes"])
async def test_a_copy_opens_its_source_with_the_customers_key_and_locks_its_target_with_it(verb: str) -> None:
    asked = await headers_of(Policy(customer_key=KEY), verb, answer(200, **HEAD, **MEANT), COPIED)
    assert asked == [MINE, {**MINE, **SOURCE}]


async def test_an_object_that_was_stored_without_the_customers_key_is_read_without_it() -> None:
    """A store answers 400 then, and a HEAD has no text that says why."""
    asked = await headers_of(Policy(customer_key=KEY), "copy", answer(400), answer(200, **HEAD), COPIED)
    assert asked == [MINE, {}, MINE]
    refused = refusal(400, "InvalidRequest")
    assert await headers_of(Policy(customer_key=KEY), "read", refused, *SCRIPTS["read"]) == [MINE, {}]


@pytest.mark.parametrize("verb", ["copy", "set_attributes"])
async def test_without_a_policy_a_copy_keeps_class_and_encryption_and_with_one_it_takes_on_the_new(verb: str) -> None:
    theirs = {f"{SSE}": "aws:kms", f"{SSE}-aws-kms-key-id": "theirs", "x-amz-storage-class": "GLACIER_IR"}
    head = answer(200, **HEAD, **{name.replace("-", "_"): text for name, text in theirs.items()})
    assert (await headers_of(Policy(), verb, head, COPIED))[1] == theirs
    mine = {SSE: "AES256", "x-amz-storage-class": "GLACIER_IR"}
    assert (await headers_of(Policy("AES256", storage_class="STANDARD_IA"), verb, head, COPIED))[1] == mine


@pytest.mark.parametrize("verb", SCRIPTS)
async def test_who_pays_says_so_with_each_request(verb: str) -> None:
    asked = await headers_of(Policy(requester_pays=True), verb, *SCRIPTS[verb])
    assert asked == [{"x-amz-request-payer": "requester"}] * len(SCRIPTS[verb])


@pytest.mark.parametrize("unsigned", [False, True])
async def test_bodies_are_left_out_of_signatures_only_where_asked(unsigned: bool) -> None:
    with scripted(answer(200, ETag='"e"')) as server:
        engine = stores.Server("scripted", server.url).engine("bucket", policy=Policy(unsigned_payload=unsigned))
        engine._store.rely_on(ABLE)
        await put(engine, b"file", b"bytes")
        await engine.close()
    sha256 = server.asked[0].headers["x-amz-content-sha256"]
    assert sha256 == ("UNSIGNED-PAYLOAD" if unsigned else hashlib.sha256(b"bytes").hexdigest())


async def test_a_store_keeps_what_it_was_told_through_copies(moto: stores.Server) -> None:
    bucket, client = moto.new_bucket(), moto.client()
    engine = moto.engine(bucket, policy=Policy("AES256", storage_class="STANDARD_IA"))
    await engine.probe()
    version = await put(engine, b"file", b"bytes")
    version = await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=version)
    await engine.copy(at(b"file"), at(b"copy"), version=version, attributes=None, expected=ABSENT, token="m:1:2")
    for key in ("file", "copy"):
        head = client.head_object(Bucket=bucket, Key=key)
        assert (head["ServerSideEncryption"], head["StorageClass"]) == ("AES256", "STANDARD_IA")
    await engine.close()


@pytest.mark.parametrize("part_bytes_max", [None, 3], ids=["at once", "by parts"])
async def test_access_and_tags_of_foreign_objects_survive_copies(
    moto: stores.Server, monkeypatch: pytest.MonkeyPatch, part_bytes_max: int | None
) -> None:
    bucket, client = moto.new_bucket(), moto.client()
    client.put_object(Bucket=bucket, Key="file", Body=b"theirs", Tagging="a=b%2Bc&d=e+f", ACL="public-read")
    if part_bytes_max is not None:
        monkeypatch.setattr(s3_copying, "COPY_BYTES_MAX", part_bytes_max)
    async with stores.opened_in(moto, bucket) as engine:
        info = await engine.stat(at(b"file"))
        version = await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=info.version)
        version = await engine.copy(
            at(b"file"), at(b"copy"), version=version, attributes=None, expected=ABSENT, token="m:1:2"
        )
        await engine.set_attributes(at(b"copy"), attributes(mode=0o640), expected=version)
        assert await content_of(engine, b"copy") == b"theirs"
    for key in ("file", "copy"):
        tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "b+c", "d": "e f"}
        grants = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
        assert "READ" in [grant["Permission"] for grant in grants if grant["Grantee"]["Type"] == "Group"]


async def test_nothing_is_asked_about_the_access_of_our_own_objects(moto: stores.Server) -> None:
    async with stores.opened(moto) as engine:
        version = await put(engine, b"file", token="m:1:1")
        before = dict(engine.requests)
        await engine.set_attributes(at(b"file"), attributes(mode=0o600), expected=version)
        assert engine.requests["copy"] - before.get("copy", 0) == 1
        assert "get-acl" not in engine.requests and "get-tagging" not in engine.requests
