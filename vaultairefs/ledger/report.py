"""What the last mount replayed."""

import msgspec


class RecoveryReport(msgspec.Struct):
    """Shown as ``recovered`` in ``status``.

    ``changes_dropped``: provisional changes behind the end of the replay after a power cut, or changes that could not
    be posted (they are kept in quarantine).  ``bodies_reopened``: were open for writing and count as changed.
    ``bodies_still_written``: by programs that the kernel gave the files to (passthrough).
    ``bodies_discarded``: clean ones after a power cut.  ``bodies_reverted``: fell back to what was known to be on the
    disk, and to the engine's version for the rest.  ``damage``: sentences.
    """

    changes_replayed: int = 0
    changes_dropped: int = 0
    bodies_reopened: int = 0
    bodies_still_written: int = 0
    bodies_discarded: int = 0
    bodies_reverted: int = 0
    orphans_removed: int = 0
    events_completed: int = 0
    power_was_cut: bool = False
    damage: list[str] = msgspec.field(default_factory=list)
