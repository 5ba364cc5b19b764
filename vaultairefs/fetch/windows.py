"""Which bytes of a file to fetch, and which will be asked for next: pure.

Small files come whole.  Of large ones a read that nothing foretold fetches little beyond its own bytes.  Reads that go
on where others ended (forwards or backwards), or that jump by the same distance again and again, foretell the next
ones: those are fetched ahead, in ranges that grow, never further than twice as far as was read in a row.

Promise: nothing is foretold but by reads: a reader that stops is waited for.
"""

from typing import Final

from vaultairefs.model.values import Extent

SMALL_BYTES: Final = 1 << 20
"""Up to this size a file is fetched whole: the request costs more than the bytes."""

FIRST_BYTES: Final = 128 << 10
"""What a fetch takes at least: less costs as much."""

RANGE_BYTES_MIN: Final = 256 << 10
RANGE_BYTES_MAX: Final = 8 << 20
AHEAD_BYTES_MIN: Final = 512 << 10
AHEAD_BYTES_MAX: Final = 64 << 20
"""How far ahead of a reader; at most so much is under way for all files together, too."""

JUMPS_AHEAD_MAX: Final = 16
"""Reads of a pattern with holes that are fetched ahead."""


class Reading:
    """The reading of one file.  Reads of a scan may come out of order: the kernel has several under way.

    Invariant: everything between ``_began`` and ``_front`` was read in a row, and up to ``_asked`` it was foretold.
    """

    __slots__ = ("_asked", "_began", "_delta", "_evenly", "_front", "_last", "_lowest")

    def __init__(self) -> None:
        self._began = self._front = self._asked = 0
        self._last = self._delta = self._evenly = 0
        self._lowest = 0

    def end_of(self, start: int, end: int, size: int) -> int:
        """Where a fetch that begins at ``start`` because somebody needs bytes up to ``end`` should end."""
        if size <= SMALL_BYTES:
            return size
        in_a_row = self._front - self._began if self._began <= start <= self._front else 0
        wanted = min(max(2 * in_a_row, FIRST_BYTES), RANGE_BYTES_MAX)
        # A read of more than the largest range comes in several.
        return min(max(end, start + wanted), start + RANGE_BYTES_MAX, size)

    def follow(self, offset: int, length: int, size: int) -> list[Extent]:
        """Note a read; what it foretells and none before it did, the next first."""
        if size <= SMALL_BYTES or length <= 0:
            return []
        end, near = min(offset + length, size), max(FIRST_BYTES, 2 * length)
        delta, self._last = offset - self._last, offset
        self._evenly = self._evenly + 1 if delta == self._delta else 0
        self._delta = delta
        if end > self._front and abs(offset - self._front) <= near:
            self._front = end
            self._asked = max(self._asked, end)
            return self._forwards(size)
        if self._evenly and delta < 0 and length - delta <= near:
            return self._backwards(offset)
        if self._evenly and abs(delta) > near:
            return self._by_jumps(offset, length, delta, size)
        if not self._front - near <= offset < self._front:
            self._began, self._front, self._asked, self._lowest = offset, end, end, offset
        return []

    def take_back(self, extent: Extent) -> None:
        """It was foretold, and could not be fetched yet: foretell it anew with the next read."""
        if extent.offset >= self._front:
            self._asked = extent.offset
        else:
            self._lowest = extent.end

    def _forwards(self, size: int) -> list[Extent]:
        depth = _depth_of(self._front - self._began)
        stop, step = min(self._front + depth, size), _range_of(depth)
        found = []
        while self._asked < stop and (self._asked + step <= stop or stop == size):
            length = min(step, stop - self._asked)
            found.append(Extent(self._asked, length))
            self._asked += length
        return found

    def _backwards(self, offset: int) -> list[Extent]:
        if self._evenly == 1:
            self._began = self._front = offset
            self._lowest = offset
        self._lowest = min(self._lowest, offset)
        depth = _depth_of(self._evenly * -self._delta)
        stop, step = max(offset - depth, 0), _range_of(depth)
        found = []
        while self._lowest > stop and (self._lowest - step >= stop or stop == 0):
            length = min(step, self._lowest - stop)
            self._lowest -= length
            found.append(Extent(self._lowest, length))
        return found

    def _by_jumps(self, offset: int, length: int, delta: int, size: int) -> list[Extent]:
        self._began, self._front, self._asked = offset, offset + length, offset + length
        count = min(1 << min(self._evenly, 10), JUMPS_AHEAD_MAX, max(AHEAD_BYTES_MAX // length, 1))
        places = (offset + number * delta for number in range(1, count + 1))
        return [Extent(place, min(length, size - place)) for place in places if 0 <= place < size]


def _depth_of(in_a_row: int) -> int:
    return min(max(2 * in_a_row, AHEAD_BYTES_MIN), AHEAD_BYTES_MAX)


def _range_of(depth: int) -> int:
    return min(max(depth // 4, RANGE_BYTES_MIN), RANGE_BYTES_MAX)
