"""Where stored things lie in the engine: paths of the stored tree, parked entries included.

``Backlog.stored_path`` knows no engine; here the pseudo container ``STAGING`` is the engine's own parking place.
Every answer is of this moment: a flusher's move changes it, so ask again after each wait.
"""

from collections.abc import Callable

from vaultairefs.backlog import Backlog
from vaultairefs.model.values import ROOT, STAGING, EntryKey, EntryPath, Ino

StagingPath = Callable[[bytes], EntryPath]
"""``Engine.staging_path``."""

ROOT_KEY = EntryKey(ROOT, b"")


def chain_of(backlog: Backlog, container: Ino) -> list[EntryKey] | None:
    """The stored names from ``container`` up to the root's or to a parked one; None where it is not stored."""
    chain: list[EntryKey] = []
    while container not in (ROOT, STAGING):
        keys = backlog.refs_of(container)
        if not keys:
            return None
        chain.append(keys[0])
        container = keys[0].container
    return chain


def container_path(backlog: Backlog, container: Ino, staging_path: StagingPath) -> bytes | None:
    """The container's path in the engine; None where it is not stored."""
    chain = chain_of(backlog, container)
    if chain is None:
        return None
    parts = [key.name for key in reversed(chain)]
    if chain and chain[-1].container == STAGING:
        parts[0] = staging_path(parts[0]).joined
    return b"/".join(parts)


def entry_path(backlog: Backlog, key: EntryKey, staging_path: StagingPath) -> EntryPath | None:
    """Where the engine holds, or would hold, ``key``; None where its container is not stored."""
    if key == ROOT_KEY:
        return EntryPath(b"", b"")
    if key.container == STAGING:
        return staging_path(key.name)
    container = container_path(backlog, key.container, staging_path)
    return None if container is None else EntryPath(container, key.name)
