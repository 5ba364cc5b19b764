"""The ledger: commit, note, sync, checkpoint."""

import time
from collections.abc import Callable
from typing import Any

import trio

from vaultairefs.backlog import Backlog
from vaultairefs.buffer import Body, Buffer
from vaultairefs.ledger.report import RecoveryReport
from vaultairefs.model.changes import BodyClosed, Change
from vaultairefs.model.values import Ino, Sequence
from vaultairefs.namespace import Namespace


class Ledger:
    """The state of a volume.  ``namespace``, ``buffer``, ``backlog`` are read freely and changed only through here.

    ``events`` is the event log, ``recovered`` says what ``open`` replayed.
    """

    namespace: Namespace
    buffer: Buffer
    backlog: Backlog
    events: Any
    recovered: RecoveryReport

    @classmethod
    async def open(
        cls,
        state: Any,
        *,
        tenant: str = "",
        clock_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = trio.current_time,
        root_owner: tuple[int, int] = (0, 0),
        buffer_size: int = 20 << 30,
        checkpoint_bytes: int = 32 << 20,
    ) -> "Ledger":
        """Recover what the state directory (``StateDirectory``) holds.  ``BadInput`` for a newer format."""
        raise NotImplementedError

    def commit(self, change: Change) -> Sequence:
        """Journal the change, then post it.  When this returns, kill -9 loses nothing of it.

        Nothing has happened when it raises: the errors of ``Namespace.check`` and ``Buffer.check``, ``OutOfSpace``
        (journal full), ``ReadOnly``/``DeviceFailed`` after an earlier failure of the journal.
        """
        raise NotImplementedError

    def note_write(self, ino: Ino, offset: int, length: int, time_ns: int) -> None:
        """Bytes were written into an OPEN body: size, mtime, ctime, dirty, content_generation.  No journal record."""
        raise NotImplementedError

    def begin_body(self, ino: Ino) -> Body:
        """The inode's body, begun (``ExtentsFetched`` without extents, pinned to the stored version) if ABSENT.

        Before the first fetch into, or write to, an ABSENT body.  ``Stale`` when the engine holds no version.
        """
        raise NotImplementedError

    def body_closed(self, ino: Ino) -> BodyClosed:
        """The change to commit when the last writer of an OPEN body leaves, from the live state."""
        raise NotImplementedError

    def drop(self, ino: Ino) -> None:
        """Forget an inode with nlink 0, once no handle and no lookup needs it.  No-op while it has names or handles."""
        raise NotImplementedError

    def next_operation_id(self) -> int:
        """A number for ``OperationContext.operation_id``, above all of earlier lives of this state directory."""
        raise NotImplementedError

    async def sync_body(self, ino: Ino) -> None:
        """fdatasync the body in a thread.  ``sync()`` must follow before anything is promised.  ``DeviceFailed``."""
        raise NotImplementedError

    async def sync(self) -> None:
        """Make everything committed up to now power-loss-safe; concurrent callers share one group commit.

        ``DeviceFailed``: not safe, and the volume is read-only from now on.
        """
        raise NotImplementedError

    async def checkpoint(self) -> None:
        """Write the whole state down and drop the journal before it.  Safe to be killed anywhere."""
        raise NotImplementedError

    async def run(self) -> None:
        """Background work until cancelled: sync every 5 s, checkpoints, graveyard, event compaction."""
        raise NotImplementedError

    async def close(self) -> None:
        """Sync and checkpoint; nothing may be committed afterwards."""
        raise NotImplementedError

    def fingerprint(self) -> Any:
        """A canonical value of the whole state with OPEN bodies folded: equal before a crash and after recovery."""
        raise NotImplementedError
