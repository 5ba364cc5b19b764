"""The journal: every change of a volume in order, and checkpoints of the state that they add up to.

Promise: an appended entry survives ``kill -9``, a synced one power loss; after a crash the entries come back in
order and without a gap, and what could not be read is kept in quarantine.  ``docs/formats/journal.md`` is the
format.  It does not know what a change means or what a checkpoint holds.
"""

from vaultairefs.journal.entry import JournalEntry
from vaultairefs.journal.journal import Journal

__all__ = ["Journal", "JournalEntry"]
