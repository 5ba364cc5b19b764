"""An append-only log of framed records in numbered segment files of preallocated space.

Promise: when ``append`` has returned, ``kill -9`` loses nothing of the record; when ``sync`` has returned, power
loss loses nothing appended before it.  A record that could not be appended leaves no trace.  ``scan`` yields the
records as they were appended, dense and in order, and stops where it can no longer say that, naming the place.
It does not know what a record means, and it deletes only what it is told to.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vaultairefs.disk import frames, segment_file
from vaultairefs.disk.durable import preallocate, sync_data, sync_directory, unlink, write_all
from vaultairefs.disk.os_errors import translate, translated
from vaultairefs.disk.segment_scan import Frame, Position, SegmentScan, segment_name, segment_of
from vaultairefs.model.errors import Corrupt, DeviceFailed, VaultaireError

__all__ = ["Frame", "Position", "SegmentLog"]

_SMALL_SHARE: Final = 16
"""On a nearly full disk a segment of 1/16 of the usual size is tried: removing things must still be possible."""


class SegmentLog:
    """See the module's text.

    ``append`` belongs to one thread; ``sync``, ``delete_before``, ``forget`` and ``size_bytes`` may be used by
    others meanwhile.  Each ``SegmentLog`` begins a segment of its own.
    Invariants: ``_segments`` is sorted and only its last one is appended to; ``_offset`` is the end of the last
    good frame, and everything behind it in the active segment reads as zeros.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        prefix: str,
        *,
        segment_bytes: int,
        boot: str,
        content_version: int = 1,
        first_ordinal: int = 1,
    ) -> None:
        """Find the segments in ``directory``, which exists; reads none of them.

        ``first_ordinal`` is the ordinal of the first frame where there is no segment yet.
        """
        self.damage: list[str] = []
        self._directory = Path(directory)
        self._prefix = prefix
        self._segment_bytes = segment_bytes
        self._boot = boot
        self._content_version = content_version
        self._structure = threading.Lock()
        self._syncing = threading.Lock()
        self._fd = -1
        self._seed = self._offset = self._capacity = 0
        self._next = first_ordinal
        self._rotated: list[int] = []
        self._names_changed = self._names_synced = 0
        self._failure: str | None = None
        self._sizes: dict[int, int] = {}
        with translated("scandir"), os.scandir(self._directory) as entries:
            for entry in entries:
                first = segment_of(entry.name, prefix)
                if first is not None:
                    self._sizes[first] = entry.stat().st_size
        self._segments = sorted(self._sizes)

    @property
    def segments(self) -> list[int]:
        """The first ordinals of all segments, oldest first; the last one is, or will be, appended to."""
        return list(self._segments)

    @property
    def next_ordinal(self) -> int:
        """The ordinal of the next frame.  ``Corrupt`` when the end of an old log is not readable."""
        if self._fd < 0:
            self._find_end()
        return self._next

    @property
    def size_bytes(self) -> int:
        """What the records take; the unused rest of the active segment is not counted."""
        with self._structure:
            return sum(self._sizes.values()) + self._offset

    def scan(self, start: int = 0) -> Iterator[Frame]:
        """All frames of the segments from ``start`` on, oldest first, for use before the first ``append``.

        Ends at the first place that cannot be trusted, with a line in ``damage``.  ``BadInput`` for a log of a
        newer program.
        """
        segments = [segment for segment in self._segments if segment >= start]
        scan = SegmentScan(segments, self._load, content_version=self._content_version)
        yield from scan
        if scan.end is not None and scan.end.segment == self._segments[-1]:
            self._sizes[scan.end.segment] = scan.end.offset
        if scan.problem is not None:
            self.damage.append(f"{self._prefix}: {scan.problem}")

    def first_frame(self, segment: int) -> Frame | None:
        """The oldest frame of a segment; None when it holds none that is readable."""
        return next(iter(SegmentScan([segment], self._load, content_version=self._content_version)), None)

    def bytes_after(self, position: Position) -> Iterator[tuple[str, bytes]]:
        """What ``truncate_after(position)`` would destroy: file names and their bytes, without trailing zeros."""
        for segment in self.segments:
            if segment >= position.segment:
                lost = frames.used(self._load(segment), position.offset if segment == position.segment else 0)
                if lost:
                    yield self._path(segment).name, lost

    def truncate_after(self, position: Position) -> None:
        """Durably end the log behind the frame at ``position``.  Before the first ``append`` only.

        From the end backwards, so that a crash meanwhile leaves a shorter log and never one with a hole.
        """
        assert self._fd < 0, "the log is being appended to"
        while self._segments and self._segments[-1] > position.segment:
            self._remove_last()
        if not self._segments:
            return
        if position.offset < frames.HEADER_BYTES:
            self._remove_last()
            return
        last = self._segments[-1]
        segment_file.cut(self._path(last), position.offset)
        self._sizes[last] = position.offset

    def append(self, payload: bytes) -> None:
        """Write one record, behind all others.  Not empty.

        ``OutOfSpace``/``QuotaExceeded``: nothing was appended, and a later try may succeed.  ``DeviceFailed``:
        nothing was appended, and nothing will be any more.
        """
        assert payload, "an empty frame would look like the end of the log"
        size = frames.FRAME_BYTES + len(payload)
        if self._offset + size > self._capacity or self._failure is not None:
            self._begin_segment(size)
        frame = frames.pack_frame(payload, self._seed)
        offset = self._offset
        try:
            written = os.pwrite(self._fd, frame, offset)
            if written != size:
                write_all(self._fd, memoryview(frame)[written:], offset + written)
        except (OSError, VaultaireError) as error:
            self._erase(offset, size)
            if isinstance(error, OSError):
                raise translate(error, operation="append") from error
            raise
        self._offset = offset + size
        self._next += 1

    def sync(self) -> None:
        """Block until everything appended so far is durable, names of segments included.

        Once it has failed, every later ``sync`` and ``append`` raises ``DeviceFailed``: what the kernel dropped
        would be missing in the middle.
        """
        with self._syncing:
            self._refuse_after_failure()
            with self._structure:
                rotated, active, names = list(self._rotated), self._fd, self._names_changed
            try:
                for fd in rotated:
                    sync_data(fd)
                if active >= 0:
                    sync_data(active)
                if names != self._names_synced:
                    sync_directory(self._directory)
            except VaultaireError as error:
                self._failure = str(error)
                raise DeviceFailed(f"{self._prefix}: sync failed: {error}", operation="sync") from error
            self._names_synced = names
            with self._structure:
                self._rotated = self._rotated[len(rotated) :]
            _close_all(rotated)

    def delete_before(self, segment: int) -> None:
        """Durably delete all segments older than ``segment``, never the last one."""
        for first in self.segments[:-1]:
            if first < segment:
                unlink(self._path(first), missing_ok=True)
                self.forget(first)
        sync_directory(self._directory)

    def forget(self, segment: int) -> None:
        """Take note that the caller removed the file of an old segment."""
        with self._structure:
            assert segment != self._segments[-1], "the last segment holds the place of the next record"
            self._segments.remove(segment)
            del self._sizes[segment]

    def close(self) -> None:
        """Give back the unused space and the descriptors.  Syncs nothing."""
        with self._syncing:
            if self._fd >= 0:
                segment_file.trim(self._fd, self._offset)
                self._sizes[self._segments[-1]] = self._offset
                _close_all([self._fd, *self._rotated])
                self._rotated.clear()
            self._fd, self._offset, self._capacity = -1, 0, 0

    # Inside

    def _path(self, segment: int) -> Path:
        return self._directory / segment_name(self._prefix, segment)

    def _load(self, segment: int) -> bytes:
        return segment_file.load(self._path(segment))

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise DeviceFailed(f"{self._prefix}: an earlier write or sync failed: {self._failure}", operation="append")

    def _remove_last(self) -> None:
        last = self._segments.pop()
        unlink(self._path(last), durable=True)
        del self._sizes[last]
        self._next = last

    def _find_end(self) -> None:
        """Learn where an old log ends, from its last segment."""
        if not self._segments:
            return
        scan = SegmentScan(self._segments[-1:], self._load, content_version=self._content_version)
        for _ in scan:
            pass
        if scan.problem is not None or scan.end is None:
            raise Corrupt(f"{self._prefix}: {scan.problem}: truncate the log before appending", operation="append")
        self._next = scan.next_ordinal
        self._sizes[self._segments[-1]] = scan.end.offset

    def _begin_segment(self, size: int) -> None:
        """Rotate into a new segment with room for a frame of ``size`` bytes."""
        self._refuse_after_failure()
        needed = frames.HEADER_BYTES + size
        if self._fd >= 0 and self._offset == frames.HEADER_BYTES:
            preallocate(self._fd, needed)
            self._capacity = needed
            return
        first = self.next_ordinal
        header = frames.pack_header(first, self._boot, self._content_version)
        if self._segments and self._segments[-1] == first:
            # An earlier life died before it wrote a record here.
            self._remove_last()
        usual, small = (max(needed, self._segment_bytes // share) for share in (1, _SMALL_SHARE))
        older = self._open_older()
        try:
            fd, capacity = segment_file.create(self._path(first), header, (usual, small))
        except BaseException:
            _close_all(older)
            raise
        with self._structure:
            self._rotated += older
            self._leave_segment()
            self._segments.append(first)
            self._sizes[first] = 0
            self._fd, self._offset, self._capacity = fd, len(header), capacity
            self._names_changed += 1
        self._seed = frames.seed_of(header)

    def _open_older(self) -> list[int]:
        """What earlier lives appended and did not sync must be as safe as what comes behind it."""
        if self._fd >= 0:
            return []
        with translated("open"):
            return [os.open(self._path(segment), os.O_RDWR | os.O_CLOEXEC) for segment in self._segments]

    def _leave_segment(self) -> None:
        """The last segment gets no more records: give back its unused space, leave its descriptor to ``sync``."""
        if not self._segments:
            return
        last = self._segments[-1]
        if self._fd >= 0:
            self._sizes[last] = self._offset
            self._rotated.append(self._fd)
        segment_file.trim(self._fd if self._fd >= 0 else self._path(last), self._sizes[last])

    def _erase(self, offset: int, size: int) -> None:
        """Take back what a failed append may have written, or refuse everything from now on."""
        try:
            write_all(self._fd, bytes(size), offset)
        except VaultaireError as error:
            self._failure = str(error)


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)
