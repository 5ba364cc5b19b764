"""Our canonical form and botocore's own agree, so what we sign is what AWS expects."""

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from vaultairefs.engine.s3_signing import UNSIGNED, Signer

CASES = [
    ("GET", "/bucket/a%20b", "", {}),
    ("PUT", "/bucket/a//b/../%C3%A9%25", "", {"if-match": '"e"', "x-amz-meta-mode": "33188"}),
    ("GET", "/", "delimiter=%2F&list-type=2&prefix=a%20b%2F", {"range": "bytes=0-1"}),
    ("POST", "/bucket/k", "uploads=", {"content-type": "x/y"}),
]


@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize(("method", "path", "query", "headers"), CASES)
def test_the_signature_is_botocores(
    method: str, path: str, query: str, headers: dict[str, str], token: str | None
) -> None:
    credentials = Credentials("access", "secret", token)
    ours = Signer(credentials, "eu-west-1").sign(method, path, query, {"host": "host:1", **headers}, UNSIGNED)
    request = AWSRequest(method, f"http://host:1{path}" + (f"?{query}" if query else ""), headers=dict(headers))
    request.context.update(timestamp=ours["x-amz-date"], payload_signing_enabled=False)
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = UNSIGNED
    if token:
        request.headers["X-Amz-Security-Token"] = token
    signer = S3SigV4Auth(credentials.get_frozen_credentials(), "s3", "eu-west-1")
    canonical = signer.canonical_request(request)
    theirs = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={theirs}")
