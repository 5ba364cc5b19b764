"""Open containers: opendir..releasedir.

Promise: one pass through a listing shows every entry that was there all the time exactly once, whatever changes
meanwhile; an offset stays valid in every later pass.

Does not: count kernel lookups of what it shows; the adapter does, for the rows it really hands over.
"""

import itertools
from bisect import bisect_right
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

SELF_COOKIE: Final = 1
PARENT_COOKIE: Final = 2


class _OpenContainer:
    """A handle: the listing as it was when the pass began, in cookie order."""

    __slots__ = ("caller", "cookies", "ino", "rows")

    def __init__(self, ino: Ino, caller: OperationContext) -> None:
        self.ino = ino
        self.caller = caller
        self.rows: list[tuple[bytes, Ino, int]] | None = None
        self.cookies: list[int] = []


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
                opened.cookies = [cookie for _, _, cookie in opened.rows]
            live: list[DirectoryEntry] = []
            first = bisect_right(opened.cookies, offset)
            while first < len(opened.rows) and not live:
                live = self._live(opened, opened.rows[first : first + ROWS_MAX])
                first += ROWS_MAX
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
