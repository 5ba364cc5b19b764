"""Learn what is in a container before its place changes, where an engine cannot move it with all that it holds.

Promise: what was in the container when it was looked at, and nobody here knew, is an entry of it for programs, too;
names of which something is owed or in doubt are left alone, as by any listing.
"""

from vaultairefs.engine.interface import EntryInfo
from vaultairefs.flush.desk import Desk
from vaultairefs.flush.steps import HandOver
from vaultairefs.ledger.arrivals import discover
from vaultairefs.ledger.losses import lose
from vaultairefs.model.errors import NotAContainer, NotFound
from vaultairefs.model.values import EntryKey, Ino


class Contents:
    """See the module's text."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def learn(self, step: HandOver) -> bool:
        """Look through the container; False when it is not in the engine any more, which is recorded."""
        desk = self._desk
        if desk.is_listed(step.ino):
            return True
        path = desk.path(step.key).joined
        cursor: str | None = None
        with desk.ledger.backlog.watch(step.ino) as touched:
            while True:
                try:
                    page = await desk.engine.list(path, cursor)
                except (NotFound, NotAContainer):
                    if self.is_still(step):
                        lose(desk.ledger, step.key)
                    return False
                if not self.is_still(step):
                    return False
                for info in page.entries:
                    if info.name not in touched:
                        self._take_in(step.ino, info)
                cursor = page.cursor
                if cursor is None:
                    return True

    def is_still(self, step: HandOver) -> bool:
        """Whether nothing has come in between: programs, workers and listings go on while the engine answers."""
        desk, backlog = self._desk, self._desk.ledger.backlog
        ref = backlog.stored(step.key)
        if ref is None or ref.ino != step.ino or backlog.live(step.key) == step.ino:
            return False
        if step.heir is not None:
            heir = desk.ledger.namespace.find(step.heir)
            if heir is None or step.key not in heir.refs or backlog.refs_of(step.heir):
                return False
        inos = [step.ino] if step.heir is None else [step.ino, step.heir]
        if backlog.is_busy(step.key) or backlog.doubts.about(step.key) is not None:
            return False
        return not any(
            ino in desk.pins or backlog.is_busy(ino) or backlog.doubts.below(ino) or backlog.doubts.about_inode(ino)
            for ino in inos
        )

    def _take_in(self, container: Ino, info: EntryInfo) -> None:
        ledger = self._desk.ledger
        key = EntryKey(container, info.name)
        inode = ledger.namespace.find(container)
        if inode is None or not inode.nlink or info.name in (inode.children or {}):
            return
        if ledger.backlog.stored(key) is None and key not in ledger.backlog.owed_names:
            discover(ledger, container, info)
