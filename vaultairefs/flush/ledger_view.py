"""The planner's view of the ledger at this moment."""

from collections.abc import Iterable

from vaultairefs.backlog import StoredRef
from vaultairefs.flush.desk import Desk
from vaultairefs.flush.failures import Item
from vaultairefs.flush.urgency import Urgency
from vaultairefs.ledger.whereabouts import ROOT_KEY, chain_of
from vaultairefs.model.values import ROOT, STAGING, EntryKey, Ino, Kind


class LedgerView:
    """See ``View`` for what each answer means.  ``owed_containers`` is counted once per round (``Due``)."""

    def __init__(self, desk: Desk, urgency: Urgency) -> None:
        self._desk = desk
        self._urgency = urgency
        self._namespace = desk.ledger.namespace
        self._backlog = desk.ledger.backlog
        self._buffer = desk.ledger.buffer
        self.owed_containers: set[Ino] = set()
        """Containers with something owed directly inside."""

    @property
    def moves(self) -> bool:
        return self._desk.engine.capabilities.moves

    @property
    def links(self) -> bool:
        return self._desk.engine.capabilities.links

    @property
    def times_disturbed(self) -> bool:
        return self._desk.engine.capabilities.container_times_disturbed

    def containers_of(self, ino: Ino) -> list[Ino]:
        """Those that hold the inode for programs."""
        return [key.container for key in self.live_keys(ino) if key != ROOT_KEY]

    def live(self, key: EntryKey) -> Ino | None:
        if key.container == STAGING:
            return None
        if key == ROOT_KEY:
            return ROOT
        inode = self._namespace.find(key.container)
        if inode is None or inode.children is None:
            return None
        return inode.children.get(key.name)

    def is_owed(self, item: Item) -> bool:
        """Whether there is still anything to do about a name or an inode."""
        backlog = self._backlog
        if not isinstance(item, tuple):
            return item in backlog.owed_inos or item in backlog.regroup or self.is_lifeline(item)
        ref, live = backlog.stored(item), self.live(item)
        inos = {live, ref.ino if ref is not None else None}
        if item in backlog.owed_names or item in backlog.doubts.begun:
            return True
        return any(ino in backlog.owed_inos for ino in inos if ino is not None)

    def live_keys(self, ino: Ino) -> list[EntryKey]:
        if ino == ROOT:
            return [ROOT_KEY]
        inode = self._namespace.find(ino)
        return list(inode.refs) if inode is not None else []

    def stored(self, key: EntryKey) -> StoredRef | None:
        return self._backlog.stored(key)

    def stored_keys(self, ino: Ino) -> list[EntryKey]:
        return self._backlog.refs_of(ino)

    def stored_children(self, container: Ino) -> Iterable[EntryKey]:
        return [EntryKey(container, name) for name in self._backlog.stored_children(container)]

    def is_container(self, ino: Ino) -> bool:
        inode = self._namespace.find(ino)
        if inode is not None:
            return inode.children is not None
        if ino in self._backlog.containers:
            return True
        holds = self._backlog.doubts.below(ino) or self._backlog.stored_children(ino)
        if holds and ino not in self._desk.removed_containers:
            self._desk.removed_containers.add(ino)  # remembered for when it has been emptied
        return ino in self._desk.removed_containers

    def content_owed(self, ino: Ino) -> bool:
        if not self._backlog.owes_content(ino):
            return False
        inode = self._namespace.find(ino)
        return inode is not None and inode.kind is not Kind.CONTAINER

    def attributes_owed(self, ino: Ino) -> bool:
        owed = self._backlog.owed_inos.get(ino)
        return owed is not None and owed.attributes

    def content_ready(self, ino: Ino) -> bool:
        return self._urgency.is_inode_ready(ino) or any(map(self._urgency.is_overdue, self.live_keys(ino)))

    def is_lifeline(self, ino: Ino) -> bool:
        inode = self._namespace.find(ino)
        if inode is None or inode.nlink or inode.children is not None:
            return False
        body = self._buffer.find(ino)
        return body is not None and body.handles > 0 and not body.complete

    def completes(self, ino: Ino) -> bool:
        return self._urgency.insists

    def is_busy(self, key: EntryKey) -> bool:
        return self._backlog.is_busy(key) or self._desk.failures.waits(key)

    def is_busy_inode(self, ino: Ino) -> bool:
        return self._backlog.is_busy(ino) or ino in self._desk.pins or self._desk.failures.waits(ino)

    def doubt_about(self, key: EntryKey) -> EntryKey | None:
        return self._backlog.doubts.about(key)

    def doubt_about_inode(self, ino: Ino) -> EntryKey | None:
        return self._backlog.doubts.about_inode(ino)

    def is_adrift(self, key: EntryKey) -> bool:
        doubts = self._backlog.doubts
        return bool(doubts.begun) and any(map(doubts.is_leaving, chain_of(self._backlog, key.container) or ()))

    def has_unsettled(self, container: Ino) -> bool:
        return self._backlog.doubts.below(container)

    def has_owed_below(self, container: Ino) -> bool:
        return container in self.owed_containers
