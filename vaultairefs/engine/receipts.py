"""Receipts of chunks: what ``put_chunk`` answers and ``commit_upload`` checks.

Promise: an upload is published only if its chunks, in their order, cover the artifact from 0 to its size exactly.
"""

from collections.abc import Sequence

from vaultairefs.engine.interface import Upload
from vaultairefs.model.errors import InvalidRequest


def receipt_of(number: int, offset: int, length: int) -> str:
    return f"{number}:{offset}:{length}"


def require_whole(upload: Upload, receipts: Sequence[str], size: int) -> None:
    """``InvalidRequest`` unless the receipts are those of chunks 0.. that follow each other up to ``size`` bytes."""
    end = 0
    for number, receipt in enumerate(receipts):
        try:
            given, offset, length = (int(part) for part in receipt.split(":"))
        except ValueError:
            raise _refusal(upload, f"{receipt!r} is no receipt of a chunk") from None
        if (given, offset) != (number, end):
            raise _refusal(upload, f"chunk {given} at {offset} cannot follow chunk {number - 1} that ends at {end}")
        end += length
    if end != size:
        raise _refusal(upload, f"the chunks hold {end} bytes of {size}")


def _refusal(upload: Upload, sentence: str) -> InvalidRequest:
    return InvalidRequest(
        sentence, container=upload.path.container, artifact=upload.path.name, operation="commit_upload"
    )
