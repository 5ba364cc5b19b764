"""The one door for change: a change is journalled, then posted to namespace, buffer and backlog.

Promise: what ``commit`` returned for survives kill -9, what ``sync`` returned for survives power loss, and recovery is
the same posting replayed: a ledger opened on the state a crash left equals the one that crashed.
It calls no engine and knows nothing of POSIX.
"""

from vaultairefs.ledger.ledger import Ledger
from vaultairefs.ledger.report import RecoveryReport

__all__ = ["Ledger", "RecoveryReport"]
