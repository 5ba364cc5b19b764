"""What the engine holds, row by row, and where each inode is in it."""

from collections.abc import Callable
from typing import Protocol

from vaultairefs.backlog.debts import StoredRef
from vaultairefs.backlog.flights import Flights
from vaultairefs.model.values import ROOT, STAGING, EntryKey, Ino


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
    ``grouped`` are the inodes that have, or may have had, several names that are artifacts of their own, with the
    engine's link id where it gave one; ``regroup`` are those whose rows have changed since ``settle_group``.
    Invariants: ``regroup`` is part of ``grouped``; ``refs`` is the inverse of ``tree``; no inner dict is empty; names
    of one inode that are not stale hold the same bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shelf: Shelf | None = None
        self.tree: dict[Ino, dict[bytes, StoredRef]] = {}
        self.refs: dict[Ino, tuple[EntryKey, ...]] = {}
        self.grouped: dict[Ino, str] = {}
        self.regroup: set[Ino] = set()
        self.names_of: Callable[[Ino], int] = lambda ino: 1
        """How many names an inode has for programs."""

    def settle_group(self, ino: Ino, *, is_group: bool) -> None:
        """The engine was told of all names of the inode; ``is_group``: of more than one."""
        self.regroup.discard(ino)
        if not is_group:
            self.grouped.pop(ino, None)

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

    def _names_beside(self, key: EntryKey) -> tuple[EntryKey, ...]:
        ref = self.tree.get(key.container, {}).get(key.name)
        # One on the shelf has no other name.
        return (key,) if ref is None else self.refs[ref.ino]

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
        if len(self.refs[ref.ino]) > 1 and self.names_of(ref.ino) > 1:
            self.grouped.setdefault(ref.ino, "")
        if ref.ino in self.grouped:
            self.regroup.add(ref.ino)
        self.tree.setdefault(key.container, {})[key.name] = ref
        self.touch(key)

    def put_found(self, key: EntryKey, ref: StoredRef, link_id: str) -> None:
        """``put`` what the engine showed, which said itself that this is one name of several where it gave an id."""
        was_owed = ref.ino in self.regroup
        self.put(key, ref)
        if link_id:
            self.grouped[ref.ino] = link_id
            if not was_owed:
                self.regroup.discard(ref.ino)

    def take(self, key: EntryKey, *, is_ours: bool = True) -> StoredRef | None:
        """The engine holds nothing at ``key`` any more; what it held.  ``is_ours``: that is our work, so others have to
        be told."""
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
        if is_ours and ref.ino in self.grouped:
            self.regroup.add(ref.ino)
        self.touch(key)
        return ref

    def forget_inside(self, container: Ino) -> None:
        """Nothing is known any more of what the engine holds directly in the container."""
        for name in list(self.tree.get(container, ())):
            self.take(EntryKey(container, name))

    def rehang(self, container: Ino, heir: Ino) -> None:
        """What is stored directly in the container counts as stored in ``heir``, which has none of these names."""
        self.stored_children(container)  # what is on the shelf comes along
        names = self.tree.pop(container, {})
        if names:
            self.tree.setdefault(heir, {}).update(names)
        for name, ref in names.items():
            old, new = EntryKey(container, name), EntryKey(heir, name)
            self.refs[ref.ino] = tuple(new if key == old else key for key in self.refs[ref.ino])
            self.touch(old)
            self.touch(new)
