"""The half of the ledger that waits for disks: sync, checkpoint, background work."""

from collections.abc import Callable
from typing import Final

import structlog
import trio

from vaultairefs.events import EventLog
from vaultairefs.journal import Journal, JournalEntry
from vaultairefs.ledger import checkpoint
from vaultairefs.ledger.chores import Chore
from vaultairefs.ledger.compaction import Orders, compact_elsewhere
from vaultairefs.ledger.group_commit import GroupCommit
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.changes import BodySynced, Change
from vaultairefs.model.errors import DeviceFailed, OutOfSpace, QuotaExceeded, ReadOnly, VaultaireError
from vaultairefs.model.values import Ino, Sequence

_log: Final = structlog.get_logger()

SYNC_SECONDS: Final = 5.0
"""How old a change may get before it is synced without anybody asking, as ext4 does with its own (ext4(5), commit)."""


OBJECTS_MAX: Final = 2000
"""Inodes and bodies whose encoding fits between two requests: about 10 ms."""


class Durability:
    """What ``Ledger`` is below its ``commit``.

    Invariants: ``refusal`` is set for ever by the first failed sync, and by a change that was journalled and could
    not be posted; nothing is committed or acknowledged after that.  ``_in_flight`` are the operations that have no
    event yet, each with its first change.
    """

    def __init__(
        self,
        rooms: Rooms,
        journal: Journal,
        events: EventLog,
        *,
        sequence: Sequence,
        operation_id: int,
        clock_ns: Callable[[], int],
        checkpoint_bytes: int,
    ) -> None:
        self.events = events
        self.refusal: VaultaireError | None = None
        self._rooms = rooms
        self._journal = journal
        self._clock_ns = clock_ns
        self._sequence = sequence
        self._operation_id = operation_id
        self._in_flight: dict[int, JournalEntry | None] = {}
        self._checkpoint_bytes = checkpoint_bytes
        self._checkpointing = trio.Lock()
        self._group = GroupCommit(lambda: self._sequence, self._sync_once)

    def commit(self, change: Change) -> Sequence:
        """See ``Ledger.commit``."""
        raise NotImplementedError

    async def sync_body(self, ino: Ino) -> None:
        """fdatasync the body in a thread.  ``sync()`` must follow before anything is promised.  ``DeviceFailed``."""
        await trio.to_thread.run_sync(self._rooms.buffer.sync, ino)

    async def sync(self) -> None:
        """Make everything committed up to now power-loss-safe; concurrent callers share one group commit.

        ``DeviceFailed``: not safe, and the volume is read-only from now on.  ``OutOfSpace``: not safe yet.
        """
        self._record_synced()
        if self.refusal is not None:
            raise self.refusal
        await self._group.wait()

    async def checkpoint(self) -> None:
        """Write the whole state down and drop the journal before it.  Safe to be killed anywhere.

        Encodes all of it at once: for states that are small, or that nobody works with.
        """
        async with self._checkpointing:
            sequence = self._sequence
            payload = checkpoint.encode(
                self._rooms,
                operation_id=self._operation_id,
                event_sequence=self.events.next_sequence,
                in_flight=list(self._in_flight.items()),
            )
            # First the bodies that renames in it made reachable, then the checkpoint that makes those renames final.
            await self.sync()
            await trio.to_thread.run_sync(self._journal.write_checkpoint, sequence, payload)
            await trio.to_thread.run_sync(self._journal.drop_through, sequence)

    async def checkpoint_elsewhere(self, compact: Callable[[Orders], None] = compact_elsewhere) -> None:
        """Like ``checkpoint``, for a state too large to be encoded between two requests: by another process."""
        async with self._checkpointing:
            size_bytes = self._journal.size_bytes
            orders = Orders(
                self._journal.directory,
                self._journal.boot,
                self._sequence,
                self._operation_id,
                self.events.next_sequence,
                sorted(self._rooms.namespace.nameless),
                list(self._in_flight.items()),
            )
            # As above; and no checkpoint may be ahead of its journal.
            await self.sync()
            await trio.to_thread.run_sync(compact, orders)
            self._journal.note_checkpoint(size_bytes)
            await trio.to_thread.run_sync(self._journal.drop_through, orders.sequence)

    async def run(self) -> None:
        """Background work until cancelled: sync every 5 s, checkpoints, graveyard, event compaction.

        A failure of one does not hold up the others.  After a failed sync it only waits: ``refusal`` tells everybody
        who asks for a change.
        """
        chores = (
            Chore("sync", self._sync_and_bury, patient=False),
            Chore("checkpoint", self._checkpoint_if_long, patient=True),
            Chore("events", self._tidy_events, patient=True),
        )
        while True:
            await trio.to_thread.run_sync(self._journal.reserve.hold)
            await trio.sleep(SYNC_SECONDS)
            for chore in chores:
                if self.refusal is None:
                    await chore.attempt()

    async def _sync_and_bury(self) -> None:
        await self.sync()
        await self._bury(Sequence(self._group.through))

    async def _checkpoint_if_long(self) -> None:
        """A journal as long as the state itself: then all checkpoints together cost in proportion to the changes."""
        if self._journal.size_bytes > max(self._checkpoint_bytes, self._journal.checkpoint_bytes):
            if self._rooms.objects <= OBJECTS_MAX:
                await self.checkpoint()
            else:
                await self.checkpoint_elsewhere()

    async def _tidy_events(self) -> None:
        await trio.to_thread.run_sync(self.events.sync)
        await trio.to_thread.run_sync(self.events.compact)

    async def close(self) -> None:
        """Sync and checkpoint; nothing may be committed afterwards."""
        try:
            await self.checkpoint()
            await trio.to_thread.run_sync(self.events.sync)
        finally:
            self.refusal = self.refusal or ReadOnly("the ledger is closed")
            self._journal.close()
            self.events.close()
            self._rooms.buffer.files.close()

    async def _sync_once(self) -> int:
        """Exposed bodies, then a sync mark, then the journal; then what they free leaves the disk."""
        if self.refusal is not None:
            raise self.refusal
        through = self._sequence
        exposed, self._rooms.exposed = self._rooms.exposed, set()
        try:
            for ino in sorted(exposed):
                body = self._rooms.buffer.find(ino)
                # A body that failed is refused to everybody already: no reason to stop the whole volume.
                if body is not None and not body.failed:
                    await trio.to_thread.run_sync(self._rooms.buffer.sync, ino)
            self._record_synced()
            self._journal.mark(through, self._clock_ns())
            await trio.to_thread.run_sync(self._journal.sync)
        except (OutOfSpace, QuotaExceeded):
            self._rooms.exposed |= exposed
            raise
        except VaultaireError as error:
            self.refusal = DeviceFailed(f"the volume is read-only, because a sync failed: {error}", operation="fsync")
            _log.critical("sync failed: the volume is read-only", error=str(error))
            raise self.refusal from error
        await self._bury(through)
        return through

    def _record_synced(self) -> None:
        """Tell recovery which bodies reached the disk."""
        for ino, extents in self._rooms.buffer.take_synced():
            self.commit(BodySynced(ino, extents))

    async def _bury(self, through: Sequence) -> None:
        dead = self._rooms.buffer.take_dead(through)
        if dead:
            await trio.to_thread.run_sync(self._rooms.buffer.files.unlink, dead)
