"""The live tree: containers, names and attributes as programs see them, in memory.

Promise: it changes only through ``apply`` (called by the ledger), a change that does not fit is refused by ``check``
before it is written anywhere, and applying the same changes to the same tree gives the same tree.
It knows no bytes, no engine and no disk, and it enforces no permissions.
"""

from vaultairefs.namespace.inode import Inode
from vaultairefs.namespace.namespace import Namespace

__all__ = ["Inode", "Namespace"]
