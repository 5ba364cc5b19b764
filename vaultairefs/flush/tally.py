"""Counts of what the flusher did, for ``status`` and for programs that wait."""

import msgspec


class FlushStatus(msgspec.Struct, frozen=True):
    """One moment.  Counts are of this life; ``flush_errors`` are sentences about what fails now."""

    flushed_artifacts: int
    flush_errors: list[str]
    conflicts: int
    inflight_bytes: int
    bytes_uploaded: int


class Progress(msgspec.Struct, frozen=True):
    """What is left: artifacts and names, and bytes."""

    artifacts: int
    bytes: int


class Tally:
    """Counters, raised by whoever does the work."""

    def __init__(self) -> None:
        self.flushed_artifacts = 0
        self.conflicts = 0
        self.bytes_uploaded = 0
