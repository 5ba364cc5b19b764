"""The backlog and the questions about it; ``posting.py`` holds what changes do to it."""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from vaultairefs.backlog import posting
from vaultairefs.backlog.debts import Owed, StoredRef
from vaultairefs.backlog.doubts import Doubts
from vaultairefs.backlog.flights import Flights
from vaultairefs.model.changes import Change
from vaultairefs.model.values import ROOT, STAGING, EntryKey, Ino, Kind, Sequence, Version

ROOT_KEY: Final = EntryKey(ROOT, b"")


class Shelf(Protocol):
    """Where rows are that nobody uses: see ``ledger/shelf.py``."""

    def recall(self, ino: Ino) -> object:
        """Bring the inode's row back by ``settle``, if it is there."""
        ...

    def recall_name(self, key: EntryKey) -> None:
        """Likewise for what programs find at the name."""
        ...

    def names_in(self, container: Ino) -> set[bytes]:
        """The names in the container whose rows are there."""
        ...


class StoredTree(Flights):
    """What the engine holds, by container and name.

    ``tree`` and ``refs`` are the rows in use; every question below knows those on the ``shelf``, too.
    Invariants: ``refs`` is the inverse of ``tree``; no inner dict is empty; names of one inode that are not stale
    hold the same bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shelf: Shelf | None = None
        self.tree: dict[Ino, dict[bytes, StoredRef]] = {}
        self.refs: dict[Ino, tuple[EntryKey, ...]] = {}

    def stored(self, key: EntryKey) -> StoredRef | None:
        """What the engine holds at that name."""
        names = self.tree.get(key[0])
        ref = None if names is None else names.get(key[1])
        if ref is None and self.shelf is not None:
            self.shelf.recall_name(key)
            names = self.tree.get(key[0])
            ref = None if names is None else names.get(key[1])
        return ref

    def _keys(self, ino: Ino) -> tuple[EntryKey, ...]:
        keys = self.refs.get(ino)
        if keys is None and self.shelf is not None:
            self.shelf.recall(ino)
            keys = self.refs.get(ino)
        return keys or ()

    def refs_of(self, ino: Ino) -> list[EntryKey]:
        """Every stored name of the inode, fresh ones first."""
        refs = self._keys(ino)
        return sorted(refs, key=lambda key: self.tree[key[0]][key[1]].stale) if len(refs) > 1 else list(refs)

    def fresh_ref(self, ino: Ino) -> EntryKey | None:
        """A stored name that holds the newest bytes that the engine has of the inode (the one to fetch from)."""
        for key in self._keys(ino):
            if not self.tree[key[0]][key[1]].stale:
                return key
        return None

    def stored_path(self, container: Ino) -> bytes | None:
        """The container's path in the engine, ``b""`` for ROOT; None while it is not stored or is parked."""
        parts: list[bytes] = []
        while container != ROOT:
            refs = self.refs.get(container)
            if not refs or refs[0].container == STAGING:
                return None
            container, name = refs[0]
            parts.append(name)
        return b"/".join(reversed(parts))

    def stored_children(self, container: Ino) -> dict[bytes, StoredRef]:
        """What the engine holds directly inside the container, as far as known (a copy)."""
        if self.shelf is not None:
            for name in self.shelf.names_in(container):
                self.shelf.recall_name(EntryKey(container, name))
        return {name: ref for name, ref in self.tree.get(container, {}).items() if name}

    def stored_names(self, container: Ino) -> set[bytes]:
        """The names of what the engine holds directly inside the container, as far as known."""
        names = self.shelf.names_in(container) if self.shelf is not None else set()
        names.update(self.tree.get(container, ()))
        names.discard(b"")
        return names

    def settle(self, key: EntryKey, ref: StoredRef) -> None:
        """A row comes back from the shelf: nothing about the engine has changed."""
        self.tree.setdefault(key.container, {})[key.name] = ref
        self.refs[ref.ino] = (key,)

    def unsettle(self, key: EntryKey) -> None:
        """The row at ``key``, the only one of its inode, goes to the shelf."""
        names = self.tree[key.container]
        del self.refs[names.pop(key.name).ino]
        if not names:
            del self.tree[key.container]

    def load(self, tree: dict[Ino, dict[bytes, StoredRef]]) -> None:
        """Take over a whole tree."""
        refs: dict[Ino, tuple[EntryKey, ...]] = {}
        for container, names in tree.items():
            for name, ref in names.items():
                refs[ref.ino] = (*refs.get(ref.ino, ()), EntryKey(container, name))
        self.tree, self.refs = tree, refs

    def put(self, key: EntryKey, ref: StoredRef) -> None:
        """The engine holds ``ref`` at ``key``, instead of what it held there."""
        old = self.stored(key)
        if old is None or old.ino != ref.ino:
            if old is not None:
                self.take(key)
            self.refs[ref.ino] = (*self._keys(ref.ino), key)
        self.tree.setdefault(key.container, {})[key.name] = ref
        self.touch(key)

    def take(self, key: EntryKey) -> StoredRef | None:
        """The engine holds nothing at ``key`` any more; what it held."""
        names = self.tree.get(key.container)
        ref = names.pop(key.name, None) if names is not None else None
        if ref is None or names is None:
            return None
        if not names:
            del self.tree[key.container]
        left = tuple(other for other in self.refs[ref.ino] if other != key)
        if left:
            self.refs[ref.ino] = left
        else:
            del self.refs[ref.ino]
        self.touch(key)
        return ref

    def rehang(self, container: Ino, heir: Ino) -> None:
        """What is stored directly in the container counts as stored in ``heir``, which has none of these names."""
        names = self.tree.pop(container, {})
        if names:
            self.tree.setdefault(heir, {}).update(names)
        for name, ref in names.items():
            old, new = EntryKey(container, name), EntryKey(heir, name)
            self.refs[ref.ino] = tuple(new if key == old else key for key in self.refs[ref.ino])
            self.touch(old)
            self.touch(new)


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
        left_in_engine: Callable[[Ino, set[Version]], None] = lambda ino, versions: None,
        same_in_engine: Callable[[Ino, Version, Version], None] = lambda ino, gone, held: None,
    ) -> None:
        """``kind_of_named``: what a live inode with a name is, None for all others.

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

    def take(self, key: EntryKey) -> StoredRef | None:
        ref = super().take(key)
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
