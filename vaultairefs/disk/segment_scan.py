"""Read the records of a segmented log in order, and say where and why reading had to stop.

Promise: every frame yielded is exactly as it was appended, and none is left out between two that are yielded.
Nothing is changed on disk; it works on a log that another process is appending to.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from vaultairefs.disk import frames

SUFFIX: Final = ".log"
_DIGITS: Final = 16


class Position(NamedTuple):
    """The place behind a frame.  An ``offset`` below the header's length: before everything in the segment."""

    segment: int
    offset: int


class Frame(NamedTuple):
    """One record; ``boot`` is the boot id under which its segment was begun, ``ordinal`` counts frames from 1."""

    payload: bytes
    position: Position
    boot: str
    ordinal: int


def segment_name(prefix: str, first: int, suffix: str = SUFFIX) -> str:
    """The file name of the segment whose first frame has the ordinal ``first``; names sort like ordinals."""
    return f"{prefix}-{first:0{_DIGITS}x}{suffix}"


def segment_of(name: str, prefix: str, suffix: str = SUFFIX) -> int | None:
    """The inverse of ``segment_name``; None for any other name."""
    digits = name.removeprefix(prefix + "-").removesuffix(suffix)
    if f"{prefix}-{digits}{suffix}" != name or len(digits) != _DIGITS:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


class SegmentScan:
    """One pass over ``segments`` (first ordinals, ascending), whose bytes ``load`` gives.

    ``behind`` is a frame of the first segment from an earlier pass: this one begins right behind it.
    After iteration ``end`` is the place behind the last good frame, ``next_ordinal`` the ordinal that a frame
    there would have, and ``problem`` says in words why the pass ended before the end of the log, or is None.
    """

    def __init__(
        self,
        segments: Sequence[int],
        load: Callable[[int], bytes],
        *,
        content_version: int,
        behind: Frame | None = None,
    ) -> None:
        self.end: Position | None = None
        self.next_ordinal = segments[0] if segments else 1
        self.problem: str | None = None
        self._segments = segments
        self._load = load
        self._content_version = content_version
        self._behind = behind

    def __iter__(self) -> Iterator[Frame]:
        for segment in self._segments:
            if self.end is None:
                self.end = Position(segment, 0)
            elif segment != self.next_ordinal:
                self.problem = f"record {self.next_ordinal} is missing: the next segment begins with {segment}"
                return
            yield from self._frames_of(segment)
            if self.problem is not None:
                return

    def _frames_of(self, segment: int) -> Iterator[Frame]:
        data = self._load(segment)
        header = frames.unpack_header(data, content_version=self._content_version)
        if header is None or header.first != segment:
            if frames.used(data, frames.HEADER_BYTES) or header is not None:
                self.problem = f"the header of segment {segment} is damaged"
            else:
                # A crash between creating the file and writing its header: it never held a record.
                self.end = Position(segment, 0)
            return
        boot = header.boot
        ordinal, offset = segment, frames.HEADER_BYTES
        if self._behind is not None and self._behind.position.segment == segment:
            ordinal, offset = self._behind.ordinal + 1, self._behind.position.offset
            self.next_ordinal = ordinal
        self.end = Position(segment, offset)
        for payload, end in frames.frames(data, offset, header.seed):
            offset = end
            position = self.end = Position(segment, end)
            self.next_ordinal = ordinal + 1
            yield Frame(payload, position, boot, ordinal)
            ordinal += 1
        tail = frames.what_follows(data, offset)
        if tail is not frames.Tail.END:
            state = "torn" if tail is frames.Tail.TORN else "damaged"
            self.problem = f"record {ordinal} is {state} (segment {segment}, byte {offset})"
