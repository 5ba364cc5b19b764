"""Which records of where the engine holds things a power cut could still take away.

Promise: an inode that is durable is found again at the place of its last record, whatever happens to the machine.
"""

from vaultairefs.ledger import Ledger
from vaultairefs.model.values import Ino


class Records:
    """Invariant: every inode noted since the last whole sync began is in one of the two sets."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._unsynced: set[Ino] = set()
        self._syncing: set[Ino] = set()

    def note(self, ino: Ino) -> None:
        """A record says that the engine has something new of the inode."""
        self._unsynced.add(ino)

    def is_durable(self, ino: Ino) -> bool:
        """Whether all records of the inode are on the disk."""
        return ino not in self._unsynced and ino not in self._syncing

    async def sync(self) -> None:
        """Make what is recorded so far outlive a power cut; the errors of ``Ledger.sync``."""
        self._unsynced, self._syncing = set(), self._unsynced | self._syncing
        await self._ledger.sync()
        self._syncing = set()
