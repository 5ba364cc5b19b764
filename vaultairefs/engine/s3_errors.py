"""What an S3 server's refusals mean in our words.

Promise: codes and statuses are decided on, never an error's text.  Pure.
"""

import xml.etree.ElementTree as ElementTree
from typing import Final

from vaultairefs.engine.s3_http import Reply
from vaultairefs.model.errors import (
    AccessDenied,
    BadInput,
    Conflict,
    ContainerNotEmpty,
    Corrupt,
    NameTooLong,
    NotFound,
    NotSupported,
    QuotaExceeded,
    Unavailable,
    VaultaireError,
)

_AGAIN: Final = frozenset(
    {
        "BadDigest",
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentSHA256Mismatch",
    }
)
_STALE_CREDENTIALS: Final = frozenset(["ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"])
_WORDS: Final[dict[str, type[VaultaireError]]] = {
    "NoSuchKey": NotFound,
    "NoSuchUpload": NotFound,
    "PreconditionFailed": Conflict,
    "BucketNotEmpty": ContainerNotEmpty,
    "BucketAlreadyOwnedByYou": Conflict,
    "BucketAlreadyExists": Conflict,
    "KeyTooLongError": NameTooLong,
    "InvalidObjectName": NameTooLong,
    "AccessDenied": AccessDenied,
    "AllAccessDisabled": AccessDenied,
    "InvalidObjectState": AccessDenied,
    "NotImplemented": NotSupported,
    "MethodNotAllowed": NotSupported,
    "QuotaExceeded": QuotaExceeded,
    "EntityTooLarge": QuotaExceeded,
    "XMinioStorageFull": QuotaExceeded,
    "BadDigest": Corrupt,
    "InvalidDigest": Corrupt,
    "XAmzContentSHA256Mismatch": Corrupt,
}
_STATUSES: Final[dict[int, type[VaultaireError]]] = {
    401: AccessDenied,
    403: AccessDenied,
    404: NotFound,
    405: NotSupported,
    409: Unavailable,
    412: Conflict,
    501: NotSupported,
    507: QuotaExceeded,
}


class Refused(Exception):
    """The server answered, and not with success."""

    def __init__(self, reply: Reply, operation: str) -> None:
        self.status = reply.status
        self.code, self.sentence = _read(reply)
        self.operation = operation
        self.retry_after = reply.headers.get("retry-after", "")
        self.region = reply.headers.get("x-amz-bucket-region", "")
        super().__init__(f"{operation}: {reply.status} {self.code}: {self.sentence}")

    @property
    def is_for_now(self) -> bool:
        """Whether the same request may do better later; the server may have done it all the same."""
        return (self.status >= 500 and self.status != 501) or self.status in (408, 429) or self.code in _AGAIN

    @property
    def is_stale_credential(self) -> bool:
        return self.code in _STALE_CREDENTIALS

    @property
    def is_precondition(self) -> bool:
        """Whether a condition of ours did not hold; stores differ in the word for a missing object."""
        return self.status == 412 or (self.status == 304)

    def translated(self) -> VaultaireError:
        """The error in the seam's words."""
        if self.code == "NoSuchBucket":
            return Unavailable("the bucket is gone", operation=self.operation)
        kind = _WORDS.get(self.code) or (Unavailable if self.is_for_now else _STATUSES.get(self.status, Unavailable))
        text = f"the store says {self.status} {self.code}".rstrip() + (f": {self.sentence}" if self.sentence else "")
        return kind(text, operation=self.operation)

    def as_input(self, what: str) -> VaultaireError:
        """The error as an operator's sentence, for the moment when a store is first spoken to."""
        if self.code == "NoSuchBucket" or self.status == 404:
            return BadInput(f"{what}: there is no such bucket")
        if self.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch") or self.is_stale_credential:
            return BadInput(f"{what}: the store does not accept these credentials ({self.code})")
        if self.status in (401, 403):
            return AccessDenied(f"{what}: the store refuses access ({self.code or self.status})")
        return self.translated()


def _read(reply: Reply) -> tuple[str, str]:
    """Code and message of an error document, of whatever namespace; empty where there is none (HEAD)."""
    try:
        root = ElementTree.fromstring(reply.body)
    except ElementTree.ParseError:
        return "", ""
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}
    return found.get("Code", ""), " ".join(found.get("Message", "").split())[:300]


def kind_of_code(code: str) -> type[VaultaireError]:
    """The word for a code that came without a status."""
    return _WORDS.get(code, Unavailable)
