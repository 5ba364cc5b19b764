"""One file's local bytes, as far as they are known."""

import enum
from typing import TYPE_CHECKING, Final

from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import ABSENT, Ino, Sequence, Version

if TYPE_CHECKING:
    from vaultairefs.buffer.passed import PassedFile

WHOLE_END: Final = 1 << 63
"""An offset past every possible byte (off_t is 63 bits)."""

SIZE_UNKNOWN: Final = -1
NO_BODY: Final = Sequence(0)


class Phase(enum.IntEnum):
    """Where a body is in its life."""

    ABSENT = 0
    """No local byte: read through the engine's current version.  Never dirty."""
    CLOSED = 1
    """The journal knows its size and extents exactly."""
    OPEN = 2
    """Complete and open for writing: the length and mtime of its file are the truth."""


class BodyFile:
    """An open body file.  Invariant: ``fd`` is closed when it is ``retired`` and no longer pinned, not before."""

    __slots__ = ("fd", "pins", "retired")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pins = 0
        self.retired = False


class Body:
    """The state of one body; changed only by the buffer.

    Invariants:
    * OPEN implies ``complete``; ABSENT implies neither ``unflushed`` nor ``complete``.
    * ``complete`` implies every byte below ``size`` is local, and ``present`` is empty and unused.
    * partial (not complete, not ABSENT): bytes in ``present`` are local, all others below ``base_size`` are those of
      ``base_version``; bytes at and above ``base_size`` are always in ``present``; ``base_size`` <= ``size``.
    * ``unflushed``: the engine does not have these bytes.  ``dirty`` are the ranges that it lacks; for a complete
      body that was recovered, all of it.
    * ``base_version`` is the engine's version that the body began from or was last flushed as; ``ABSENT`` (empty)
      for one whose bytes exist nowhere else.  ``base_size`` is its size, cut by truncation; -1 is unknown.
    * ``durable`` (only for bodies with a base): bytes known to be on the disk since the base was set; ``cut`` is the
      smallest size that it was truncated to since then.  ``durable_ahead`` and ``cut_ahead`` say the same of the time
      since the last put of it began, whose version lacks that: they take over when it becomes the base.
    * ``puts`` counts those in this life.
    * ``frail``: a power cut may have left holes in it, a put of it that was begun before may have arrived whole, and
      nothing has touched it since.
    * ``passed``: the kernel has the file and programs use it without us, or did and may still write it; such a body is
      neither evicted nor, as long as a program has it open or mapped, replaced by another file.  ``was_passed``: it was
      in this life of the daemon, and a mapping of it may be left.
    * ``changes`` grows with each write, fetch or truncation; compare it only within one life.
    """

    __slots__ = (
        "allocated",
        "base_size",
        "base_version",
        "body_id",
        "changes",
        "complete",
        "cut",
        "cut_ahead",
        "dirty",
        "durable",
        "durable_ahead",
        "failed",
        "file",
        "frail",
        "handles",
        "ino",
        "last_used",
        "name_durable",
        "passed",
        "phase",
        "present",
        "puts",
        "size",
        "unflushed",
        "unmeasured",
        "was_passed",
        "writers",
    )

    def __init__(self, ino: Ino, body_id: Sequence = NO_BODY) -> None:
        self.ino = ino
        self.handles = 0
        self.writers = 0
        self.last_used = 0
        self.file: BodyFile | None = None
        self.renew(body_id)

    def renew(self, body_id: Sequence) -> None:
        """Become a new, ABSENT body of the same inode; the caller has seen to the old file."""
        self.body_id = body_id
        self.phase = Phase.ABSENT
        self.complete = False
        self.unflushed = False
        self.present = ExtentSet()
        self.dirty = ExtentSet()
        self.durable = ExtentSet()
        self.durable_ahead = ExtentSet()
        self.cut = self.cut_ahead = WHOLE_END
        self.puts = 0
        self.base_version: Version = ABSENT
        self.base_size = 0
        self.size = 0
        self.changes = 0
        self.allocated = 0
        self.unmeasured = 0
        self.failed = self.frail = False
        self.name_durable = False
        self.passed: PassedFile | None = None
        self.was_passed = False

    @property
    def partial(self) -> bool:
        """Some bytes are local, others are not."""
        return not self.complete and self.phase is not Phase.ABSENT

    @property
    def is_written_on(self) -> bool:
        """A program may write on, and all that it goes on from is here: it must not lose its name to others."""
        return self.complete and (self.writers > 0 or self.is_moving)

    @property
    def is_moving(self) -> bool:
        """Programs may write its file without us: its length and times are looked up whenever they matter."""
        return self.passed is not None and self.phase is Phase.OPEN

    def has(self, offset: int, length: int) -> bool:
        """Whether the bytes of the range (cut at the size) can be read locally."""
        if self.complete:
            return True
        return self.phase is not Phase.ABSENT and self.present.covers(offset, min(offset + length, self.size))

    def __repr__(self) -> str:
        state = "complete" if self.complete else "partial"
        return f"<Body {self.ino}-{self.body_id} {self.phase.name} {state} size={self.size} base={self.base_version!r}>"
