"""Open containers: opendir..releasedir.

Promise: one pass through a listing shows every entry that was there all the time exactly once, whatever changes
meanwhile; an offset stays valid in every later pass.

Does not: count kernel lookups of what it shows; the adapter does, for the rows it really hands over.
"""

import itertools
from bisect import bisect_right
from operator import itemgetter
from typing import Final

from vaultairefs.model.context import OperationContext, current
from vaultairefs.model.errors import BadHandle
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume.content import Content
from vaultairefs.volume.core import Core
from vaultairefs.volume.door import Passage
from vaultairefs.volume.requests import DirectoryEntry

ROWS_MAX: Final = 256
"""Rows per call: more than a READDIRPLUS buffer holds, and a call costs the same in a huge container."""

ROWS_MORE: Final = 8
"""How many rows more than last time are worth making: names differ in length, so a buffer may hold some more."""

SELF_COOKIE: Final = 1
PARENT_COOKIE: Final = 2


_COOKIE: Final = itemgetter(2)


class _OpenContainer:
    """A handle: the listing as it was when the pass began, in cookie order.

    ``offered`` and ``wanted`` are the rows of the last call and of the next: a caller whose buffer holds 20 rows
    is not given 256 each time.
    """

    __slots__ = ("at", "caller", "ino", "offered", "rows", "wanted")

    def __init__(self, ino: Ino, caller: OperationContext) -> None:
        self.ino = ino
        self.caller = caller
        self.rows: list[tuple[bytes, Ino, int]] | None = None
        self.at = self.offered = 0
        self.wanted = ROWS_MAX

    def behind(self, offset: int) -> int:
        """The first row behind ``offset``, which also says how many rows the caller took last time."""
        first = bisect_right(self.rows or [], offset, key=_COOKIE)
        taken = first - self.at
        if 0 < taken <= self.offered:
            self.wanted = min(ROWS_MAX, (taken if taken < self.offered else 2 * taken) + ROWS_MORE)
        return first


class Listings:
    """See the module's text.  Offsets are opaque to callers and grow along a listing; 0 begins a new pass."""

    def __init__(self, core: Core, content: Content) -> None:
        self._core = core
        self._content = content
        self._open: dict[int, _OpenContainer] = {}
        self._handles = itertools.count(1)

    async def opendir(self, ino: Ino) -> int:
        """A handle; ``NotAContainer``, ``Stale``, ``Unavailable``."""
        with self._core.door.inode("opendir", ino) as passage:
            passage.inode = await self._core.container(ino)
            handle = next(self._handles)
            self._open[handle] = _OpenContainer(ino, current())
            return handle

    async def readdir(self, handle: int, offset: int) -> list[DirectoryEntry]:
        """Some rows behind ``offset``, ``.`` and ``..`` first; none at the end.  Counts no lookups."""
        with self._passage("readdir", handle) as passage:
            opened = self._opened(handle)
            passage.offset = offset
            passage.inode = container = self._core.namespace.get(opened.ino)
            if offset == 0 or opened.rows is None:
                container = await self._core.container(opened.ino)
                opened.rows = self._core.namespace.entries(opened.ino)
            live: list[DirectoryEntry] = []
            first = opened.behind(offset)
            while first < len(opened.rows) and not live:
                opened.at, opened.offered = first, opened.wanted
                first += opened.wanted
                live = self._live(opened, opened.rows[opened.at : first])
            passage.length = len(live)
            return self._dots(container, offset) + live

    async def fsyncdir(self, handle: int, data_only: bool) -> None:
        """Names of this container are safe at the mount's sync level.  ``DeviceFailed``, ``TimedOut``."""
        with self._passage("fsyncdir", handle) as passage:
            container = self._core.namespace.get(self._opened(handle).ino)
            passage.durability = await self._content.sync_names(container)

    async def releasedir(self, handle: int) -> None:
        """The handle is closed."""
        with self._passage("releasedir", handle):
            self._opened(handle)
            del self._open[handle]

    def _passage(self, operation: str, handle: int) -> Passage:
        opened = self._open.get(handle)
        if opened is None:
            return self._core.door.inode(operation, Ino(0))
        return self._core.door.inode(operation, opened.ino, opened.caller)

    def _opened(self, handle: int) -> _OpenContainer:
        try:
            return self._open[handle]
        except KeyError:
            raise BadHandle from None

    def _dots(self, container: Inode, offset: int) -> list[DirectoryEntry]:
        dots = []
        if offset < SELF_COOKIE:
            dots.append(DirectoryEntry(b".", container, SELF_COOKIE))
        if offset < PARENT_COOKIE:
            parent = self._core.namespace.find(container.parent) or container
            dots.append(DirectoryEntry(b"..", parent, PARENT_COOKIE))
        return dots

    def _live(self, opened: _OpenContainer, rows: list[tuple[bytes, Ino, int]]) -> list[DirectoryEntry]:
        """The rows whose names are still there, with what they lead to now."""
        namespace = self._core.namespace
        children = namespace.get(opened.ino).children or {}
        live = []
        for name, _, cookie in rows:
            ino = children.get(name)
            inode = namespace.peek(ino) if ino is not None else None
            if inode is not None:
                live.append(DirectoryEntry(name, inode, cookie))
        return live
