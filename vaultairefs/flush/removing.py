"""Remove names that nobody wants, many in one request.

Promise: a name goes only when what it holds is safe elsewhere or wanted by nobody, and the journal that says so is on
the disk.
"""

from collections.abc import Callable
from typing import Final

from vaultairefs.flush.attempts import Attempts
from vaultairefs.flush.desk import Desk
from vaultairefs.flush.due import DECISION, Due
from vaultairefs.flush.leaving import DELETIONS_MAX
from vaultairefs.flush.ledger_view import LedgerView
from vaultairefs.flush.steps import Decision, Delete, Doomed
from vaultairefs.model.values import EntryKey, Ino

_GATHERING_SECONDS_MAX: Final = 5.0
"""How long names that could go wait for more of their kind while copies are under way."""


class Removals:
    """``more_may_come``: the workers have steps in hand that will leave more names to remove."""

    def __init__(
        self, desk: Desk, view: LedgerView, due: Due, attempts: Attempts, decide: Callable[[EntryKey], Decision]
    ) -> None:
        self._desk = desk
        self._view = view
        self._due = due
        self._attempts = attempts
        self._decide = decide
        self._gathering_since: float | None = None
        self.more_may_come = False

    async def remove(self, names: list[EntryKey]) -> list[EntryKey]:
        """Delete what one name at a time may be deleted; returns the names that need other steps."""
        batch: dict[EntryKey, Doomed] = {}
        others: list[EntryKey] = []
        inodes: set[Ino] = set()
        for key in names:
            await self._due.give_way(DECISION)
            decision = self._decide(key)
            if not isinstance(decision, Delete) or len(decision.doomed) != 1:
                others.append(key)
                continue
            # Two names of one inode are each other's spare: only one of them may go at a time.
            if decision.doomed[0].ino in inodes:
                others.append(key)
                continue
            batch[key] = decision.doomed[0]
            inodes.add(decision.doomed[0].ino)
            if len(batch) == DELETIONS_MAX:
                await self._delete(batch)
                inodes.clear()
        if batch and not self.waits_for_more(Delete(tuple(batch.values()))):
            await self._delete(batch)
        return others

    def waits_for_more(self, step: Delete) -> bool:
        """Whether a request for these few names alone would be a waste: every copy leaves one more to delete."""
        now = self._desk.clock()
        if self._view.moves or not self.more_may_come or len(step.doomed) >= DELETIONS_MAX:
            self._gathering_since = None
            return False
        if self._gathering_since is None:
            self._gathering_since = now
        if now - self._gathering_since < _GATHERING_SECONDS_MAX:
            return True
        self._gathering_since = None
        return False

    async def _delete(self, batch: dict[EntryKey, Doomed]) -> None:
        """Delete what is still to be deleted: time may have passed since each decision."""
        still = [one for one in batch.values() if self._decide(one.key) == Delete((one,))]
        batch.clear()
        if still:
            await self._attempts.attempt(Delete(tuple(still)))
