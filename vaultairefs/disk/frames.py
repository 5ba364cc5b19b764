"""The bytes of a log segment: one header, then frames, then zeros.

Promise: what is not exactly as it was written is told apart from what is; nothing here reads or writes a file.
``docs/formats/journal.md`` is the same layout in words.
"""

import enum
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from vaultairefs.model.errors import BadInput

MAGIC: Final = b"VAULTLOG"
FRAMING_VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIQ36sI")
_CHECKSUM: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CHECKSUM.size
_FRAME: Final = struct.Struct("<II")
FRAME_BYTES: Final = _FRAME.size


class SegmentHeader(NamedTuple):
    """``first`` is the ordinal of the segment's first frame (dense through the log, from 1); ``boot`` the kernel's
    boot id at its creation; ``content_version`` the owner's format of the payloads; ``seed`` starts each checksum."""

    first: int
    boot: str
    content_version: int
    seed: int


class Tail(enum.Enum):
    """What lies behind the last good frame of a segment."""

    END = "end"
    """Zeros only."""
    TORN = "torn"
    """One frame that was not written whole, and zeros."""
    DAMAGED = "damaged"
    """Anything else: frames may lie behind it that can no longer be told apart."""


def pack_header(first: int, boot: str, content_version: int) -> bytes:
    """The header of a new segment."""
    head = _HEADER.pack(MAGIC, FRAMING_VERSION, first, boot.encode("ascii"), content_version)
    return head + _CHECKSUM.pack(zlib.crc32(head))


def unpack_header(data: bytes, *, content_version: int) -> SegmentHeader | None:
    """The header at the start of ``data``; None where there is none or its checksum fails.

    ``BadInput`` for a segment of a newer program, whose meaning cannot be guessed.
    """
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    head = data[: _HEADER.size]
    (checksum,) = _CHECKSUM.unpack_from(data, _HEADER.size)
    if zlib.crc32(head) != checksum:
        return None
    _, framing, first, boot, content = _HEADER.unpack(head)
    if framing > FRAMING_VERSION or content > content_version:
        raise BadInput("The state directory was written by a newer version of vaultairefs; use that version.")
    return SegmentHeader(first, boot.rstrip(b"\0").decode("ascii", "replace"), content, checksum)


def seed_of(header: bytes) -> int:
    """What starts the checksums of the segment that begins with ``header``."""
    seed: int = _CHECKSUM.unpack_from(header, _HEADER.size)[0]
    return seed


def pack_frame(payload: bytes, seed: int) -> bytes:
    """A frame; its checksum covers the length and, by the seed, the segment that it belongs to."""
    length = len(payload)
    return _FRAME.pack(length, zlib.crc32(payload, seed ^ length)) + payload


def frames(data: bytes, offset: int, seed: int) -> Iterator[tuple[bytes, int]]:
    """The good frames of a segment from ``offset`` on, each with the offset behind it; stops at what is none."""
    unpack, crc32, size = _FRAME.unpack_from, zlib.crc32, len(data)
    while offset + FRAME_BYTES <= size:
        length, checksum = unpack(data, offset)
        start = offset + FRAME_BYTES
        end = start + length
        if length == 0 or end > size:
            return
        payload = data[start:end]
        if crc32(payload, seed ^ length) != checksum:
            return
        yield payload, end
        offset = end


def what_follows(data: bytes, offset: int) -> Tail:
    """Judge the bytes at ``offset``, where ``frames`` stopped."""
    rest = used(data, offset)
    if not rest:
        return Tail.END
    if len(rest) < FRAME_BYTES:
        return Tail.TORN
    length, _ = _FRAME.unpack_from(rest)
    if 0 < length <= len(data) - offset - FRAME_BYTES and len(rest) <= FRAME_BYTES + length:
        return Tail.TORN
    return Tail.DAMAGED


def used(data: bytes, offset: int) -> bytes:
    """The bytes from ``offset`` on, without the zeros of the preallocated space behind them."""
    return data[offset:].rstrip(b"\0")
