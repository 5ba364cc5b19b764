"""The bodies of a volume and their files."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import stat_result
from pathlib import Path

from vaultairefs.buffer.body import Body
from vaultairefs.model.changes import Change
from vaultairefs.model.values import Ino, Sequence


class Bodies:
    """What is known of each body; no file is touched here."""

    def find(self, ino: Ino) -> Body | None:
        """The body's state; None means ABSENT and not open."""
        raise NotImplementedError

    def hold(self, ino: Ino, *, writing: bool) -> Body:
        """Count one more open handle (and writer); makes an ABSENT body where there is none."""
        raise NotImplementedError

    def let_go(self, ino: Ino, *, writing: bool) -> Body:
        """Undo one ``hold``; look at the result's ``handles`` and ``writers``."""
        raise NotImplementedError

    def check(self, change: Change) -> None:
        """Refuse a change that does not fit the body: ``Stale`` or ``InvalidRequest``."""
        raise NotImplementedError

    def apply(self, sequence: Sequence, change: Change) -> None:
        """Post one change.  Only the ledger calls this."""
        raise NotImplementedError

    def evictable(self, bytes_wanted: int) -> list[Ino]:
        """Clean, closed, unpinned bodies, least recently used first, enough to free ``bytes_wanted`` (or all).

        Commit ``BodyEvicted`` for each.  Bodies with open handles come last.
        """
        raise NotImplementedError

    @property
    def used_bytes(self) -> int:
        """Disk taken by all body files, the graveyard included (an estimate, re-measured as files grow)."""
        raise NotImplementedError

    @property
    def dirty_bytes(self) -> int:
        """Bytes the engine does not have."""
        raise NotImplementedError


class Buffer(Bodies):
    """Body files in ``directory``: ``<body_id mod 256 as 2 hex>/<ino hex>-<body_id hex>``, made at first need."""

    def __init__(self, directory: Path, *, buffer_size: int) -> None:
        raise NotImplementedError

    def read(self, ino: Ino, offset: int, length: int) -> bytes:
        """Bytes of the local body, fewer at its end.  The caller knows the range is present.  ``DeviceFailed``."""
        raise NotImplementedError

    def write(self, ino: Ino, offset: int, data: bytes | memoryview) -> int:
        """pwrite only; returns the length of ``data``.  The caller then notes or commits it.

        ``OutOfSpace`` (nothing acknowledged; a part may be in the file), ``DeviceFailed``; ``InvalidRequest`` for an
        ABSENT body: ``Ledger.begin_body`` first.
        """
        raise NotImplementedError

    def truncate_file(self, ino: Ino, size: int) -> None:
        """Set the body file's length, right after ``Truncated`` was committed (no await between)."""
        raise NotImplementedError

    def descriptor(self, ino: Ino) -> int:
        """The body file, open for reading and writing, made if need be.  Valid until the next await; else ``pinned``."""
        raise NotImplementedError

    @contextmanager
    def pinned(self, ino: Ino) -> Iterator[int]:
        """The body file's descriptor, kept valid inside the block even when the body is replaced or evicted.

        Check ``Body.body_id`` afterwards to learn whether it is still the same body.
        """
        raise NotImplementedError

    def sync(self, ino: Ino) -> None:
        """fdatasync the body; blocks, so call it in a thread (or use ``Ledger.sync_body``).

        A failure is final: the body is marked, reported in quarantine, and raises ``DeviceFailed`` for ever.
        """
        raise NotImplementedError

    def set_times(self, ino: Ino, mtime_ns: int) -> None:
        """Give the body file this mtime (after AttributesSet on an OPEN body, and after a fetch)."""
        raise NotImplementedError

    def stat(self, ino: Ino) -> stat_result | None:
        """fstat of the body file; None while it has none."""
        raise NotImplementedError

    def has_room(self, bytes_wanted: int) -> bool:
        """Whether that many more bytes fit the budget and the state filesystem (64 MiB are always left free)."""
        raise NotImplementedError
