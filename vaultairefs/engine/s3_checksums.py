"""What lets a store verify the body of a request.  Pure but for reading the body."""

import base64
import hashlib
import zlib

from vaultairefs.engine.s3_client import FileRange


def checksum_headers(kind: str, body: bytes | FileRange) -> dict[str, str]:
    """``kind`` is what the probe found the store to verify: ``md5``, ``crc32`` or nothing."""
    if not kind:
        return {}
    blocks = (body,) if isinstance(body, bytes) else body.blocks()
    if kind == "crc32":
        crc = 0
        for block in blocks:
            crc = zlib.crc32(block, crc)
        return {"x-amz-checksum-crc32": base64.b64encode(crc.to_bytes(4, "big")).decode()}
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return {"content-md5": base64.b64encode(digest.digest()).decode()}
