"""One pass over everything that is owed: settle, rearrange names, hand bytes to the workers.

Names change one step at a time in here; what carries bytes or only attributes goes to a queue that the workers empty.
Nothing is decided long before it is done: a worker decides again when it takes an item up.
"""

from collections import deque
from typing import Final

import trio

from vaultairefs.flush.attempts import Attempts
from vaultairefs.flush.desk import Desk
from vaultairefs.flush.due import DECISION, LOOKS_MAX, Due, Round
from vaultairefs.flush.failures import Item
from vaultairefs.flush.grouping import decide_group
from vaultairefs.flush.ledger_view import LedgerView
from vaultairefs.flush.planner import decide_inode, decide_name
from vaultairefs.flush.removing import Removals
from vaultairefs.flush.steps import (
    Complete,
    Copy,
    Decision,
    Delete,
    Group,
    Put,
    SetAttributes,
    Settle,
    Stage,
    Step,
    Wait,
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
    """``last_seconds`` is how long the last pass took; ``fruitless`` in a row tried nothing but what is withheld, and
    ``quiet`` in a row found nothing to do at all.
    Invariant: an item is queued at most once."""

    def __init__(self, desk: Desk, urgency: Urgency) -> None:
        self._desk = desk
        self._urgency = urgency
        self._backlog = desk.ledger.backlog
        self._view = LedgerView(desk, urgency)
        self._due = Due(desk, urgency, self._view)
        self._groups = Round(lambda: self._backlog.regroup)
        self._attempts = Attempts(desk)
        self._removals = Removals(desk, self._view, self._due, self._attempts, self._decide)
        self._queue: deque[Item] = deque()
        self._queued: set[Item] = set()
        self._arrived = trio.Event()
        self._in_hand: list[Item] = []
        self.last_seconds = 0.0
        self.fruitless = self.quiet = 0
        self._arrivals = 0

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
        started, before, arrived = trio.current_time(), self._attempts.hopes, self._arrivals
        self._removals.more_may_come = self.has_queue or self.is_working
        self._forget_old_failures()
        await self._settle_all()
        await self._meet_root()
        names = await self._due.names()
        unwanted = [key for key in names if self._view.live(key) is None]
        await self._place_names(await self._removals.remove(unwanted))
        await self._place_names([key for key in names if self._view.live(key) is not None])
        await self._queue_inodes()
        await self._queue_groups()
        self.last_seconds = trio.current_time() - started
        self.quiet = self.quiet + 1 if (self._attempts.hopes, self._arrivals) == (before, arrived) else 0
        self.fruitless = self.fruitless + 1 if self._attempts.hopes == before and self._works_in_vain else 0

    async def work_once(self) -> None:
        """Take one item from the queue and send it."""
        while not self._queue:
            await self._arrived.wait()
        item = self._queue.popleft()
        self._queued.remove(item)
        self._in_hand.append(item)
        try:
            while self._is_for_worker(decision := self._decide(item)):
                assert decision is not None and not isinstance(decision, Wait)
                if not await self._attempts.attempt(decision) or not self._goes_on(decision, item):
                    break
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
                await self._attempts.attempt(Settle(key))

    def _is_in_hand(self, key: EntryKey, ino: Ino) -> bool:
        """Whether somebody works there, or waits, or nobody knows where it is."""
        step = self._backlog.doubts.begun[key]
        source = EntryKey(step.source_container, step.source_name)
        if self._view.is_busy(key) or self._backlog.is_busy(ino) or self._backlog.is_busy(source):
            return True
        return self._view.is_adrift(key) or self._view.is_adrift(source)

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
                if self._is_for_worker(decision):
                    self._enqueue(self._item_of(decision, key))
                    break
                if isinstance(decision, Delete) and self._removals.waits_for_more(decision):
                    break
                if not await self._attempts.attempt(decision):
                    break

    def _is_for_later(self, key: EntryKey) -> bool:
        """Whether there is nothing to decide now: a worker will, or all of them have enough to do.

        Containers and moves never queue, so they are not held up by a long queue of bytes.
        """
        if key in self._queued:
            return True
        ino = self._backlog.owed_names.get(key)
        if len(self._queue) < _QUEUE_MAX or ino is None or ino in self._desk.awaited:
            return False
        return self._backlog.owes_content(ino) or (not self._view.moves and not self._view.is_container(ino))

    def _is_for_worker(self, decision: Decision) -> bool:
        """Whether the step carries bytes or attributes, here or inside the engine, so that many may run at once."""
        if isinstance(decision, Stage):
            return not self._view.moves
        return isinstance(decision, Put | Copy | SetAttributes | Group | Complete)

    def _item_of(self, decision: Decision, key: EntryKey) -> Item:
        """What a worker must decide about to find the step again."""
        if isinstance(decision, Put | Copy | SetAttributes):
            return decision.key
        return decision.ino if isinstance(decision, Complete | Group) else key

    def _goes_on(self, done: Step, item: Item) -> bool:
        """Whether the step was only on the way to what the item needs."""
        return isinstance(done, Stage) or (isinstance(done, Copy) and done.key != item)

    async def _queue_inodes(self) -> None:
        """Bytes and attributes of what has its name already; the rest comes with its name."""
        room = max(_QUEUE_MAX - len(self._queue), 0)
        for ino in await self._due.inodes(2 * room):
            if ino in self._queued or not self._backlog.refs_of(ino):
                continue
            await self._due.give_way(DECISION)
            if isinstance(decide_inode(self._view, ino), Put | SetAttributes):
                self._enqueue(ino)

    async def _queue_groups(self) -> None:
        """What belongs together, when all of it is where it should be."""
        if not self._desk.engine.capabilities.groups:
            self._backlog.regroup.clear()
        room = max(_QUEUE_MAX - len(self._queue), 0)
        for ino in self._groups.take(2 * room):
            await self._due.give_way(DECISION)
            is_due = ino in self._backlog.regroup and ino not in self._queued
            if is_due and isinstance(self._decide(ino), Group):
                self._enqueue(ino)

    def _enqueue(self, item: Item) -> None:
        if item not in self._queued:
            self._queued.add(item)
            self._arrivals += 1
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
        decision = decide_inode(self._view, item)
        if decision is not None or item not in self._backlog.regroup:
            return decision
        return decide_group(self._view, item)
