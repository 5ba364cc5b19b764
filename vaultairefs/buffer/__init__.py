"""Bodies: the local bytes of files, read cache and write-back buffer at once.

Promise: what a body holds changes only by ``apply`` (the ledger), by ``write``/``truncate_file``, or through a pinned
descriptor; a body file is unlinked only when the record that freed it is durable; one disk budget holds.
It knows no names and no engine, and it decides nothing about when to fetch, flush or evict.
"""

from vaultairefs.buffer.body import Body, Phase
from vaultairefs.buffer.buffer import Buffer

__all__ = ["Body", "Buffer", "Phase"]
