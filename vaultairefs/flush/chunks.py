"""Cut a large file into the chunks of an upload, and say which of them the engine has already.

Promise: the chunks follow each other and cover the file exactly, each but the last has one size, that is never under
the engine's smallest nor such that there are more than it takes; a clean one has only bytes that the engine's version
has at the same place.  Pure.
"""

from typing import Final, NamedTuple

from vaultairefs.engine.interface import Capabilities
from vaultairefs.model.extents import ExtentSet

_STEP_BYTES: Final = 1 << 20
"""Chunks that must grow do so in whole steps."""


class Base(NamedTuple):
    """What a file's bytes began from: a version of ``size_bytes`` in the engine, of which ``dirty`` is out of date."""

    size_bytes: int
    dirty: ExtentSet


class Chunk(NamedTuple):
    """Bytes ``offset``.. of the file; ``is_clean``: the base has them."""

    number: int
    offset: int
    length: int
    is_clean: bool


def plan_chunks(size: int, base: Base | None, capabilities: Capabilities) -> list[Chunk]:
    """The chunks of a file of ``size`` bytes; without a base all of them are to be sent."""
    length = chunk_length(size, capabilities)
    chunks = []
    for number, offset in enumerate(range(0, size, length)):
        end = min(offset + length, size)
        chunks.append(Chunk(number, offset, end - offset, base is not None and _is_clean(base, offset, end)))
    return chunks


def chunk_length(size: int, capabilities: Capabilities) -> int:
    """The preferred length, or what it takes to stay within the engine's number of chunks."""
    least = -(-size // capabilities.chunks_max)
    if least > capabilities.chunk_bytes:
        least = -(-least // _STEP_BYTES) * _STEP_BYTES
    return max(capabilities.chunk_bytes, capabilities.chunk_bytes_min, least, 1)


def _is_clean(base: Base, offset: int, end: int) -> bool:
    return end <= base.size_bytes and not any(
        extent.offset < end and offset < extent.offset + extent.length for extent in base.dirty
    )
