"""A set of byte ranges, kept sorted and merged."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from vaultairefs.model.values import Extent

_NOTHING: Final[list[int]] = []
"""What every empty set holds: most sets stay empty, and there are three per body.  Never changed in place."""


class ExtentSet:
    """Half-open byte ranges.  Invariant: ``_starts`` and ``_ends`` are sorted, disjoint and never touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, extents: Iterable[Extent] = ()) -> None:
        self._starts = self._ends = _NOTHING
        for offset, length in extents:
            self.add(offset, offset + length)

    def add(self, start: int, end: int) -> None:
        """Include ``start`` <= byte < ``end``."""
        if start >= end:
            return
        ends = self._ends
        if not ends:
            self._starts, self._ends = [start], [end]
            return
        if start == ends[-1]:
            # Mostly a file is written from its beginning to its end.
            ends[-1] = end
            return
        low = bisect_left(ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, ends[high - 1])
        self._starts[low:high] = [start]
        ends[low:high] = [end]

    def remove(self, start: int, end: int) -> None:
        """Exclude ``start`` <= byte < ``end``."""
        if start >= end:
            return
        low = bisect_right(self._ends, start)
        high = bisect_left(self._starts, end)
        if low >= high:
            return
        starts, ends = [], []
        if self._starts[low] < start:
            starts.append(self._starts[low])
            ends.append(start)
        if self._ends[high - 1] > end:
            starts.append(end)
            ends.append(self._ends[high - 1])
        self._starts[low:high] = starts
        self._ends[low:high] = ends

    def covers(self, start: int, end: int) -> bool:
        """Whether every byte of the range is included; an empty range always is."""
        if start >= end:
            return True
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and self._ends[at] >= end

    def gaps(self, start: int, end: int) -> list[Extent]:
        """The parts of the range that are not included, in order."""
        found = []
        at = bisect_right(self._ends, start)
        while start < end:
            if at == len(self._starts) or self._starts[at] >= end:
                found.append(Extent(start, end - start))
                break
            if self._starts[at] > start:
                found.append(Extent(start, self._starts[at] - start))
            start = self._ends[at]
            at += 1
        return found

    def total(self) -> int:
        """How many bytes are included."""
        return sum(self._ends) - sum(self._starts)

    def clear(self) -> None:
        self._starts = self._ends = _NOTHING

    def __iter__(self) -> Iterator[Extent]:
        for start, end in zip(self._starts, self._ends, strict=True):
            yield Extent(start, end - start)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExtentSet) and self._starts == other._starts and self._ends == other._ends

    def __repr__(self) -> str:
        return f"ExtentSet({list(self)!r})"
