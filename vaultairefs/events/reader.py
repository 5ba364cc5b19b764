"""Read an event log, in the daemon or in any other process, while it is being written.

Promise: events come in sequence and without a gap from the first one kept; one that is being written at this
moment is left for the next call.  Never changes a file.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vaultairefs.disk.segment_scan import Frame, SegmentScan
from vaultairefs.events import files
from vaultairefs.events.record import FORMAT_VERSION, EventRecord, decode
from vaultairefs.model.errors import Corrupt, NotFound


class EventReader:
    """A reader of the log in ``directory``; any number may work at a time.

    ``damage`` holds a line for each segment whose events could not all be read.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.damage: list[str] = []
        self._directory = Path(directory)
        self._last: Frame | None = None

    @property
    def first_sequence(self) -> int:
        """The oldest sequence still kept; 1 in an empty log."""
        segments = files.list_segments(self._directory)
        return segments[0] if segments else 1

    @property
    def next_sequence(self) -> int:
        """One behind the newest event."""
        for segment in files.list_segments(self._directory)[-1:]:
            scan = SegmentScan([segment], self._load, content_version=FORMAT_VERSION)
            for _ in scan:
                pass
            return scan.next_ordinal
        return 1

    def read(self, from_sequence: int = 1) -> Iterator[EventRecord]:
        """Events from ``from_sequence`` on, or from the oldest one kept if that is later, up to the newest now.

        To follow a log, call again with the sequence behind the last one seen: that costs little.  Events lost to
        damage are skipped, with a line in ``damage``.  ``BadInput`` for a log of a newer program.
        """
        position = from_sequence
        segments = files.list_segments(self._directory)
        for index, segment in enumerate(segments):
            following = segments[index + 1] if index + 1 < len(segments) else None
            if following is not None and following <= position:
                continue
            for record in self._segment(segment, following, position):
                if record.sequence >= position:
                    yield record
                    position = record.sequence + 1

    def _segment(self, segment: int, following: int | None, position: int) -> Iterator[EventRecord]:
        last = self._last
        behind = last if last and last.position.segment == segment and last.ordinal < position else None
        scan = SegmentScan([segment], self._load, content_version=FORMAT_VERSION, behind=behind)
        try:
            for frame in scan:
                self._last = frame
                yield _record(frame)
        except NotFound:
            return  # Dropped since it was listed.
        except Corrupt as error:
            self.damage.append(str(error))
            return
        if following is None:
            return  # What is not readable at the end of the newest segment is being written.
        if scan.problem is not None or scan.next_ordinal != following:
            self.damage.append(f"events {scan.next_ordinal} to {following - 1}: {scan.problem or 'missing'}")

    def _load(self, segment: int) -> bytes:
        return files.load(self._directory, segment)


def _record(frame: Frame) -> EventRecord:
    try:
        record = decode(frame.payload)
    except msgspec.DecodeError as error:
        raise Corrupt(f"event {frame.ordinal} cannot be decoded: {error}", operation="read") from error
    if record.sequence != frame.ordinal:
        raise Corrupt(f"event {record.sequence} stands where {frame.ordinal} belongs", operation="read")
    return record
