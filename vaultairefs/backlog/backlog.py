"""The backlog and the questions about it; ``posting.py`` holds what changes do to it."""

from collections.abc import Callable
from typing import Final

import trio

from vaultairefs.backlog import posting
from vaultairefs.backlog.debts import Owed, StoredRef
from vaultairefs.backlog.doubts import Doubts
from vaultairefs.backlog.stored_tree import StoredTree
from vaultairefs.model.changes import Change
from vaultairefs.model.values import ROOT, EntryKey, Ino, Kind, Sequence, Version

ROOT_KEY: Final = EntryKey(ROOT, b"")


class Backlog(StoredTree):
    """See the package's text.

    ``owed_names``: the live value (None: nothing) of each name whose stored value differs or is stale.
    ``names_since``: when that row last changed, in seconds of ``clock``; ``names_first``: since when the name differs,
    or was last stored.  ``owed_inos``: see ``Owed``.
    ``doubts``: engine steps that were begun and whose outcome is not recorded.
    ``containers``: stored inodes that are containers, those included that programs have removed or never saw.
    Keys in the pseudo container ``STAGING`` are parked entries: their live value is always None.
    The root's own row has the key ``EntryKey(ROOT, b"")`` and never owes a name.
    Invariants: ``owed_names``, ``names_since`` and ``names_first`` have the same keys; an inode without a name owes
    nothing.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        kind_of_named: Callable[[Ino], Kind | None],
        names_of: Callable[[Ino], int],
        left_in_engine: Callable[[Ino, set[Version]], None] = lambda ino, versions: None,
        same_in_engine: Callable[[Ino, Version, Version], None] = lambda ino, gone, held: None,
    ) -> None:
        """``kind_of_named``: what a live inode with a name is, None for all others; ``names_of``: how many it has.

        ``left_in_engine`` is told which versions of an inode the engine still holds, when one of its names is gone;
        before that ``same_in_engine`` of a version that it holds elsewhere with the bytes of the one that went.
        """
        super().__init__()
        self.owed_names: dict[EntryKey, Ino | None] = {}
        self.names_since: dict[EntryKey, float] = {}
        self.names_first: dict[EntryKey, float] = {}
        self.owed_inos: dict[Ino, Owed] = {}
        self.doubts = Doubts()
        self.containers: set[Ino] = set()
        self.clock = clock
        self.left_in_engine = left_in_engine
        self.same_in_engine = same_in_engine
        self._kind_of_named = kind_of_named
        self.names_of = names_of
        self._wakeup: trio.Event | None = None

    def is_in_hand(self, key: EntryKey, ino: Ino) -> bool:
        """Whether an engine call works on the name or the inode, or one about them is in doubt."""
        doubts = self.doubts
        if self.is_busy(key) or self.is_busy(ino):
            return True
        return doubts.about(key) is not None or doubts.about_inode(ino) is not None

    def owes_content(self, ino: Ino) -> bool:
        """Whether bytes of the inode are owed."""
        owed = self.owed_inos.get(ino)
        return owed is not None and owed.content

    def apply(self, sequence: Sequence, change: Change) -> None:
        """Post one change, after the namespace.  Only the ledger calls this."""
        posting.apply(self, change)

    def note_content(self, ino: Ino) -> None:
        """Bytes of the inode changed without a journal record (``Ledger.note_write``)."""
        owed = self.owed_inos.get(ino)
        if owed is None:
            self.owe(ino, content=True)
        else:
            owed.content = True
            owed.since = self.clock()

    @property
    def dirty_artifacts(self) -> int:
        """How many inodes and removed names the engine does not know rightly."""
        others = sum(1 for ino in self.owed_names.values() if ino is None or ino not in self.owed_inos)
        return len(self.owed_inos) + others

    @property
    def oldest_since(self) -> float | None:
        """When the oldest debt began, in seconds of ``clock``; None without debts."""
        return min((*self.names_first.values(), *(owed.first for owed in self.owed_inos.values())), default=None)

    async def wait_for_work(self) -> None:
        """Wait until something more is owed than at the time of the call."""
        if self._wakeup is None:
            self._wakeup = trio.Event()
        await self._wakeup.wait()

    # For posting

    def put(self, key: EntryKey, ref: StoredRef) -> None:
        super().put(key, ref)
        if self.is_container(ref.ino):
            self.containers.add(ref.ino)

    def take(self, key: EntryKey, *, is_ours: bool = True) -> StoredRef | None:
        ref = super().take(key, is_ours=is_ours)
        if ref is not None and ref.ino not in self.refs:
            self.containers.discard(ref.ino)
        return ref

    def live(self, key: EntryKey) -> Ino | None:
        """Which inode has the name for programs, as far as the backlog was told."""
        if key in self.owed_names:
            return self.owed_names[key]
        ref = self.stored(key)
        return None if ref is None else ref.ino

    def has_name(self, ino: Ino) -> bool:
        """Whether programs can reach the inode by a name."""
        return self._kind_of_named(ino) is not None

    def is_artifact(self, ino: Ino) -> bool:
        """Whether the inode has a name and is no container."""
        return self._kind_of_named(ino) not in (None, Kind.CONTAINER)

    def is_container(self, ino: Ino) -> bool:
        """Whether the inode has a name and is a container."""
        return self._kind_of_named(ino) is Kind.CONTAINER

    def set_live(self, key: EntryKey, ino: Ino | None) -> None:
        """Programs find ``ino`` (None: nothing) at the name now."""
        ref = self.stored(key)
        held = None if ref is None else ref.ino
        if held == ino and not (ref is not None and ref.stale):
            if key in self.owed_names:
                del self.owed_names[key], self.names_since[key], self.names_first[key]
            return
        self.owed_names[key] = ino
        self.names_since[key] = now = self.clock()
        self.names_first.setdefault(key, now)
        self._wake()

    def owe(self, ino: Ino, *, content: bool = False, attributes: bool = False) -> None:
        """The engine does not have these parts of the inode; nothing where it has no name."""
        if self._kind_of_named(ino) is None:
            return
        now = self.clock()
        owed = self.owed_inos.get(ino)
        if owed is None:
            owed = self.owed_inos[ino] = Owed(now)
        owed.content |= content
        owed.attributes |= attributes
        owed.since = now
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()
            self._wakeup = None
