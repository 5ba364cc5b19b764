"""How an index artifact is written (``docs/formats/s3-index.md``): shards of rows, compressed, with a checksum.

Promise: what is read is what was written, or ``None``.  Pure.
"""

import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

MAGIC: Final = b"VFSIDX1\n"
SHARD_ROWS_MAX: Final = 10_000
ROW_BYTES_MAX: Final = 4096
"""A larger one (long extended attributes) stays out: its object is asked."""
_UNPACKED_BYTES_MAX: Final = 64 << 20
"""A full shard of the longest rows and names has 43 MB."""


class Shard(msgspec.Struct, array_like=True):
    """``shards``: how many the index has; ``rows``: packed rows by key component."""

    container: bytes
    shards: int
    number: int
    rows: dict[bytes, bytes]


_decoder: Final[msgspec.msgpack.Decoder[Shard]] = msgspec.msgpack.Decoder(Shard)


def pack(shard: Shard) -> bytes:
    """The body of the object."""
    body = zlib.compress(msgspec.msgpack.encode(shard), 1)
    return MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def unpack(data: bytes, container: bytes) -> Shard | None:
    """The inverse; ``None`` for anything else, and for another container's."""
    body = data[len(MAGIC) + 4 :]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : len(MAGIC) + 4] != zlib.crc32(body).to_bytes(4, "big"):
        return None
    try:
        inflating = zlib.decompressobj()
        shard = _decoder.decode(inflating.decompress(body, _UNPACKED_BYTES_MAX))
    except (zlib.error, msgspec.DecodeError):
        return None
    return shard if shard.container == container and 0 <= shard.number < shard.shards else None


def split(container: bytes, rows: Mapping[bytes, bytes], shards: int) -> list[Shard]:
    """The rows in so many shards (a power of two), doubled until each holds few enough on average."""
    while len(rows) > shards * SHARD_ROWS_MAX:
        shards *= 2
    made = [Shard(container, shards, number, {}) for number in range(shards)]
    for component, row in rows.items():
        if len(row) <= ROW_BYTES_MAX:
            made[zlib.crc32(component) % shards].rows[component] = row
    return made
