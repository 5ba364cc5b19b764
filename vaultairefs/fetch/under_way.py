"""Which bytes of which files are on their way from the engine.

Promise: whoever waits for a window is woken when it ends, however it ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from vaultairefs.model.values import Extent, Ino


class Window:
    """A fetch under way: bytes ``start`` to ``end`` of one body; ``is_ahead``: nobody has asked for them yet."""

    __slots__ = ("end", "finished", "is_ahead", "start")

    def __init__(self, extent: Extent, *, is_ahead: bool) -> None:
        self.start = extent.offset
        self.end = extent.end
        self.is_ahead = is_ahead
        self.finished = trio.Event()


class UnderWay:
    """All windows, by file."""

    def __init__(self) -> None:
        self._windows: dict[Ino, list[Window]] = {}

    def __contains__(self, ino: Ino) -> bool:
        return ino in self._windows

    def of(self, ino: Ino) -> list[Window]:
        """Those of one file, a list of their own."""
        return list(self._windows.get(ino, ()))

    def overlapping(self, ino: Ino, start: int, end: int) -> Window | None:
        """One of those that have a byte of the range."""
        for window in self._windows.get(ino, ()):
            if window.start < end and start < window.end:
                return window
        return None

    def open(self, ino: Ino, extent: Extent, *, is_ahead: bool = False) -> Window:
        """Let others know of a fetch; whoever opens one closes it."""
        window = Window(extent, is_ahead=is_ahead)
        self._windows.setdefault(ino, []).append(window)
        return window

    def close(self, ino: Ino, window: Window) -> None:
        """It has ended."""
        running = self._windows[ino]
        running.remove(window)
        if not running:
            del self._windows[ino]
        window.finished.set()

    @contextmanager
    def announced(self, ino: Ino, extent: Extent) -> Iterator[None]:
        """``open`` and ``close`` around a block."""
        window = self.open(ino, extent)
        try:
            yield
        finally:
            self.close(ino, window)
