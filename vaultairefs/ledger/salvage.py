"""What body files are worth after a crash.

Promise after ``kill -9``: every byte counts, because the page cache is intact.  After a power cut: clean bodies are
thrown away (the engine has them); of changed ones counts what is known to be on the disk, and nothing that was only
fetched, or only flushed, can come back as a hole over the engine's good copy.
Blocking; recovery runs it before anything else sees the rooms.
"""

import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from vaultairefs.backlog import Backlog
from vaultairefs.buffer import Body, Buffer, Phase
from vaultairefs.buffer.body import WHOLE_END
from vaultairefs.disk.copying import read_all
from vaultairefs.disk.holes import blank
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import ABSENT, Sequence


class Written(NamedTuple):
    """One ``ExtentsWritten`` of the journal, for the body it went to."""

    body_id: Sequence
    offset: int
    length: int
    checksum: int


def is_clean(body: Body) -> bool:
    """Whether the engine has everything that this body has."""
    return not body.unflushed and body.phase is not Phase.OPEN


def stands_alone(buffer: Buffer, body: Body) -> bool:
    """Whether a changed body counts as it lies on the disk: there is nothing to fall back to, or no need."""
    if not body.complete:
        return False
    if body.base_version == ABSENT or body.base_size < 0:
        return True
    # The size counts, too: an empty file would be covered by nothing at all.
    return body.durable.covers(0, max(file_length(buffer, body), body.size))


def may_have_arrived(backlog: Backlog, buffer: Buffer, body: Body) -> bool:
    """Whether a put of it is in doubt, and nobody has synced it as a whole since that began: then the engine may hold
    all that was ever promised of it."""
    key = backlog.doubts.about_inode(body.ino)
    if key is None or backlog.doubts.begun[key].verb != "put":
        return False
    return not body.durable_ahead.covers(0, max(file_length(buffer, body), body.size, 1))


def file_length(buffer: Buffer, body: Body) -> int:
    """The length of the body's file in bytes; 0 where there is none."""
    status = buffer.stat(body.ino)
    return 0 if status is None else status.st_size


def revert(buffer: Buffer, body: Body, written: list[Written]) -> None:
    """Let the body be partial again: what is surely on the disk over the engine's version."""
    kept, surely_ahead = ExtentSet(body.durable), ExtentSet(body.durable_ahead)
    for offset, length in _verified(buffer, body, written):
        kept.add(offset, offset + length)
    length = file_length(buffer, body)
    for extents in (kept, surely_ahead):
        extents.remove(length if body.phase is Phase.OPEN else min(length, body.size), WHOLE_END)
    end = max((extent.end for extent in kept), default=0)
    size = max(body.base_size, end)
    if length:
        _blank_behind_base(buffer, body, kept, end, size)
    body.phase, body.unflushed, body.size = Phase.CLOSED, True, size
    body.present = ExtentSet(kept)
    body.present.add(body.base_size, size)
    body.complete = body.present.covers(0, size)
    body.dirty = ExtentSet(body.present)
    body.durable, body.durable_ahead = kept, surely_ahead
    if body.complete:
        body.present.clear()


def is_as_stored(backlog: Backlog, body: Body) -> bool:
    """Whether nothing is left of a reverted body but its base, whole and in the engine: there is nothing to send."""
    if body.dirty or not body.size == body.base_size < body.cut:
        return False
    rows = map(backlog.stored, backlog.refs_of(body.ino))
    return any(row is not None and not row.stale and row.version == body.base_version for row in rows)


def _blank_behind_base(buffer: Buffer, body: Body, kept: ExtentSet, end: int, size: int) -> None:
    """What did not survive behind the base reads as zeros; nothing else may be read there."""
    fd = buffer.descriptor(body.ino)
    with translated("truncate"):
        os.ftruncate(fd, end)
        for gap in kept.gaps(body.base_size, end):
            blank(fd, gap.offset, gap.end)
        os.ftruncate(fd, size)


def _verified(buffer: Buffer, body: Body, written: list[Written]) -> Iterator[tuple[int, int]]:
    """The journalled writes that the file still holds, newest first; one that was overwritten cannot be told."""
    later = ExtentSet()
    if buffer.stat(body.ino) is None:
        return
    fd = buffer.descriptor(body.ino)
    for record in reversed(written):
        start, end = record.offset, record.offset + record.length
        if record.body_id != body.body_id:
            continue
        if later.gaps(start, end) == [(start, end - start)]:
            data = read_all(fd, start, record.length)
            if len(data) == record.length and zlib.crc32(data) == record.checksum:
                yield start, record.length
        later.add(start, end)
