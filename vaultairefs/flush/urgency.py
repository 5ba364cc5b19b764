"""When something that is owed should go: after a quiet moment, after a long time, or because somebody insists."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from vaultairefs.backlog import Backlog, Owed
from vaultairefs.model.values import EntryKey, Ino

WRITTEN_SECONDS_MAX: Final = 30.0
"""A file that is written, or a name that is replaced, all the time is flushed this often."""


class Urgency:
    """``flush_delay`` is in seconds: what changes again within it goes once, or never if it goes away.

    ``look`` is asked to notice what programs did to an inode without us, before it is taken to be quiet.
    """

    def __init__(
        self,
        backlog: Backlog,
        clock: Callable[[], float],
        flush_delay: float,
        flushed_at: dict[Ino, float],
        awaited: Counter[Ino],
        look: Callable[[Ino], None] = lambda ino: None,
    ) -> None:
        self._backlog = backlog
        self._clock = clock
        self._flush_delay = flush_delay
        self._flushed_at = flushed_at
        self._all = 0
        self._inos = awaited
        self._look = look

    @property
    def insists(self) -> bool:
        """Whether somebody wants everything now."""
        return self._all > 0

    @property
    def hurries(self) -> bool:
        """Whether somebody wants something now."""
        return self._all > 0 or bool(self._inos)

    @contextmanager
    def everything(self) -> Iterator[None]:
        """Somebody wants everything now."""
        self._all += 1
        try:
            yield
        finally:
            self._all -= 1

    @contextmanager
    def one(self, ino: Ino) -> Iterator[None]:
        """Somebody wants this inode now."""
        self._inos[ino] += 1
        try:
            yield
        finally:
            self._inos[ino] -= 1
            if not self._inos[ino]:
                del self._inos[ino]

    def is_name_ready(self, key: EntryKey) -> bool:
        """Whether the name has been left alone for long enough, or was not stored for too long."""
        if self._all:
            return True
        since = self._backlog.names_since.get(key)
        if since is None or self._clock() - since >= self._flush_delay or self.is_overdue(key):
            return True
        return bool(self._inos) and self._backlog.owed_names.get(key) in self._inos

    def is_overdue(self, key: EntryKey) -> bool:
        """Whether one thing after the other gets this name, so that no newer one was stored there for too long."""
        first = self._backlog.names_first.get(key)
        return first is not None and self._clock() - first >= WRITTEN_SECONDS_MAX

    def is_inode_ready(self, ino: Ino) -> bool:
        """Whether the inode's bytes and attributes have been left alone for long enough, or are dirty for too long."""
        self._look(ino)
        owed = self._backlog.owed_inos.get(ino)
        return owed is None or self._is_ready(ino, owed, self._clock())

    def _is_ready(self, ino: Ino, owed: Owed, now: float) -> bool:
        if self._all or now - owed.since >= self._flush_delay or ino in self._inos:
            return True
        return now - max(owed.first, self._flushed_at.get(ino, owed.first)) >= WRITTEN_SECONDS_MAX
