"""One file's local bytes, as far as they are known."""

import enum
from typing import Final

from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import ABSENT, Ino, Sequence, Version

WHOLE_END: Final = 1 << 63
"""An offset past every possible byte (off_t is 63 bits)."""


class Phase(enum.IntEnum):
    """Where a body is in its life."""

    ABSENT = 0
    """No local byte: read through the engine's current version.  Never dirty."""
    CLOSED = 1
    """The journal knows its size and extents exactly."""
    OPEN = 2
    """Complete and open for writing: the length and mtime of its file are the truth."""


class Body:
    """The state of one body; changed only by the buffer.

    Invariants:
    * OPEN implies ``complete``; ABSENT implies neither ``dirty`` nor ``complete``.
    * ``complete`` implies every byte below ``size`` is local, and ``present`` is empty and unused.
    * partial (not complete, not ABSENT): bytes in ``present`` are local, all others below ``base_size`` are those of
      ``base_version``; bytes at and above ``base_size`` are always in ``present``.
    * ``dirty`` are bytes the engine does not have (for a complete body after a restart: all of it, if any).
    * ``base_version`` is the engine's version that the body began from or was last flushed as; ``ABSENT`` (empty)
      for one that never had any, so that its bytes exist nowhere else.
    * ``durable`` (only for bodies with a base): bytes known to be on the disk since the base was set.
    """

    __slots__ = (
        "allocated",
        "base_size",
        "base_version",
        "body_id",
        "complete",
        "dirty",
        "durable",
        "failed",
        "handles",
        "ino",
        "last_used",
        "phase",
        "present",
        "size",
        "unmeasured",
        "writers",
    )

    def __init__(self, ino: Ino) -> None:
        self.ino = ino
        self.body_id = Sequence(0)
        self.phase = Phase.ABSENT
        self.complete = False
        self.present = ExtentSet()
        self.dirty = ExtentSet()
        self.durable = ExtentSet()
        self.base_version: Version = ABSENT
        self.base_size = 0
        self.size = 0
        self.handles = 0
        self.writers = 0
        self.last_used = 0
        self.allocated = 0
        self.unmeasured = 0
        self.failed = False

    def has(self, offset: int, length: int) -> bool:
        """Whether the bytes of the range (cut at the size) can be read locally."""
        if self.complete:
            return True
        return self.phase is not Phase.ABSENT and self.present.covers(offset, min(offset + length, self.size))

    def __repr__(self) -> str:
        state = "complete" if self.complete else "partial"
        return f"<Body {self.ino}-{self.body_id} {self.phase.name} {state} size={self.size} base={self.base_version!r}>"
