"""Bring the rooms back to where the last daemon left them.

The checkpoint is loaded, the journal behind it posted again, and the body files are settled (``salvage.py``).  After
``kill -9`` that is everything.  After a power cut the entries behind the last sync mark are provisional: the replay
ends before the first rename that would put a body over an existing name without anybody having synced it.
Every step may be interrupted and repeated: nothing is deleted before a checkpoint or a record says so durably.
Blocking; one thread, and nobody else sees the rooms meanwhile.
"""

from collections.abc import Callable
from typing import Final

import structlog

from vaultairefs.backlog.posting import pay
from vaultairefs.buffer import Body, Phase
from vaultairefs.buffer.bodies import Dead
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.events import EventLog
from vaultairefs.journal import Journal, JournalEntry
from vaultairefs.ledger import checkpoint, outliving, salvage
from vaultairefs.ledger.completion import complete_events
from vaultairefs.ledger.report import RecoveryReport
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.changes import (
    NO_INO,
    ArtifactConflicted,
    ArtifactFlushed,
    BodyClosed,
    BodyEvicted,
    BodySynced,
    Change,
    EntryRenamed,
    ExtentsWritten,
    Truncated,
)
from vaultairefs.model.values import Ino, Sequence

_log: Final = structlog.get_logger()

BODY_REPORT: Final = "unsynced-body-"
"""Quarantine reports of bodies whose fdatasync failed are named so: they stay refused in later lives."""


def body_report_name(body: Body) -> str:
    """The name of the report on a body that could not be synced."""
    return f"{BODY_REPORT}{body.ino:x}-{body.body_id:x}"


class Recovery:
    """One recovery; ``run`` once, then take ``rooms``, ``sequence`` and ``operation_id``.

    ``needs_checkpoint``: the state differs from what the journal says, so write it down before anything else.
    """

    def __init__(
        self,
        state: StateDirectory,
        journal: Journal,
        events: EventLog,
        make_rooms: Callable[[], Rooms],
        clock_ns: Callable[[], int],
    ) -> None:
        self.rooms = make_rooms()
        self.sequence = Sequence(0)
        self.operation_id = 0
        self.needs_checkpoint = False
        self.report = RecoveryReport(power_was_cut=state.power_was_cut)
        self._state = state
        self._journal = journal
        self._events = events
        self._make_rooms = make_rooms
        self.clock_ns = clock_ns
        self._checkpoint: checkpoint.Checkpoint | None = None
        self._payload = b""
        self._spent = False
        self._misfits: set[Ino] = set()
        self._written: dict[Ino, list[salvage.Written]] = {}

    def run(self) -> None:
        """Recover.  ``BadInput`` for a newer format, ``Corrupt`` when no checkpoint can be read at all."""
        start = self._load()
        entries = list(self._journal.entries(start))
        replayed = self._replay_all(start, entries)
        self._forget_nameless()
        self._settle_files()
        if self.report.power_was_cut:
            self._salvage()
        self._fit_lengths()
        self._close_open()
        self._complete_events(replayed)
        self.report.damage += [*self._journal.damage, *self._events.damage]
        self.rooms.buffer.replaying = False
        for sentence in self.report.damage:
            _log.warning("recovery met damage", damage=sentence)

    # Names

    def _load(self) -> Sequence:
        """Read the newest checkpoint; the sequence that it stands at."""
        found = self._journal.read_checkpoint()
        if found is None:
            self.needs_checkpoint = True
            return Sequence(0)
        sequence, payload = found
        self._checkpoint = checkpoint.decode(payload)
        self._payload = payload
        return sequence

    def _begin(self, start: Sequence) -> None:
        """Rooms as they were at the checkpoint."""
        self.rooms = self._make_rooms()
        self.rooms.buffer.replaying = True
        self.sequence = start
        self._misfits.clear()
        self._written.clear()
        if self._checkpoint is not None:
            # Posting changes the inodes in place, so a second try decodes them again.
            saved = checkpoint.decode(self._payload) if self._spent else self._checkpoint
            checkpoint.restore(self.rooms, saved)
            self._spent = True

    def _replay_all(self, start: Sequence, entries: list[JournalEntry]) -> list[JournalEntry]:
        """Post what counts; entries behind that go to quarantine.  Returns the posted ones."""
        changes = [entry for entry in entries if entry.change is not None]
        mark = max((entry.sequence for entry in entries if entry.change is None), default=start)
        limit, reason = len(changes), ""
        while True:
            self._begin(start)
            posted, problem = self._replay(changes[:limit], mark)
            if posted == limit and problem is None:
                break
            # Rooms that stopped in the middle of a change are not to be used: post again, up to the one before.
            limit, reason = posted, problem or reason
        if limit < len(changes):
            self._heed_syncs([entry.change for entry in changes[limit:] if entry.change is not None])
            self.report.changes_dropped = len(changes) - limit
            self._journal.truncate_after(self.sequence, reason)
            self.report.damage.append(reason)
            self.needs_checkpoint = True
        self.report.changes_replayed = limit
        return changes[:limit]

    def _replay(self, entries: list[JournalEntry], mark: Sequence) -> tuple[int, str | None]:
        """Post entries in order; how many, and why not all."""
        for number, entry in enumerate(entries):
            change = entry.change
            assert change is not None
            if self.report.power_was_cut and entry.sequence > mark and self._is_unsafe(change):
                return number, f"the power was cut before the file behind rename {entry.sequence} was on the disk"
            try:
                self._note(change)
                self.rooms.post(entry.sequence, change)
            except Exception as error:
                _log.exception("a change cannot be posted", sequence=entry.sequence)
                return number, f"change {entry.sequence} ({type(change).__name__}) cannot be posted: {error!r}"
            self.sequence = entry.sequence
        return len(entries), None

    def _heed_syncs(self, dropped: list[Change]) -> None:
        """A body that is on the disk is there, although the record that says so stands behind one that is dropped."""
        replaced: set[Ino] = set()
        for change in dropped:
            if isinstance(change, BodySynced):
                if change.ino not in replaced:
                    self.rooms.buffer.apply(self.sequence, change)
            elif isinstance(change, Truncated | BodyEvicted | ArtifactFlushed | ArtifactConflicted):
                replaced.add(change.ino)

    def _note(self, change: Change) -> None:
        """Remember what the body files have to be asked about afterwards."""
        if isinstance(change, ExtentsWritten):
            body = self.rooms.buffer.known(change.ino)
            written = salvage.Written(body.body_id, change.offset, change.length, change.checksum)
            self._written.setdefault(change.ino, []).append(written)
        elif isinstance(change, BodySynced) and not change.extents:
            self._written.pop(change.ino, None)
        elif isinstance(change, Truncated):
            self._misfits.add(change.ino)

    def _is_unsafe(self, change: Change) -> bool:
        """Whether a provisional rename puts bytes over a name that nobody synced."""
        if not isinstance(change, EntryRenamed) or change.replaced == NO_INO:
            return False
        inodes = (change.ino, change.replaced) if change.exchange else (change.ino,)
        bodies = [body for ino in inodes if (body := self.rooms.buffer.find(ino)) is not None]
        return any(not salvage.is_clean(body) for body in bodies)

    def _forget_nameless(self) -> None:
        """No handle outlives a daemon, so nothing needs an inode without a name."""
        for inode in list(self.rooms.namespace.inodes.values()):
            if inode.nlink == 0:
                self.rooms.namespace.forget(inode.ino)
                self.rooms.buffer.empty(inode.ino, self.sequence)

    # Bodies

    def _settle_files(self) -> None:
        """Learn which body files there are; those that no body owns are freed, or kept where something was lost."""
        buffer = self.rooms.buffer
        buffer.graveyard.clear()
        reasons = "; ".join(self._journal.damage + self.report.damage)
        for ino, body_id, allocated, length in list(buffer.files.scan()):
            body = buffer.find(ino)
            if body is not None and body.phase is not Phase.ABSENT and body.body_id == body_id:
                body.allocated = allocated
                if length > body.size:
                    self._misfits.add(ino)
            elif reasons and allocated:
                path = buffer.files.path(ino, body_id)
                self._state.quarantine(f"body-{ino:x}-{body_id:x}", path, reasons)
            else:
                buffer.graveyard.append(Dead(self.sequence, ino, body_id, allocated))
                self.report.orphans_removed += 1
        buffer.recount()
        failed = {report.name for report in self._state.quarantined() if report.name.startswith(BODY_REPORT)}
        for body in buffer.all() if failed else ():
            body.failed |= body_report_name(body) in failed

    def _salvage(self) -> None:
        """After a power cut: see ``salvage.py``."""
        self.needs_checkpoint = True
        buffer, namespace = self.rooms.buffer, self.rooms.namespace
        for body in buffer.all():
            if body.phase is Phase.ABSENT or body.failed:
                continue
            if salvage.is_clean(body):
                buffer.empty(body.ino, self.sequence)
                self.report.bodies_discarded += 1
            elif salvage.stands_alone(buffer, body):
                body.frail = salvage.may_have_arrived(self.rooms.backlog, buffer, body)
                self._take_length(body)
            else:
                salvage.revert(buffer, body, self._written.get(body.ino, []))
                namespace.get(body.ino).size = body.size
                self.report.bodies_reverted += 1
                if salvage.is_as_stored(self.rooms.backlog, body):
                    buffer.empty(body.ino, self.sequence)
                    pay(self.rooms.backlog, body.ino, content=True, attributes=False)
                    self.rooms.backlog.owe(body.ino, attributes=True)
                else:
                    self.rooms.backlog.owe(body.ino, content=True)

    def _take_length(self, body: Body) -> None:
        """A closed body whose file lost its end is as long as its file; bytes behind its end were cut off before."""
        if body.phase is not Phase.CLOSED:
            return
        length = salvage.file_length(self.rooms.buffer, body)
        if length < body.size:
            inode = self.rooms.namespace.get(body.ino)
            self._commit(BodyClosed(body.ino, length, inode.mtime_ns, inode.ctime_ns))
        elif length > body.size:
            self.rooms.buffer.truncate_file(body.ino, body.size)

    def _fit_lengths(self) -> None:
        """A crash right behind ``Truncated``, or between a write and its record, left the file's length as it was;
        where a writer is known to have been at work since, its length is the truth."""
        for ino in self._misfits:
            body = self.rooms.buffer.find(ino)
            if body is None or body.phase is not Phase.CLOSED or body.failed:
                continue
            if salvage.file_length(self.rooms.buffer, body) != body.size:
                self.rooms.buffer.truncate_file(ino, body.size)

    def _close_open(self) -> None:
        """Bodies that were open for writing are what their files say, and count as changed."""
        for body in self.rooms.buffer.all():
            if body.phase is not Phase.OPEN:
                continue
            if not self.report.power_was_cut and outliving.is_still_written(self.rooms, body):
                self.report.bodies_still_written += 1
                continue
            inode = self.rooms.namespace.get(body.ino)
            status = self.rooms.buffer.stat(body.ino)
            size = 0 if status is None else status.st_size
            mtime_ns = inode.mtime_ns if status is None else status.st_mtime_ns
            self._commit(BodyClosed(body.ino, size, mtime_ns, max(inode.ctime_ns, mtime_ns)))
            self.report.bodies_reopened += 1

    def _commit(self, change: Change) -> None:
        """Journal and post, as the ledger does."""
        sequence = Sequence(self.sequence + 1)
        self._journal.append(JournalEntry(sequence, self.clock_ns(), 0, "recover", 0, 0, change))
        self.sequence = sequence
        self.rooms.post(sequence, change)

    # Events

    def _complete_events(self, replayed: list[JournalEntry]) -> None:
        saved = self._checkpoint
        begun_after, since = (saved.operation_id, saved.event_sequence) if saved is not None else (0, 1)
        in_flight = dict(saved.in_flight) if saved is not None else {}
        recorded = self._events.recorded_operations(since) if self._events.next_sequence > since else set()
        used = (entry.operation_id for entry in replayed)
        self.operation_id = max(begun_after, max(recorded, default=0), max(used, default=0))
        self.report.events_completed = complete_events(
            self._events, replayed, recorded, begun_after, in_flight, self.rooms.namespace
        )
