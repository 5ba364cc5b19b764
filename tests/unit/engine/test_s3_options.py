"""``s3://`` SPECs and their options: understood, or refused in one sentence."""

import base64
from pathlib import Path

import pytest

from vaultairefs.engine.registry import open_engine
from vaultairefs.engine.s3 import S3Engine
from vaultairefs.engine.s3_account import S3Account
from vaultairefs.engine.s3_options import Login, parse
from vaultairefs.engine.s3_policy import Policy
from vaultairefs.model.errors import BadInput

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "s",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that lead nowhere, and none of the machine's own configuration."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("spec", "tenant", "bucket", "base"),
    [
        ("s3://bucket", None, "bucket", b""),
        ("S3://bucket/", None, "bucket", b""),
        ("s3://bucket/a/b/", None, "bucket", b"a/b/"),
        ("s3://bucket", "acme", "bucket", b"t-acme/"),
        ("s3://bucket/a", "acme", "bucket", b"a/t-acme/"),
        ("s3://", None, "", b""),
    ],
)
def test_a_spec_names_bucket_and_prefix(spec: str, tenant: str | None, bucket: str, base: bytes) -> None:
    found = parse(spec, tenant, {})
    assert (found.bucket, found.base) == (bucket, base)


@pytest.mark.parametrize(
    ("spec", "tenant", "options"),
    [
        ("s3:bucket", None, {}),
        ("s3://-bad", None, {}),
        ("s3://bucket/a//b", None, {}),
        ("s3://bucket/../b", None, {}),
        ("s3://bucket/" + "p" * 400, None, {}),
        ("s3://", "acme", {}),
        ("s3://bucket", None, {"endpoint_url": "localhost:9000"}),
        ("s3://bucket", None, {"max_requests": "0"}),
        ("s3://bucket", None, {"max_requests": "many"}),
        ("s3://bucket", None, {"addressing_style": "diagonal"}),
        ("s3://bucket", None, {"buckets": "3"}),
        ("s3://bucket", None, {"passwd_file": "/no/such/file"}),
        ("s3://bucket", None, {"profile": "no-such-profile"}),
        ("s3://bucket", None, {"sse": "rot13"}),
        ("s3://bucket", None, {"sse": "/no/such/key"}),
        ("s3://bucket", None, {"storage_class": "no class: at all"}),
    ],
)
def test_what_cannot_be_is_one_sentence(spec: str, tenant: str | None, options: dict[str, str]) -> None:
    with pytest.raises(BadInput) as caught:
        open_engine(spec, tenant, options=options)
    assert "\n" not in str(caught.value)


async def test_the_registry_opens_buckets_and_accounts() -> None:
    one, all_ = open_engine("s3://bucket/p", "t"), open_engine("s3://")
    assert isinstance(one, S3Engine) and isinstance(all_, S3Account)
    assert one.identity.startswith("s3://bucket/p/t-t at https://")
    await one.close()
    await all_.close()


def test_without_credentials_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(BadInput, match="credentials"):
        open_engine("s3://bucket")


@pytest.mark.parametrize("engine", ["memory:", "file:///"])
def test_other_engines_refuse_these_options(engine: str) -> None:
    with pytest.raises(BadInput, match="region"):
        open_engine(engine, None, options={"region": "here"})


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("AK:SK\n", Login("AK", "SK")),
        ("# comment\n\nAK:SK", Login("AK", "SK")),
        ("other:A:B\nbucket:C:D\nAK:SK", Login("C", "D")),
        ("other:A:B\nAK:SK", Login("AK", "SK")),
    ],
)
def test_a_passwd_file_is_s3fss(tmp_path: Path, text: str, login: Login) -> None:
    file = tmp_path / "passwd"
    file.touch(mode=0o600)
    file.write_text(text)
    assert parse("s3://bucket", None, {"passwd_file": str(file)}).login == login


@pytest.mark.parametrize(("text", "mode"), [("AK:SK", 0o640), ("AK:SK", 0o604), ("nonsense", 0o600), ("o:A:B", 0o600)])
def test_a_passwd_file_that_others_read_or_that_says_nothing_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    file = tmp_path / "passwd"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(BadInput, match="passwd_file"):
        parse("s3://bucket", None, {"passwd_file": str(file)})


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        ({}, Policy()),
        ({"sse": "AES256", "storage_class": "STANDARD_IA"}, Policy("AES256", storage_class="STANDARD_IA")),
        ({"sse": "aws:kms"}, Policy("aws:kms")),
        ({"sse": "aws:kms:arn:aws:kms:eu-west-1:1:key/a"}, Policy("aws:kms", "arn:aws:kms:eu-west-1:1:key/a")),
        ({"requester_pays": "", "unsigned_payload": ""}, Policy(requester_pays=True, unsigned_payload=True)),
    ],
)
def test_how_objects_are_stored_and_who_pays_is_said_by_options(options: dict[str, str], policy: Policy) -> None:
    assert parse("s3://bucket", None, options).policy == policy


@pytest.mark.parametrize("text", [bytes(range(32)), base64.b64encode(bytes(range(32))) + b"\n"])
def test_a_customers_key_is_read_from_a_private_file(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_bytes(text)
    assert parse("s3://bucket", None, {"sse": str(file)}).policy == Policy(customer_key=bytes(range(32)))
    file.chmod(0o640)
    with pytest.raises(BadInput, match="0600"):
        parse("s3://bucket", None, {"sse": str(file)})


@pytest.mark.parametrize("text", [b"", b"short", bytes(33), base64.b64encode(bytes(31))])
def test_a_customers_key_of_another_length_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_bytes(text)
    with pytest.raises(BadInput, match="32 bytes"):
        parse("s3://bucket", None, {"sse": str(file)})


async def test_addressing_follows_boto3() -> None:
    virtual = open_engine("s3://bucket", None, options={"region": "eu-west-1"})
    dotted = open_engine("s3://my.bucket", None, options={"region": "eu-west-1"})
    local = open_engine("s3://bucket", None, options={"endpoint_url": "http://127.0.0.1:1/base"})
    sites = [engine._client._site for engine in (virtual, dotted, local)]
    assert [(site.host, site.path) for site in sites] == [
        ("bucket.s3.eu-west-1.amazonaws.com", ""),
        ("s3.eu-west-1.amazonaws.com", "/my.bucket"),
        ("127.0.0.1:1", "/base/bucket"),
    ]
    for engine in (virtual, dotted, local):
        await engine.close()


async def test_a_proxy_is_asked_for_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    plain = open_engine("s3://bucket", None, options={"endpoint_url": "http://store:9000", "addressing_style": "path"})
    tls = open_engine("s3://bucket", None, options={"endpoint_url": "https://store:9000", "addressing_style": "path"})
    one, two = plain._client._site, tls._client._site
    assert (one.origin.host, one.root, one.path) == ("proxy", "http://store:9000/bucket", "/bucket")
    assert (two.origin.host, two.origin.tunnel, two.root) == ("proxy", "store:9000", "/bucket")
    await plain.close()
    await tls.close()
