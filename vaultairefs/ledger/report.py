"""What the last mount replayed."""

import msgspec


class RecoveryReport(msgspec.Struct):
    """Shown as ``recovered`` in ``status``.

    ``changes_dropped``: provisional changes behind the end of the replay after a power cut or damage (copies of them
    are in quarantine).  ``bodies_discarded``: clean ones after a power cut.  ``damage``: sentences.
    """

    changes_replayed: int = 0
    changes_dropped: int = 0
    bodies_reopened: int = 0
    bodies_discarded: int = 0
    bodies_reverted: int = 0
    events_completed: int = 0
    power_was_cut: bool = False
    damage: list[str] = []
