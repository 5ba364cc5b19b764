"""Record events.

Promise and format: see the package's text.  ``record`` belongs to one thread; ``sync`` and ``compact`` block and
may run in a worker thread meanwhile.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Unpack

from vaultairefs.disk.durable import replace_file, sync_directory, unlink
from vaultairefs.disk.segments import Position, SegmentLog
from vaultairefs.events import files
from vaultairefs.events.reader import EventReader
from vaultairefs.events.record import FORMAT_VERSION, EventFields, EventRecord, encode, without_surrogates

Quarantine = Callable[[str, bytes, str], object]
"""Keeps bytes under a name, with a reason: ``StateDirectory.quarantine``."""

_TAIL_SEGMENTS: Final = 2


class EventLog:
    """The event log of one volume, in ``directory``, which exists.

    ``damage`` holds a line for what the last life left unreadable at its end; those bytes went to ``quarantine``,
    or to a file beside the log where none is given.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        tenant: str,
        mount: str,
        boot: str,
        segment_bytes: int = 4 << 20,
        keep_bytes: int = 256 << 20,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._directory = Path(directory)
        self.tenant = tenant
        self.mount = mount
        self._keep_bytes = keep_bytes
        self._quarantine = quarantine or self._keep_beside
        self._compacting = threading.Lock()
        files.remove_leftovers(self._directory)
        self._log = SegmentLog(
            self._directory,
            files.PREFIX,
            segment_bytes=segment_bytes,
            boot=boot,
            content_version=FORMAT_VERSION,
            first_ordinal=self._behind_packed(),
        )
        self.damage = self._log.damage
        self._settle_tail()
        self._next = self._log.next_ordinal

    @property
    def next_sequence(self) -> int:
        """The sequence that the next event gets."""
        return self._next

    @property
    def first_sequence(self) -> int:
        """The oldest event still kept."""
        return self.reader().first_sequence

    def record(self, **fields: Unpack[EventFields]) -> int:
        """Append one event (one write) and return its sequence.  Errors like ``append``."""
        sequence = self._next
        self.append(EventRecord(sequence=sequence, tenant=self.tenant, mount=self.mount, **fields))
        return sequence

    def append(self, record: EventRecord) -> None:
        """Append an event that was made with ``next_sequence``, ``tenant`` and ``mount`` of this log.

        For those who record often: naming two dozen fields costs ten times as much as giving them in order.
        ``OutOfSpace``/``QuotaExceeded``/``DeviceFailed``: it was not recorded and its sequence is still free.
        """
        assert record.sequence == self._next, "an event out of sequence"
        try:
            payload = encode(record)
        except UnicodeEncodeError:
            payload = encode(without_surrogates(record))
        self._log.append(payload)
        self._next += 1

    def reader(self) -> EventReader:
        """A reader of this log."""
        return EventReader(self._directory)

    def read(self, from_sequence: int = 1) -> Iterator[EventRecord]:
        """See ``EventReader.read``."""
        return self.reader().read(from_sequence)

    def recorded_operations(self, since_sequence: int) -> set[int]:
        """The operation ids of all events from ``since_sequence`` on."""
        return {record.operation_id for record in self.read(since_sequence)}

    def operation_ids_tail(self) -> set[int]:
        """The operation ids of the newest events: at least a whole segment's, or all there are.

        An operation that a crash kept from being recorded was at work at that moment, so its neighbours are here.
        """
        segments = files.list_segments(self._directory)
        return self.recorded_operations(segments[-_TAIL_SEGMENTS] if len(segments) >= _TAIL_SEGMENTS else 1)

    def sync(self) -> None:
        """Block until power loss can no longer take what was recorded so far.  ``DeviceFailed`` is for ever."""
        self._log.sync()

    def compact(self) -> None:
        """Compress rotated segments and drop the oldest beyond ``keep_bytes``; blocks, crash-safe, repeatable."""
        with self._compacting:
            rotated = self._log.segments[:-1]
            if rotated:
                self._log.sync()
            for segment in rotated:
                files.pack(self._directory, segment)
                self._log.forget(segment)
            packed = files.packed_segments(self._directory)
            excess = sum(packed.values()) + self._log.size_bytes - self._keep_bytes
            for segment, size in packed.items():
                if excess <= 0:
                    break
                unlink(files.packed_path(self._directory, segment))
                excess -= size
            sync_directory(self._directory)

    def close(self) -> None:
        """Release descriptors; syncs nothing."""
        self._log.close()

    def _behind_packed(self) -> int:
        """Where the sequence goes on when only compressed segments are left."""
        return self.reader().next_sequence if files.packed_segments(self._directory) else 1

    def _settle_tail(self) -> None:
        """Cut off what the last life did not finish, so that the sequence goes on behind the last whole event."""
        segments = self._log.segments
        if not segments:
            return
        end = Position(segments[-1], 0)
        for frame in self._log.scan(segments[-1]):
            end = frame.position
        if self.damage:
            for name, data in self._log.bytes_after(end):
                self._quarantine(f"{name}.tail", data, "; ".join(self.damage))
            self._log.truncate_after(end)

    def _keep_beside(self, name: str, data: bytes, reason: str) -> None:
        number = 1
        while (target := self._directory / f"damaged-{name}.{number}").exists():
            number += 1
        replace_file(target, data)
