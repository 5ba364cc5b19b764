"""The files of an event log: segments, of which the rotated ones are compressed."""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from vaultairefs.disk import segment_file
from vaultairefs.disk.durable import replace_by_parts, unlink
from vaultairefs.disk.os_errors import translated
from vaultairefs.disk.segment_scan import segment_name, segment_of
from vaultairefs.model.errors import Corrupt, NotFound

PREFIX: Final = "events"
PACKED_SUFFIX: Final = ".log.gz"
_LEVEL: Final = 6
_GZIP_WBITS: Final = 31


def plain_path(directory: Path, segment: int) -> Path:
    """Where the segment lies as it was written."""
    return directory / segment_name(PREFIX, segment)


def packed_path(directory: Path, segment: int) -> Path:
    """Where the segment lies when it is compressed."""
    return directory / segment_name(PREFIX, segment, PACKED_SUFFIX)


def list_segments(directory: Path) -> list[int]:
    """The first sequences of all segments, plain or compressed, ascending."""
    with translated("scandir"):
        names = os.listdir(directory)
    found = {segment_of(name, PREFIX) or segment_of(name, PREFIX, PACKED_SUFFIX) for name in names}
    return sorted(segment for segment in found if segment is not None)


def load(directory: Path, segment: int) -> bytes:
    """The bytes of a segment, whichever way it is kept.  ``NotFound`` once it was dropped; ``Corrupt``."""
    try:
        return segment_file.load(plain_path(directory, segment))
    except NotFound:
        packed = segment_file.load(packed_path(directory, segment))
    try:
        return gzip.decompress(packed)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Corrupt(f"the compressed event segment {segment} is damaged: {error}", operation="read") from error


def pack(directory: Path, segment: int) -> None:
    """Compress a rotated segment (blocking).

    The compressed file is durable under its name before the plain one goes, so a crash leaves one or both.  A piece
    is held at a time: whole segments, each in another worker thread, stay with the allocator of each thread.
    """
    plain = plain_path(directory, segment)
    replace_by_parts(packed_path(directory, segment), _compressed(segment_file.pieces(plain)))
    unlink(plain, missing_ok=True)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A gzip file (RFC 1952) without a time, so that the same events give the same bytes."""
    compressing = zlib.compressobj(_LEVEL, wbits=_GZIP_WBITS)
    for piece in pieces:
        yield compressing.compress(piece)
    yield compressing.flush()


def packed_segments(directory: Path) -> dict[int, int]:
    """Compressed segments and their sizes in bytes, oldest first."""
    with translated("scandir"), os.scandir(directory) as entries:
        sizes = {
            segment: entry.stat().st_size
            for entry in entries
            if (segment := segment_of(entry.name, PREFIX, PACKED_SUFFIX)) is not None
        }
    return dict(sorted(sizes.items()))


def remove_leftovers(directory: Path) -> None:
    """Temporary files of a compression that a crash ended."""
    for left in directory.glob(f"{PREFIX}-*.tmp"):
        unlink(left, missing_ok=True)
