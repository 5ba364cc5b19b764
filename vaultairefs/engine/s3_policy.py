"""How objects are to be stored and who pays: encryption, storage class, requester-pays, as headers by operation.

Promise: whatever writes an object says it, whatever reads an object of ours can, and a copy can read its source.  What
an option asks for wins over what the source of a copy had; without the option a copy keeps what its source had.  Pure.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

_SSE: Final = "x-amz-server-side-encryption"
_KMS_KEY: Final = "x-amz-server-side-encryption-aws-kms-key-id"
_CUSTOMER: Final = "x-amz-server-side-encryption-customer-"
_SOURCE_CUSTOMER: Final = "x-amz-copy-source-server-side-encryption-customer-"
_STORAGE_CLASS: Final = "x-amz-storage-class"
_WRITES: Final = frozenset({"put", "begin-upload", "copy"})
_NEW: Final = frozenset({"put", "begin-upload"})
_READS: Final = frozenset({"head", "get"})
_PARTS: Final = frozenset({"put-part", "copy-part"})
_COPIES: Final = frozenset({"copy", "copy-part"})
KMS: Final = "aws:kms"


class Policy(NamedTuple):
    """Empty or None: the store's own defaults."""

    encryption: str = ""
    """``AES256`` or ``aws:kms``: the store has the keys."""
    kms_key: str = ""
    customer_key: bytes = b""
    """32 bytes that only we have; they are sent with each request and kept nowhere."""
    storage_class: str = ""
    requester_pays: bool = False
    unsigned_payload: bool = False
    """Leave bodies out of the signature on plain http, too."""

    def may_be_plain(self, operation: str) -> bool:
        """Whether a store may refuse such a request only because the object was stored without our key."""
        return bool(self.customer_key) and operation in _READS

    def is_plain(self, headers: Mapping[str, str]) -> bool:
        """Whether our key is not the one for an object with these headers."""
        return bool(self.customer_key) and _CUSTOMER + "algorithm" not in headers

    def dressed(self, operation: str, headers: Mapping[str, str], *, plain: bool = False) -> dict[str, str]:
        """The headers with what the policy adds; ``plain``: what is read or copied was stored without our key."""
        said = dict(headers)
        if self.requester_pays:
            said["x-amz-request-payer"] = "requester"
        if operation in _WRITES and (self.encryption or self.customer_key):
            for name in (_SSE, _KMS_KEY, _SSE + "-bucket-key-enabled"):
                said.pop(name, None)
        if operation in _WRITES and self.encryption:
            said[_SSE] = self.encryption
            if self.kms_key:
                said[_KMS_KEY] = self.kms_key
        if operation in _NEW and self.storage_class:
            said.setdefault(_STORAGE_CLASS, self.storage_class)
        if self.customer_key and (operation in _WRITES | _PARTS or (operation in _READS and not plain)):
            said.update(self._key_headers(_CUSTOMER))
        if self.customer_key and operation in _COPIES and not plain:
            said.update(self._key_headers(_SOURCE_CUSTOMER))
        return said

    def _key_headers(self, prefix: str) -> dict[str, str]:
        key, digest = self.customer_key, hashlib.md5(self.customer_key, usedforsecurity=False).digest()
        return {
            prefix + "algorithm": "AES256",
            prefix + "key": base64.b64encode(key).decode(),
            prefix + "key-md5": base64.b64encode(digest).decode(),
        }
