"""The backlog and the questions about it."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from vaultairefs.backlog.debts import Owed, StoredRef
from vaultairefs.model.changes import Change
from vaultairefs.model.values import EntryKey, Ino, Sequence


class Backlog:
    """See the package's text.

    ``owed_names``: the live value (None: nothing) of each name whose stored value differs or is stale.
    ``names_since``: when that row last changed, in seconds of ``clock``.  ``owed_inos``: see ``Owed``.
    Keys in the pseudo container ``STAGING`` are parked entries: their live value is always None.
    The root's own row has the key ``EntryKey(ROOT, b"")``.
    """

    owed_names: dict[EntryKey, Ino | None]
    names_since: dict[EntryKey, float]
    owed_inos: dict[Ino, Owed]

    def __init__(self, *, clock: Callable[[], float], has_name: Callable[[Ino], bool]) -> None:
        raise NotImplementedError

    def stored(self, key: EntryKey) -> StoredRef | None:
        """What the engine holds at that name."""
        raise NotImplementedError

    def refs_of(self, ino: Ino) -> list[EntryKey]:
        """Every stored name of the inode, fresh ones first."""
        raise NotImplementedError

    def fresh_ref(self, ino: Ino) -> EntryKey | None:
        """A stored name that holds the newest bytes that the engine has of the inode (the one to fetch from)."""
        raise NotImplementedError

    def stored_path(self, container: Ino) -> bytes | None:
        """The container's path in the engine, ``b""`` for ROOT; None while it is not stored or is parked."""
        raise NotImplementedError

    def stored_children(self, container: Ino) -> dict[bytes, StoredRef]:
        """What the engine holds directly inside the container, as far as known (a copy)."""
        raise NotImplementedError

    def owes_content(self, ino: Ino) -> bool:
        """Whether bytes of the inode are owed."""
        raise NotImplementedError

    def apply(self, sequence: Sequence, change: Change) -> None:
        """Post one change.  Only the ledger calls this."""
        raise NotImplementedError

    def note_content(self, ino: Ino) -> None:
        """Bytes of the inode changed without a journal record (``Ledger.note_write``)."""
        raise NotImplementedError

    # in-flight marks: ``backlog.flights``


class Flights:
    """What engine calls are under way for, so that nobody else begins there."""

    def begin(self, key: Hashable) -> None:
        """Mark a name (``EntryKey``) or inode as being worked on; ``Busy`` when it is already."""
        raise NotImplementedError

    def end(self, key: Hashable) -> None:
        """Undo ``begin``."""
        raise NotImplementedError

    def is_busy(self, key: Hashable) -> bool:
        """Whether the name or inode is being worked on."""
        raise NotImplementedError

    @contextmanager
    def watch(self, container: Ino) -> Iterator[set[bytes]]:
        """Names in the container that an engine call worked on at any time inside the block."""
        raise NotImplementedError
