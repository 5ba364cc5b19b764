"""The ledger: open, commit, note."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import structlog
import trio

from vaultairefs.buffer import Body, Phase
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.events import EventLog
from vaultairefs.journal import Journal, JournalEntry
from vaultairefs.ledger import fingerprint
from vaultairefs.ledger.durability import Durability
from vaultairefs.ledger.opening import recover
from vaultairefs.ledger.recovery import Recovery
from vaultairefs.ledger.shelf import IN_USE_MAX
from vaultairefs.ledger.witness import Witness, announce
from vaultairefs.model.changes import (
    NO_INO,
    ArtifactConflicted,
    ArtifactDeleted,
    ArtifactFlushed,
    ArtifactMoved,
    BodyClosed,
    BodyEvicted,
    BodyOpened,
    BodySynced,
    Change,
    EntryRemoved,
    EntryRenamed,
    ExtentsFetched,
    ExtentsWritten,
    StepBegun,
    StepEnded,
    Truncated,
)
from vaultairefs.model.context import current
from vaultairefs.model.errors import ReadOnly, Stale, VaultaireError
from vaultairefs.model.values import Ino, Kind, Sequence

_log: Final = structlog.get_logger()

_LOOKS: Final = 4
"""For each change and each operation: more than either can bring into use."""


class Ledger(Durability):
    """The state of a volume.  ``namespace``, ``buffer``, ``backlog`` are read freely and changed only through here.

    ``events`` is the event log, ``recovered`` says what ``open`` replayed, ``witnesses`` are told of what no program
    asked for.
    Invariant: a change is posted exactly when it is in the journal.
    """

    def __init__(self, journal: Journal, events: EventLog, recovery: Recovery, *, checkpoint_bytes: int) -> None:
        """For ``open`` only."""
        super().__init__(
            recovery.rooms,
            journal,
            events,
            sequence=recovery.sequence,
            operation_id=recovery.operation_id,
            clock_ns=recovery.clock_ns,
            checkpoint_bytes=checkpoint_bytes,
        )
        self.namespace = recovery.rooms.namespace
        self.buffer = recovery.rooms.buffer
        self.backlog = recovery.rooms.backlog
        self.recovered = recovery.report
        self.witnesses: list[Witness] = []
        self.mount_id = ""
        """The state directory's, which no other has."""

    @classmethod
    async def open(
        cls,
        state: StateDirectory,
        *,
        tenant: str = "",
        mount: str = "",
        clock_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] | None = None,
        root_owner: tuple[int, int] = (0, 0),
        buffer_size: int = 20 << 30,
        checkpoint_bytes: int = 32 << 20,
        in_use_max: int = IN_USE_MAX,
    ) -> "Ledger":
        """Recover what the state directory holds.

        ``mount`` is what events call this mount (default: the state's mount id); ``clock`` counts seconds (default:
        trio's, without a detour, for every change asks it several times); ``root_owner`` is uid and gid of a new root
        container; the journal is checkpointed when it passes ``checkpoint_bytes``; clean inodes beyond ``in_use_max``
        are kept packed.  ``BadInput`` for a newer format, ``OutOfSpace`` when there is no room to recover.
        """
        clock = clock or trio.lowlevel.current_clock().current_time
        journal, events, recovery = await trio.to_thread.run_sync(
            partial(
                recover,
                state,
                tenant=tenant,
                mount=mount,
                clock_ns=clock_ns,
                now=clock(),
                root_owner=root_owner,
                buffer_size=buffer_size,
                in_use_max=in_use_max,
            )
        )
        recovery.rooms.backlog.clock = clock
        ledger = cls(journal, events, recovery, checkpoint_bytes=checkpoint_bytes)
        ledger.mount_id = state.mount_id
        if recovery.needs_checkpoint:
            await ledger.checkpoint()
        await trio.to_thread.run_sync(state.recovered)
        return ledger

    def commit(self, change: Change) -> Sequence:
        """Journal the change, then post it.  When this returns, kill -9 loses nothing of it.

        Nothing has happened when it raises: the errors of ``Namespace.check`` and ``Buffer.check``, ``OutOfSpace``
        (journal full), ``ReadOnly``/``DeviceFailed`` after an earlier failure of the journal.
        """
        if self.refusal is not None:
            raise self.refusal
        rooms = self._rooms
        prepare = _PREPARATIONS.get(type(change))
        if prepare is not None:
            change = prepare(self, change)
        rooms.check(change)
        asked = current()
        sequence = Sequence(self._sequence + 1)
        entry = JournalEntry(
            sequence, self._clock_ns(), asked.operation_id, asked.operation, asked.pid, asked.uid, change
        )
        try:
            self._journal.append(entry, is_urgent=type(change) in _URGENT)
        except VaultaireError:
            if isinstance(change, ExtentsWritten):
                # The bytes are in the file already, and must not show up in a hole that is made there later.
                self.buffer.cut_back(change.ino)
            raise
        self._sequence = sequence
        if self._in_flight.get(asked.operation_id, entry) is None:
            self._in_flight[asked.operation_id] = entry
        try:
            rooms.post(sequence, change)
        except BaseException as error:
            _log.exception("a journalled change could not be posted: the volume is read-only now", change=repr(change))
            self.refusal = ReadOnly("an internal error stopped all changes; what was acknowledged is kept")
            raise self.refusal from error
        if type(change) is EntryRenamed and change.replaced != NO_INO:
            # Not safe before the bytes behind both names are.
            rooms.exposed |= {change.ino, change.replaced} if change.exchange else {change.ino}
        elif self.witnesses:
            announce(self.witnesses, change)
        if rooms.shelf.is_wanted:
            rooms.shelf.put_away(_LOOKS)
        return sequence

    def note_write(self, ino: Ino, offset: int, length: int, time_ns: int) -> None:
        """Bytes were written into an OPEN body: size, mtime, ctime, dirty, content_generation.  No journal record.

        ``ReadOnly``/``DeviceFailed`` after an earlier failure: the bytes must not be acknowledged.
        """
        if self.refusal is not None:
            raise self.refusal
        inode = self.namespace.inodes[ino]
        body = self.buffer.known(ino)
        end = offset + length
        if end > inode.size:
            inode.size = end
            if offset > body.size:
                body.dirty.add(body.size, offset)
            body.size = end
        inode.mtime_ns = inode.ctime_ns = time_ns
        inode.content_generation += 1
        body.dirty.add(offset, end)
        body.changes += 1
        body.unflushed = True
        if inode.nlink:
            self.backlog.note_content(ino)

    def begin_body(self, ino: Ino) -> Body:
        """The inode's body, begun (``ExtentsFetched`` without extents, pinned to the stored version) if ABSENT.

        Before the first fetch into, or write to, an ABSENT body.  ``Stale`` when the engine holds no version.
        """
        body = self.buffer.find(ino)
        if body is None or body.phase is Phase.ABSENT:
            key = self.backlog.fresh_ref(ino)
            ref = None if key is None else self.backlog.stored(key)
            if ref is None:
                raise Stale(f"the engine holds no bytes of inode {ino}")
            self.commit(ExtentsFetched(ino, (), ref.version, self.namespace.get(ino).size))
            body = self.buffer.known(ino)
        return body

    def body_closed(self, ino: Ino) -> BodyClosed:
        """The change to commit when the last writer of an OPEN body leaves, from the live state."""
        inode, body = self.namespace.get(ino), self.buffer.known(ino)
        return BodyClosed(ino, inode.size, inode.mtime_ns, inode.ctime_ns, body.unflushed)

    def drop(self, ino: Ino) -> None:
        """Forget an inode with nlink 0, once no handle and no lookup needs it.  No-op while it has names or handles."""
        inode = self.namespace.find(ino)
        body = self.buffer.find(ino)
        if inode is None or inode.nlink or (body is not None and body.handles):
            return
        self.namespace.forget(ino)
        self.buffer.empty(ino, self._sequence)

    def may_forget(self, ino: Ino) -> bool:
        """Whether ``ContainerForgotten`` fits: everything in the container is clean and nobody uses it."""
        container = self.namespace.find(ino)
        return container is not None and container.nlink > 0 and self._rooms.shelf.holds_all_of(container)

    def next_operation_id(self) -> int:
        """A number for ``OperationContext.operation_id``, above all of earlier lives of this state directory."""
        self._operation_id += 1
        if self._rooms.shelf.is_wanted:
            self._rooms.shelf.put_away(_LOOKS)
        self._in_flight[self._operation_id] = None
        return self._operation_id

    def operation_ended(self, operation_id: int) -> None:
        """The operation has its event; one that has not when the daemon dies is given one by recovery."""
        self._in_flight.pop(operation_id, None)

    def fingerprint(self) -> Any:
        """A canonical value of the whole state with OPEN bodies folded: equal before a crash and after recovery."""
        return fingerprint.fingerprint(self._rooms)


def _prepare_truncated(ledger: Ledger, change: Truncated) -> Truncated:
    """Bytes that stay are those of the stored version: pin it first.  What programs have mapped stays the same file."""
    if change.size:
        ledger.begin_body(change.ino)
        return change
    body = ledger.buffer.find(change.ino)
    if body is None or not body.was_passed or ledger.buffer.passed.may_be_replaced(body):
        return change
    return msgspec.structs.replace(change, in_place=True)


def _prepare_flushed(ledger: Ledger, change: ArtifactFlushed) -> ArtifactFlushed:
    """Recovery after a power cut needs the size that an OPEN body had at this moment."""
    inode = ledger.namespace.find(change.ino)
    if change.content and change.size < 0 and inode is not None and inode.kind is Kind.FILE:
        return msgspec.structs.replace(change, size=inode.size)
    return change


def _prepare_opened(ledger: Ledger, change: BodyOpened) -> BodyOpened:
    """From here the file's own mtime counts: let it be the one that programs see."""
    ledger.buffer.set_times(change.ino, ledger.namespace.get(change.ino).mtime_ns)
    return change


_URGENT: Final = frozenset(
    {
        ArtifactConflicted,
        ArtifactDeleted,
        ArtifactFlushed,
        ArtifactMoved,
        BodyClosed,
        BodyEvicted,
        BodySynced,
        EntryRemoved,
        StepBegun,
        StepEnded,
    }
)
"""What makes room, or leads to it: on a full disk these may use the journal's reserve."""

_PREPARATIONS: Final[dict[type, Callable[[Ledger, Any], Any]]] = {
    Truncated: _prepare_truncated,
    ArtifactFlushed: _prepare_flushed,
    BodyOpened: _prepare_opened,
}
