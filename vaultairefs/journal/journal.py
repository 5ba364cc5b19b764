"""The journal of one volume: append, sync, read again, cut.

Promise and format: see the package's text.  One thread appends; ``sync``, ``write_checkpoint`` and
``drop_through`` block and may run in worker threads meanwhile.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vaultairefs.disk.reserve import Reserve
from vaultairefs.disk.segments import Position, SegmentLog
from vaultairefs.journal.checkpoints import KEPT, Checkpoints, Quarantine
from vaultairefs.journal.entry import FORMAT_VERSION, JournalEntry, decode, encode
from vaultairefs.model.errors import Corrupt, OutOfSpace, QuotaExceeded
from vaultairefs.model.values import Sequence


class Journal:
    """Entries in ``directory`` (which exists), and the checkpoints beside them.

    ``damage`` collects a line for everything unreadable that was met.  ``quarantine`` keeps such bytes.
    ``reserve`` is room for what makes room; the owner says when to hold it.
    ``checkpoint_bytes`` is the size of the newest checkpoint, as far as one was read or written.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        boot: str,
        quarantine: Quarantine,
        segment_bytes: int = 8 << 20,
    ) -> None:
        self.damage: list[str] = []
        self._log = SegmentLog(
            directory, "journal", segment_bytes=segment_bytes, boot=boot, content_version=FORMAT_VERSION
        )
        self._log.damage = self.damage
        self.reserve = Reserve(Path(directory) / "reserve", segment_bytes)
        self._checkpoints = Checkpoints(directory, quarantine)
        self._quarantine = quarantine
        self.checkpoint_bytes = 0
        self.directory = os.fspath(directory)
        self.boot = boot
        # Only the appending thread writes _appended, only the checkpointing one _covered: no lock is needed.
        self._appended = 0
        self._covered = 0

    @property
    def size_bytes(self) -> int:
        """About how many bytes a recovery would have to replay: what was appended since the newest checkpoint."""
        return self._appended - self._covered

    def append(self, entry: JournalEntry, *, is_urgent: bool = False) -> None:
        """Write an entry; when this has returned, ``kill -9`` loses nothing of it.

        ``OutOfSpace``/``QuotaExceeded``/``DeviceFailed``: nothing of it was written.  An urgent one gets the reserve.
        """
        payload = encode(entry)
        try:
            self._log.append(payload)
        except (OutOfSpace, QuotaExceeded):
            if not (is_urgent and self.reserve.release()):
                raise
            self._log.append(payload)
        self._appended += len(payload)

    def mark(self, sequence: Sequence, time_ns: int = 0) -> None:
        """Append a sync mark: everything up to ``sequence`` is durable, bodies included.  Errors like ``append``."""
        self.append(JournalEntry(sequence, time_ns, 0, "", 0, 0, None), is_urgent=True)

    def sync(self) -> None:
        """Block until power loss can no longer take what was appended so far.  ``DeviceFailed`` is for ever."""
        self._log.sync()

    def entries(self, after: Sequence) -> Iterator[JournalEntry]:
        """Entries and sync marks behind ``after``, in order; before the first ``append`` only.

        Ends at the first record that is torn, damaged, out of sequence or undecodable.  That record and all bytes
        behind it are then copied to quarantine and cut off, with a line in ``damage``; this happens when the
        iteration is run to its end.  ``OutOfSpace`` when quarantine has no room: then nothing is cut.
        """
        start = self._segment_behind(after)
        good = Position(start, 0)
        known = len(self.damage)
        self._appended = self._covered = 0
        for entry, good, size in self._walk(start, after):  # noqa: B007 - the last place is needed below
            if entry.sequence > after:
                self._appended += size
                yield entry
        if len(self.damage) > known:
            self._cut(good, "; ".join(self.damage[known:]))

    def peek(self, after: Sequence) -> Iterator[JournalEntry]:
        """Like ``entries``, and nothing is cut: what is unreadable stays where it is."""
        for entry, _, _ in self._walk(self._segment_behind(after), after):
            if entry.sequence > after:
                yield entry

    def truncate_after(self, sequence: Sequence, reason: str) -> None:
        """Keep entries and marks up to ``sequence``; the rest goes to quarantine for ``reason``.  Blocks."""
        start = self._segment_behind(sequence)
        good = Position(start, 0)
        for entry, position, _ in self._walk(start, sequence):
            if entry.sequence > sequence:
                break
            good = position
        self._cut(good, reason)

    def read_through(self, after: Sequence, through: Sequence) -> Iterator[JournalEntry]:
        """Changes behind ``after`` up to ``through``, while another process appends behind that; cuts nothing.

        ``Corrupt`` when they are not all there.
        """
        last = after
        if last < through:
            for entry, _, _ in self._walk(self._segment_behind(after), after):
                if entry.change is None or entry.sequence <= after:
                    continue
                yield entry
                last = entry.sequence
                if last == through:
                    return
        if last != through:
            raise Corrupt(f"the journal ends at {last}, before {through}: {'; '.join(self.damage)}")

    def note_checkpoint(self, size_bytes: int) -> None:
        """Another process wrote a checkpoint of what ``size_bytes`` counted at that time.  Blocks shortly."""
        self._covered += size_bytes
        self.checkpoint_bytes = self._checkpoints.newest_bytes()

    def write_checkpoint(self, sequence: Sequence, payload: bytes) -> None:
        """Durably keep ``payload``, the state right after ``sequence``; blocks.  Errors leave the older ones.

        The journal is synced first: a checkpoint that power loss put ahead of its journal would leave a gap there.
        """
        covered = self._appended
        self._log.sync()
        self._checkpoints.write(sequence, payload)
        self._covered = covered
        self.checkpoint_bytes = len(payload)

    def read_checkpoint(self) -> tuple[Sequence, bytes] | None:
        """The newest readable checkpoint, None when there is none; damaged ones go to quarantine.  Blocks."""
        found = self._checkpoints.read(self.damage)
        self.checkpoint_bytes = 0 if found is None else len(found[1])
        return found

    def drop_through(self, sequence: Sequence) -> None:
        """Delete segments that hold nothing behind ``sequence``; blocks.

        Never one that the older of the two kept checkpoints needs: the newest may turn out to be unreadable.
        """
        kept = self._checkpoints.sequences()
        limit = min(sequence, kept[-KEPT] if len(kept) >= KEPT else 0)
        self._log.delete_before(self._segment_behind(Sequence(limit)))

    def close(self) -> None:
        """Release descriptors; syncs nothing."""
        self._log.close()

    def _segment_behind(self, sequence: Sequence) -> int:
        """The newest segment such that all older ones hold nothing behind ``sequence``."""
        segments = self._log.segments
        found = segments[0] if segments else 0
        for segment in segments[1:]:
            frame = self._log.first_frame(segment)
            try:
                first = decode(frame.payload) if frame is not None else None
            except msgspec.DecodeError:
                first = None
            # Where the beginning is unreadable the walk starts further back, and tells of the damage.
            if first is None or first.sequence - (first.change is not None) > sequence:
                break
            found = segment
        return found

    def _walk(self, start: int, after: Sequence) -> Iterator[tuple[JournalEntry, Position, int]]:
        """Readable entries from segment ``start`` on, each with the place behind it and its size in bytes.

        Dense behind ``after``; up to there a checkpoint stands for what may be missing.
        """
        last: int = after
        for frame in self._log.scan(start):
            try:
                entry = decode(frame.payload)
            except msgspec.DecodeError as error:
                self.damage.append(f"journal: record {frame.ordinal} cannot be decoded: {error}")
                return
            if entry.sequence > last:
                if entry.change is None or entry.sequence != last + 1:
                    self.damage.append(f"journal: entry {last + 1} is missing before {entry.sequence}")
                    return
                last = entry.sequence
            elif entry.change is not None and entry.sequence > after:
                self.damage.append(f"journal: entry {entry.sequence} stands behind {last}")
                return
            yield entry, frame.position, len(frame.payload)

    def _cut(self, place: Position, reason: str) -> None:
        """Quarantine everything behind ``place``, then end the log there."""
        for name, data in self._log.bytes_after(place):
            self._quarantine(f"{name}.tail", data, reason)
        self._log.truncate_after(place)
