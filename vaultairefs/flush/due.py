"""What of all that is owed a pass looks at: a bounded part at a time, each once per round.

Promise: whoever waits for an inode is served in every pass; everything else comes in its turn, however much is owed;
other tasks get theirs every millisecond or two.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

import trio

from vaultairefs.flush.desk import Desk
from vaultairefs.flush.ledger_view import LedgerView
from vaultairefs.flush.urgency import Urgency
from vaultairefs.model.values import EntryKey, Ino

LOOKS_MAX: Final = 5000
"""Names, and inodes, that one pass looks at."""

LOOK: Final = 1
DECISION: Final = 10
"""What a look and a decision cost, in some unit of time."""

_COST_AT_ONCE: Final = 500

T = TypeVar("T")


class Round(Generic[T]):
    """Goes through ``everything`` as it was when the round began, then through what it is then."""

    def __init__(self, everything: Callable[[], Iterable[T]]) -> None:
        self._everything = everything
        self._left: deque[T] = deque()

    @property
    def is_over(self) -> bool:
        """Whether the next ``take`` begins anew."""
        return not self._left

    def take(self, most: int) -> Iterator[T]:
        """Up to ``most`` more of this round."""
        if not self._left:
            self._left.extend(self._everything())
        for _ in range(most):
            if not self._left:
                return
            yield self._left.popleft()


class Due:
    """Names and inodes that may be sent now, as far as time is concerned."""

    def __init__(self, desk: Desk, urgency: Urgency, view: LedgerView) -> None:
        self._desk = desk
        self._urgency = urgency
        self._view = view
        self._backlog = desk.ledger.backlog
        self._names = Round(lambda: self._backlog.owed_names)
        self._inodes = Round(lambda: self._backlog.owed_inos)
        self._cost = 0

    async def names(self) -> list[EntryKey]:
        """Names for this pass; by the time that one is taken up it may not be owed any more."""
        found: list[EntryKey] = []
        awaited = [key for ino in self._desk.awaited for key in self._view.live_keys(ino)]
        for key in (*awaited, *self._names.take(LOOKS_MAX)):
            await self.give_way(LOOK)
            if key in self._backlog.owed_names and self._urgency.is_name_ready(key):
                found.append(key)
        return found

    async def inodes(self, most: int) -> list[Ino]:
        """Inodes for this pass, as many as are awaited and ``most`` looks find."""
        if self._inodes.is_over:
            await self._count_owed()
        found: list[Ino] = []
        for ino in (*self._desk.awaited, *self._inodes.take(min(most, LOOKS_MAX))):
            await self.give_way(LOOK)
            if ino in self._backlog.owed_inos and self._urgency.is_inode_ready(ino):
                found.append(ino)
        return found

    async def give_way(self, cost: int) -> None:
        """Let other tasks run after so much work."""
        self._cost += cost
        if self._cost >= _COST_AT_ONCE:
            self._cost = 0
            await trio.lowlevel.checkpoint()

    async def _count_owed(self) -> None:
        """Which containers have something owed inside; looks at everything, so once per round."""
        found: set[Ino] = set()
        for key in list(self._backlog.owed_names):
            await self.give_way(LOOK)
            found.add(key.container)
        for ino in list(self._backlog.owed_inos):
            await self.give_way(LOOK)
            found.update(self._view.containers_of(ino))
        self._view.owed_containers = found
