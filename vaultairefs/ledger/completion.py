"""Give every committed operation its event.

An operation commits its changes first and is recorded when it ends; a crash in between leaves changes without an
event.  They happened, so recovery records them, once, with the outcome OK.
"""

from collections.abc import Iterable

from vaultairefs.events import EventLog
from vaultairefs.journal import JournalEntry
from vaultairefs.model.errors import Stale
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Namespace


def complete_events(
    events: EventLog, entries: Iterable[JournalEntry], recorded: set[int], begun_after: int, namespace: Namespace
) -> int:
    """Record each operation of ``entries`` that is not in ``recorded``; how many.

    Operations up to the id ``begun_after`` are older than the checkpoint that ``entries`` continue, and ``recorded``
    does not go back that far: they were recorded when their call ended.
    """
    lost: dict[int, JournalEntry] = {}
    for entry in entries:
        known = entry.operation_id <= begun_after or entry.operation_id in recorded
        if entry.change is not None and entry.operation_id and not known:
            lost.setdefault(entry.operation_id, entry)
    for operation_id, entry in sorted(lost.items()):
        container, artifact = _where(namespace, entry)
        events.record(
            time_ns=entry.time_ns,
            operation_id=operation_id,
            pid=entry.pid,
            uid=entry.uid,
            operation=entry.operation,
            container=container,
            artifact=artifact,
            inode=getattr(entry.change, "ino", 0),
            outcome="OK",
        )
    return len(lost)


def _where(namespace: Namespace, entry: JournalEntry) -> tuple[bytes, bytes]:
    """Container and artifact that the change speaks of, as they are called now; empty where that is gone."""
    change = entry.change
    parent: Ino | None = getattr(change, "parent", None) or getattr(change, "container", None)
    try:
        if parent:
            return namespace.path(parent), getattr(change, "name", b"")
        container, _, artifact = namespace.path(getattr(change, "ino", Ino(0))).rpartition(b"/")
        return container, artifact
    except Stale:
        return b"", getattr(change, "name", b"")
