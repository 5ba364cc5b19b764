"""The door of the volume: every call passes it, is timed, and leaves exactly one event.

``with door.names("mkdir", parent, name) as passage:`` works under its own ``OperationContext`` (operation name and a
fresh id), so what the call commits to the journal and what the event log says carry the same operation id.

Does not: decide anything about the call, nor fail it: an event that cannot be written is logged and counted in
``lost_events``, because the operation it tells of has happened.
"""

from collections.abc import Callable
from contextvars import Token
from time import perf_counter_ns
from types import TracebackType
from typing import Final

import structlog

from vaultairefs.events import EventRecord
from vaultairefs.ledger import Ledger
from vaultairefs.model.context import OperationContext, current, enter, leave
from vaultairefs.model.errors import Stale
from vaultairefs.model.values import EntryKey, Ino
from vaultairefs.namespace import Inode

OK: Final = "OK"
_REQUESTS_UNKNOWN: Final = 0

log = structlog.get_logger(__name__)


class IoSummary:
    """What went through one handle: counts, bytes, and how much of it was sequential."""

    __slots__ = ("bytes_read", "bytes_written", "calls", "next_offset", "reads", "sequential", "writes")

    def __init__(self) -> None:
        self.reads = self.writes = self.bytes_read = self.bytes_written = 0
        self.calls = self.sequential = self.next_offset = 0

    def note_read(self, offset: int, length: int) -> None:
        """Bytes read at ``offset``."""
        self.reads += 1
        self.bytes_read += length
        self._follow(offset, length)

    def note_write(self, offset: int, length: int) -> None:
        """Bytes written at ``offset``."""
        self.writes += 1
        self.bytes_written += length
        self._follow(offset, length)

    def _follow(self, offset: int, length: int) -> None:
        self.calls += 1
        if offset == self.next_offset:
            self.sequential += 1
        self.next_offset = offset + length

    @property
    def sequential_share(self) -> float | None:
        """The share of reads and writes that began where the one before ended; None without any."""
        return self.sequential / self.calls if self.calls else None


NO_IO: Final = IoSummary()


class Passage:
    """One call on its way through the door; the call may fill in what it learns."""

    __slots__ = (
        "_began_ns",
        "_context",
        "_door",
        "_name",
        "_parent",
        "_started",
        "_token",
        "cache_hit",
        "durability",
        "ino",
        "inode",
        "io",
        "length",
        "offset",
        "target",
    )

    def __init__(self, door: "Door", context: OperationContext, ino: Ino, parent: Ino, name: bytes) -> None:
        self._door = door
        self._context = context
        self._parent = parent
        self._name = name
        self.ino = ino
        self.inode: Inode | None = None
        self.offset: int | None = None
        self.length: int | None = None
        self.durability = ""
        self.cache_hit: bool | None = None
        self.io = NO_IO
        self.target: EntryKey | None = None

    def __enter__(self) -> "Passage":
        self._token: Token[OperationContext] = enter(self._context)
        self._began_ns = self._door.clock_ns()
        self._started = perf_counter_ns()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        duration_ns = perf_counter_ns() - self._started
        try:
            self._door.write(self, self._context, error, self._began_ns, duration_ns)
        finally:
            leave(self._token)

    def where(self) -> tuple[bytes, bytes]:
        """Container and artifact, as they are called now."""
        if self._parent:
            return self._door.container_path(self._parent), self._name
        inode = self.inode or self._door.ledger.namespace.peek(self.ino)
        if inode is None or not inode.refs:
            return b"", b""
        key = inode.refs[0]
        return self._door.container_path(key.container), key.name


class Door:
    """Numbers operations and writes their events."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        tenant: str,
        outcome_name: Callable[[BaseException], str],
        clock_ns: Callable[[], int],
    ) -> None:
        self.ledger = ledger
        self.clock_ns = clock_ns
        self.lost_events = 0
        self._tenant = tenant
        self._outcome_name = outcome_name

    def names(self, operation: str, parent: Ino, name: bytes) -> Passage:
        """A call about the name ``name`` in ``parent``."""
        home = self.ledger.namespace.find(parent)
        ino = home.children.get(name) if home is not None and home.children else None
        return Passage(self, self._context(operation, current()), ino or Ino(0), parent, name)

    def inode(self, operation: str, ino: Ino, caller: OperationContext | None = None) -> Passage:
        """A call about an inode; ``caller`` is the opener's context where the request itself carries none."""
        return Passage(self, self._context(operation, caller or current()), ino, Ino(0), b"")

    def container_path(self, container: Ino) -> bytes:
        """A live path of the container, empty for what has none."""
        try:
            return self.ledger.namespace.container_path(container)
        except Stale:
            return b""

    def _context(self, operation: str, caller: OperationContext) -> OperationContext:
        return OperationContext(
            self.ledger.next_operation_id(),
            operation,
            self._tenant,
            caller.pid,
            caller.uid,
            caller.gid,
            caller.umask,
            caller.comm,
        )

    def write(
        self,
        passage: Passage,
        context: OperationContext,
        error: BaseException | None,
        began_ns: int,
        duration_ns: int,
    ) -> None:
        """Record the call that just ended."""
        inode, io, events = passage.inode, passage.io, self.ledger.events
        container, artifact = passage.where()
        target = passage.target
        try:
            events.append(
                EventRecord(
                    events.next_sequence,
                    began_ns,
                    events.tenant,
                    events.mount,
                    context.operation_id,
                    context.pid,
                    context.uid,
                    context.comm,
                    context.operation,
                    container,
                    artifact,
                    inode.ino if inode is not None else passage.ino,
                    inode.size if inode is not None else None,
                    passage.offset,
                    passage.length,
                    duration_ns,
                    OK if error is None else self._outcome_name(error),
                    passage.durability,
                    passage.cache_hit,
                    _REQUESTS_UNKNOWN,
                    io.reads,
                    io.writes,
                    io.bytes_read,
                    io.bytes_written,
                    io.sequential_share,
                    self.container_path(target.container) if target is not None else None,
                    target.name if target is not None else None,
                )
            )
        except Exception as failure:
            if not self.lost_events:
                log.error("an event could not be written", operation=context.operation, error=str(failure))
            self.lost_events += 1
        self.ledger.operation_ended(context.operation_id)
