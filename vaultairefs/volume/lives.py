"""How long an inode lives: until its last name, last open handle and last kernel lookup are gone.

Invariant: a count is never negative and a count of zero is not kept.

Does not: change names; it only says when an inode that has none may leave memory and disk.
"""

from collections.abc import Iterable

from vaultairefs.ledger import Ledger
from vaultairefs.model.values import Ino


class Lives:
    """Counts of kernel lookups per inode; the buffer counts handles."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lookups: dict[Ino, int] = {}

    def remember(self, ino: Ino, count: int = 1) -> None:
        """The kernel was told of this inode ``count`` more times."""
        self._lookups[ino] = self._lookups.get(ino, 0) + count

    def forget(self, forgotten: Iterable[tuple[Ino, int]]) -> None:
        """The kernel forgot these (inode, times)."""
        for ino, count in forgotten:
            left = self._lookups.get(ino, 0) - count
            if left > 0:
                self._lookups[ino] = left
            else:
                self._lookups.pop(ino, None)
                self.bury(ino)

    def bury(self, ino: Ino) -> None:
        """Drop the inode if nothing needs it any more."""
        if ino in self._lookups:
            return
        if self._ledger.namespace.is_nameless(ino):
            self._ledger.drop(ino)

    def is_known(self, ino: Ino) -> bool:
        """Whether the kernel holds the inode."""
        return ino in self._lookups

    @property
    def known_to_kernel(self) -> int:
        """How many inodes the kernel holds."""
        return len(self._lookups)
