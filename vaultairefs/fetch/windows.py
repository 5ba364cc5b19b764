"""How much to fetch at a time: pure.

Small files come whole.  Large ones come in windows that double while reading goes on where it ended, so that a scan
asks rarely for much and a random read often for little.
"""

from typing import Final

SMALL_BYTES: Final = 1 << 20
"""Up to this size a file is fetched whole: the request costs more than the bytes."""

WINDOW_BYTES_MIN: Final = 256 << 10
WINDOW_BYTES_MAX: Final = 8 << 20
_JUMP_BYTES_MAX: Final = 1 << 20
"""What the kernel has under way at once when it reads ahead."""


class ReadAhead:
    """The reading of one file.  ``window_bytes`` is what the next fetch takes beyond nothing asked for."""

    __slots__ = ("_next_offset", "window_bytes")

    def __init__(self) -> None:
        self._next_offset = 0
        self.window_bytes = WINDOW_BYTES_MIN

    def end_of(self, start: int, end: int, size: int) -> int:
        """Where a fetch that begins at ``start`` because somebody needs bytes up to ``end`` should end.

        Reads of a scan may come a little out of order: a small jump either way still counts as going on.
        """
        if size <= SMALL_BYTES:
            return size
        if abs(start - self._next_offset) <= _JUMP_BYTES_MAX:
            self.window_bytes = min(self.window_bytes * 2, WINDOW_BYTES_MAX)
        else:
            self.window_bytes = WINDOW_BYTES_MIN
        # A read of more than the largest window comes in several.
        stop = min(max(end, start + self.window_bytes), start + WINDOW_BYTES_MAX, size)
        self._next_offset = stop
        return stop
