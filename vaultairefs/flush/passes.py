"""One pass over everything that is owed: settle, rearrange names, hand bytes to the workers.

Names change one step at a time in here; what carries bytes or only attributes goes to a queue that the workers empty.
Nothing is decided long before it is done: a worker decides again when it takes an item up.
"""

from collections import deque
from typing import Final

import trio

from vaultairefs.flush.conflicts import Conflicts
from vaultairefs.flush.desk import Desk
from vaultairefs.flush.due import DECISION, LOOKS_MAX, Due
from vaultairefs.flush.failures import DISAGREEMENTS, Item
from vaultairefs.flush.leaving import DELETIONS_MAX
from vaultairefs.flush.ledger_view import LedgerView
from vaultairefs.flush.planner import decide_inode, decide_name
from vaultairefs.flush.rearranging import Rearranger
from vaultairefs.flush.sending import Sender
from vaultairefs.flush.settling import Settler
from vaultairefs.flush.steps import (
    Complete,
    CreateContainer,
    Decision,
    Delete,
    DeleteContainer,
    Doomed,
    Link,
    Move,
    Put,
    SetAttributes,
    Settle,
    Stage,
    Step,
    Wait,
    items_of,
)
from vaultairefs.flush.telling import log
from vaultairefs.flush.urgency import Urgency
from vaultairefs.ledger.whereabouts import ROOT_KEY
from vaultairefs.model.changes import ArtifactFlushed
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import ROOT, EntryKey, EntryPath, Ino

_QUEUE_MAX: Final = 2000
"""Items that wait for a worker before no more are looked at: enough to keep any number of workers busy for a while."""


class Passes:
    """``last_seconds`` is how long the last pass took; ``fruitless`` in a row tried nothing but what is withheld.
    Invariant: an item is queued at most once."""

    def __init__(self, desk: Desk, urgency: Urgency) -> None:
        self._desk = desk
        self._urgency = urgency
        self._backlog = desk.ledger.backlog
        self._view = LedgerView(desk, urgency)
        self._due = Due(desk, urgency, self._view)
        conflicts = Conflicts(desk)
        self._rearranger = Rearranger(desk, conflicts)
        self._settler = Settler(desk, conflicts)
        self._sender = Sender(desk, conflicts)
        self._queue: deque[Item] = deque()
        self._queued: set[Item] = set()
        self._arrived = trio.Event()
        self._in_hand: list[Item] = []
        self.last_seconds = 0.0
        self._hopes = self.fruitless = 0
        self._why_unsynced: type[VaultaireError] | None = None

    @property
    def is_working(self) -> bool:
        """Whether a worker has something in hand."""
        return bool(self._in_hand)

    @property
    def has_queue(self) -> bool:
        """Whether there is work for a worker before the next pass."""
        return bool(self._queue)

    @property
    def _works_in_vain(self) -> bool:
        return self._desk.failures.are_lasting([*self._in_hand, *self._queue])

    @property
    def saw_everything(self) -> bool:
        """Whether the last fruitless passes together looked at all that is owed."""
        owed = max(len(self._backlog.owed_names), len(self._backlog.owed_inos))
        return self.fruitless > 1 + 2 * (owed // LOOKS_MAX) and self._works_in_vain

    async def run(self) -> None:
        """One pass, none where the ledger refuses every change.  Raises nothing that an engine or a disk can cause."""
        if self._desk.ledger.refusal is not None:
            return
        started, before = trio.current_time(), self._hopes
        self._forget_old_failures()
        await self._settle_all()
        await self._sync()
        await self._meet_root()
        names = await self._due.names()
        await self._remove_names([key for key in names if self._view.live(key) is None])
        await self._place_names([key for key in names if self._view.live(key) is not None])
        await self._queue_inodes()
        self.last_seconds = trio.current_time() - started
        self.fruitless = self.fruitless + 1 if self._hopes == before and self._works_in_vain else 0

    async def work_once(self) -> None:
        """Take one item from the queue and send it."""
        while not self._queue:
            await self._arrived.wait()
        item = self._queue.popleft()
        self._queued.remove(item)
        self._in_hand.append(item)
        try:
            decision = self._decide(item)
            if isinstance(decision, Put | SetAttributes | Complete):
                await self._attempt(decision)
        finally:
            self._in_hand.remove(item)

    # The parts of a pass

    def _forget_old_failures(self) -> None:
        """A failure of something that is not owed any more is over."""
        for item in self._desk.failures:
            if not self._view.is_owed(item):
                self._desk.failures.clear(item)

    async def _settle_all(self) -> None:
        """Look into every doubt, moves first: what a container holds can be found only when we know where it is."""
        doubts = self._backlog.doubts
        by_importance = sorted(doubts.begun.items(), key=lambda pair: pair[1].verb != "move")
        for key, step in by_importance:
            if key in doubts.begun and not self._is_in_hand(key, step.ino):
                await self._attempt(Settle(key))

    def _is_in_hand(self, key: EntryKey, ino: Ino) -> bool:
        """Whether somebody works there, or waits, or nobody knows where it is."""
        step = self._backlog.doubts.begun[key]
        source = EntryKey(step.source_container, step.source_name)
        if self._view.is_busy(key) or self._backlog.is_busy(ino) or self._backlog.is_busy(source):
            return True
        return self._view.is_adrift(key) or self._view.is_adrift(source)

    async def _sync(self) -> None:
        """The engine must not get ahead of the journal: after a power cut it would hold what never happened."""
        if not self._backlog.owed_names and not self._backlog.owed_inos:
            return
        try:
            await self._desk.ledger.sync()
            self._why_unsynced = None
        except VaultaireError as error:
            if type(error) is not self._why_unsynced:  # full, mostly: what goes to the engine makes room
                log.warning("flush_goes_on_without_sync", reason=str(error))
            self._why_unsynced = type(error)

    async def _meet_root(self) -> None:
        """The root is always there; what is owed of it goes onto whatever version it is."""
        is_owed = ROOT in self._backlog.owed_inos and self._backlog.stored(ROOT_KEY) is None
        if is_owed and not self._desk.failures.waits(ROOT_KEY):
            try:
                root = await self._desk.engine.stat(EntryPath(b"", b""))
                self._desk.ledger.commit(
                    ArtifactFlushed(ROOT, *ROOT_KEY, root.version, content=False, attributes=False)
                )
            except VaultaireError as error:
                self._desk.teller.failure(ROOT_KEY, error)

    async def _remove_names(self, names: list[EntryKey]) -> None:
        """Names that nobody wants: plain ones in batches, the rest one by one."""
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
        await self._delete(batch)
        await self._place_names(others)

    async def _delete(self, batch: dict[EntryKey, Doomed]) -> None:
        """Delete what is still to be deleted: time may have passed since each decision."""
        still = [one for one in batch.values() if self._decide(one.key) == Delete((one,))]
        batch.clear()
        if still:
            await self._attempt(Delete(tuple(still)))

    async def _place_names(self, keys: list[EntryKey]) -> None:
        """Take steps for each name until it is right, has to wait, or is a worker's business."""
        for key in keys:
            if self._is_for_later(key):
                continue
            while True:
                await self._due.give_way(DECISION)
                decision = self._decide(key)
                if decision is None or isinstance(decision, Wait):
                    break
                if isinstance(decision, Put | SetAttributes | Complete):
                    self._enqueue(decision.key if isinstance(decision, Put | SetAttributes) else decision.ino)
                    break
                if not await self._attempt(decision):
                    break

    def _is_for_later(self, key: EntryKey) -> bool:
        """Whether there is nothing to decide now: a worker will, or all of them have enough to do.

        Containers and moves never queue, so they are not held up by a long queue of bytes.
        """
        if key in self._queued:
            return True
        ino = self._backlog.owed_names.get(key)
        if ino in self._desk.awaited:
            return False
        return len(self._queue) >= _QUEUE_MAX and ino is not None and self._backlog.owes_content(ino)

    async def _queue_inodes(self) -> None:
        """Bytes and attributes of what has its name already; the rest comes with its name."""
        room = max(_QUEUE_MAX - len(self._queue), 0)
        for ino in await self._due.inodes(2 * room):
            if ino in self._queued or not self._backlog.refs_of(ino):
                continue
            await self._due.give_way(DECISION)
            if isinstance(decide_inode(self._view, ino), Put | SetAttributes):
                self._enqueue(ino)

    def _enqueue(self, item: Item) -> None:
        if item not in self._queued:
            self._queued.add(item)
            ino = self._backlog.owed_names.get(item) if isinstance(item, tuple) else item
            (self._queue.appendleft if ino in self._desk.awaited else self._queue.append)(item)
        self._arrived.set()
        self._arrived = trio.Event()

    def _decide(self, item: Item) -> Decision:
        if self._desk.failures.waits(item):
            return Wait("its last try failed")
        try:
            return self._choose(item)
        except Exception as error:  # a defect must not keep everything behind this item from being looked at
            log.exception("flush_decision_failed")
            self._desk.teller.failure(item, error)
            return Wait("a defect")

    def _choose(self, item: Item) -> Decision:
        if isinstance(item, tuple):
            return decide_name(self._view, item)
        if self._view.is_lifeline(item):
            return Complete(item)
        return decide_inode(self._view, item)

    # One step

    async def _attempt(self, step: Step) -> bool:
        """Do one step; False when it failed, which is kept for ``status`` and the next try."""
        items = items_of(step)
        is_lasting = self._desk.failures.are_lasting(items)
        self._hopes += not is_lasting
        try:
            await self._carry_out(step)
        except VaultaireError as error:
            at_once = isinstance(error, DISAGREEMENTS) and not isinstance(step, Settle | Complete)
            for item in items:
                self._desk.teller.failure(item, error, at_once=at_once)
            return False
        except Exception as error:  # a defect, of an engine perhaps, is one item's failure like any other
            log.exception("flush_step_failed")
            for item in items:
                self._desk.teller.failure(item, error)
            return False
        self._hopes += is_lasting
        if not isinstance(step, Settle | Delete):
            for item in items:
                self._desk.failures.clear(item)
        return True

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Put():
                await self._sender.put(step)
            case SetAttributes():
                await self._sender.set_attributes(step)
            case Complete(ino):
                await self._desk.fetcher.complete(ino)
            case Settle(key):
                await self._settler.settle(key)
            case CreateContainer() | Move() | Stage() | Link() | Delete() | DeleteContainer():
                await self._rearranger.carry_out(step)
