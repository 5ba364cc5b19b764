"""Signs requests with botocore's own Signature Version 4, without the objects that boto3 builds around it.

Promise: what is signed is what is sent: the path, query and headers exactly as given.  Thread-safe.
"""

import datetime
import hashlib
from typing import Any, Final, NamedTuple

from botocore.auth import S3SigV4Auth
from botocore.credentials import Credentials, ReadOnlyCredentials

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = hashlib.sha256().hexdigest()


class _Moment(NamedTuple):
    """The one field of a request that botocore's signature reads."""

    context: dict[str, str]


class Signer:
    """Signs for one region with the credentials of the moment."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._credentials = credentials
        self._region = region

    def sign(self, method: str, path: str, query: str, headers: dict[str, str], payload_sha256: str) -> dict[str, str]:
        """The headers to send.

        ``headers`` have lower-case names, values without surrounding or doubled blanks, and ``host``; ``path`` and
        ``query`` are percent-encoded, the query's parameters sorted.
        """
        frozen: ReadOnlyCredentials = self._credentials.get_frozen_credentials()
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = dict(headers)
        signed["x-amz-date"] = now
        signed["x-amz-content-sha256"] = payload_sha256
        if frozen.token:
            signed["x-amz-security-token"] = frozen.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join([f"{name}:{signed[name]}\n" for name in names])
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{payload_sha256}"
        signer = S3SigV4Auth(frozen, "s3", self._region)
        subject: Any = _Moment({"timestamp": now})
        signature = signer.signature(signer.string_to_sign(subject, canonical), subject)
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.scope(subject)}, SignedHeaders={listed}, Signature={signature}"
        )
        return signed
