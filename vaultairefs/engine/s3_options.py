"""What ``s3://bucket/prefix`` and its options mean.

Promise: pure but for reading the files of ``passwd_file`` and ``sse``; whatever is wrong is a ``BadInput`` in one
sentence.
"""

import base64
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from vaultairefs.engine.s3_keys import BASE_BYTES_MAX
from vaultairefs.engine.s3_policy import KMS, Policy
from vaultairefs.engine.tenancy import namespace_name
from vaultairefs.model.errors import BadInput

MAX_REQUESTS: Final = 64
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_SPEC: Final = re.compile(r"s3://([^/?#]*)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_STYLES: Final = frozenset({"auto", "path", "virtual"})
_OPTIONS: Final = (
    "endpoint_url region profile passwd_file max_requests addressing_style sse storage_class requester_pays "
    "unsigned_payload"
)
OPTIONS: Final = frozenset(_OPTIONS.split())
_CLASS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_BYTES: Final = 32
_FILE_BYTES_MAX: Final = 1 << 20


class Login(NamedTuple):
    """An access key, told by a file."""

    access_key: str
    secret_key: str


class S3Options(NamedTuple):
    """Where and how; None or empty means that boto3's own configuration decides."""

    bucket: str
    base: bytes
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    login: Login | None = None
    max_requests: int = MAX_REQUESTS
    addressing_style: str | None = None
    policy: Policy = Policy()


def parse(spec: str, tenant: str | None, options: Mapping[str, str]) -> S3Options:
    """``BadInput`` for a SPEC or an option that cannot be; an empty bucket means the whole account."""
    unknown = sorted(options.keys() - OPTIONS)
    if unknown:
        raise BadInput(f"option {unknown[0]} means nothing to {spec}")
    bucket, base = _place(spec, tenant)
    style = options.get("addressing_style")
    if style is not None and style not in _STYLES:
        raise BadInput(f"option addressing_style={style}: must be one of {', '.join(sorted(_STYLES))}")
    endpoint = options.get("endpoint_url")
    if endpoint is not None and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", endpoint):
        raise BadInput(f"option endpoint_url={endpoint}: must begin with http:// or https:// and a host")
    passwd_file = options.get("passwd_file")
    return S3Options(
        bucket,
        base,
        endpoint_url=endpoint,
        region=options.get("region"),
        profile=options.get("profile"),
        login=read_passwd_file(passwd_file, bucket) if passwd_file is not None else None,
        max_requests=_count(options.get("max_requests", str(MAX_REQUESTS))),
        addressing_style=style,
        policy=_policy(options),
    )


def _policy(options: Mapping[str, str]) -> Policy:
    sse, storage_class = options.get("sse", ""), options.get("storage_class", "")
    encryption = kms_key = ""
    customer_key = b""
    if sse == "AES256" or sse == KMS:
        encryption = sse
    elif sse.startswith(KMS + ":"):
        encryption, kms_key = KMS, sse.removeprefix(KMS + ":")
    elif sse.startswith("/"):
        customer_key = _read_customer_key(sse)
    elif sse:
        raise BadInput(f"option sse={sse}: must be AES256, {KMS}, {KMS}:KEY-ID or /the/file/of/a/key")
    if storage_class and not _CLASS.fullmatch(storage_class):
        raise BadInput(f"option storage_class={storage_class}: must be a name such as STANDARD_IA")
    return Policy(
        encryption, kms_key, customer_key, storage_class, "requester_pays" in options, "unsigned_payload" in options
    )


def _read_customer_key(path: str) -> bytes:
    """32 bytes, as they are or in Base64; refused when group or others may read them."""
    text = _read_private(f"option sse={path}", path)
    if len(text) != _KEY_BYTES:
        try:
            text = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            text = b""
    if len(text) != _KEY_BYTES:
        raise BadInput(f"option sse={path}: the file must hold {_KEY_BYTES} bytes, as they are or in Base64")
    return text


def _place(spec: str, tenant: str | None) -> tuple[str, bytes]:
    found = _SPEC.fullmatch(spec)
    if found is None:
        raise BadInput(f"{spec}: an S3 engine is written s3://bucket, s3://bucket/prefix or s3:// for all buckets")
    bucket, prefix = found[1], (found[2] or "").strip("/")
    if not bucket:
        if prefix or tenant is not None:
            raise BadInput(f"{spec}: without a bucket there is neither a prefix nor a tenant")
        return "", b""
    if not _BUCKET.fullmatch(bucket):
        raise BadInput(f"{spec}: {bucket} cannot be the name of a bucket")
    base = b"".join(part.encode("utf-8", "surrogateescape") + b"/" for part in prefix.split("/") if prefix)
    if tenant is not None:
        base += namespace_name(tenant).encode() + b"/"
    if len(base) > BASE_BYTES_MAX or b"//" in base or {b".", b".."} & set(base.split(b"/")):
        raise BadInput(f"{spec}: the prefix is longer than {BASE_BYTES_MAX} bytes or has empty or dotted parts")
    try:
        base.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{spec!r}: the prefix is not UTF-8") from None
    return bucket, base


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise BadInput(f"option max_requests={text}: must be a number from 1 to 1024")
    return int(text)


def read_passwd_file(path: str, bucket: str) -> Login:
    """The key in a file as s3fs has it: ``ACCESS:SECRET``, or ``BUCKET:ACCESS:SECRET`` for one bucket alone.

    Refused when group or others may read it.
    """
    option = f"option passwd_file={path}"
    try:
        lines = _read_private(option, path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(f"{option}: it is no text") from error
    general = None
    for line in map(str.strip, lines):
        words = line.split(":")
        if not line or line.startswith("#"):
            continue
        if len(words) == 3 and words[0] == bucket:
            return Login(words[1], words[2])
        if len(words) == 2:
            general = Login(words[0], words[1])
    if general is None:
        raise BadInput(f"option passwd_file={path}: it holds no ACCESS:SECRET that applies here")
    return general


def _read_private(option: str, path: str) -> bytes:
    """A short file that only its owner may read."""
    try:
        with Path(path).open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise BadInput(f"{option}: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadInput(f"{option}: others than its owner may read it; make it mode 0600")
    return text
