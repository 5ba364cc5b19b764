"""The three rooms of state and the one function that posts a change to them."""

from collections.abc import Callable
from pathlib import Path

from vaultairefs.backlog import Backlog
from vaultairefs.buffer import Body, Buffer
from vaultairefs.ledger.shelf import IN_USE_MAX, Shelf
from vaultairefs.model.changes import Change
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Ino, Kind, Sequence, Version
from vaultairefs.namespace import Namespace


class Rooms:
    """Namespace, buffer and backlog of one volume.

    ``exposed`` are the inodes whose bytes must reach the disk before the next sync mark: a rename put them over a
    name, or the engine lost what it had of them.  ``shelf`` holds the clean entries beyond ``in_use_max`` inodes.
    """

    def __init__(
        self,
        namespace: Namespace,
        *,
        bodies: Path,
        buffer_size: int,
        clock: Callable[[], float],
        on_failure: Callable[[Body, VaultaireError], None],
        in_use_max: int = IN_USE_MAX,
    ) -> None:
        self.namespace = namespace
        self._in_use_max = in_use_max
        self.buffer = Buffer(bodies, buffer_size=buffer_size, on_failure=on_failure)
        self.backlog = Backlog(
            clock=clock,
            kind_of_named=self._kind_of_named,
            names_of=self._names_of,
            left_in_engine=self._left_in_engine,
            same_in_engine=self.buffer.follow_base,
        )
        self.exposed: set[Ino] = set()
        self.shelf = self._new_shelf()

    def take_over(self, namespace: Namespace) -> None:
        """Go on with another tree, before anything was posted to these rooms."""
        self.namespace = namespace
        self.shelf = self._new_shelf()

    def _new_shelf(self) -> Shelf:
        return Shelf(self.namespace, self.buffer, self.backlog, in_use_max=self._in_use_max)

    def post(self, sequence: Sequence, change: Change) -> None:
        """Let every room take note; live commits and recovery both go through here, always in this order.

        Names first: the backlog asks the namespace whether an inode still has one.
        """
        self.namespace.apply(sequence, change)
        self.buffer.apply(sequence, change)
        self.backlog.apply(sequence, change)

    @property
    def objects(self) -> int:
        """How many objects a checkpoint has to encode; packed entries count a tenth, which is what they cost."""
        return len(self.namespace.inodes) + self.buffer.count + len(self.shelf) // 10

    def check(self, change: Change) -> None:
        """Refuse what does not fit: the errors of ``Namespace.check`` and ``Buffer.check``."""
        self.namespace.check(change)
        self.buffer.check(change)

    def _left_in_engine(self, ino: Ino, versions: set[Version]) -> None:
        if self.buffer.keep_base(ino, versions):
            self.exposed.add(ino)

    def _names_of(self, ino: Ino) -> int:
        inode = self.namespace.find(ino)
        return len(inode.refs) if inode is not None else 0

    def _kind_of_named(self, ino: Ino) -> Kind | None:
        inode = self.namespace.find(ino)
        return inode.kind if inode is not None and inode.nlink else None
