"""The stored tree (what the engine holds, as far as we know) and what is owed to it.

Promise: it changes only through ``apply`` and ``note_content`` (the ledger); ``owed_names`` and ``owed_inos`` are at
any time exactly the difference between the live and the stored tree.  It knows no bytes and calls no engine.
"""

from vaultairefs.backlog.backlog import Backlog
from vaultairefs.backlog.debts import Owed, StoredRef

__all__ = ["Backlog", "Owed", "StoredRef"]
