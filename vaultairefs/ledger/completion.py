"""Give every committed operation its event.

An operation commits its changes first and is recorded when it ends; a crash in between leaves changes without an
event.  They happened, so recovery records them, once, with the outcome OK.
"""

from collections.abc import Iterable, Mapping

from vaultairefs.events import EventLog
from vaultairefs.journal import JournalEntry
from vaultairefs.model.changes import EntryRenamed
from vaultairefs.model.errors import Stale
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Namespace


def complete_events(
    events: EventLog,
    entries: Iterable[JournalEntry],
    recorded: set[int],
    begun_after: int,
    in_flight: Mapping[int, JournalEntry | None],
    namespace: Namespace,
) -> int:
    """Record each operation of ``entries`` that is not in ``recorded``; how many.

    Operations up to the id ``begun_after`` are older than the checkpoint that ``entries`` continue, and ``recorded``
    does not go back that far: they were recorded when their call ended, but for those that were ``in_flight`` at that
    moment, some of which had made a change.
    """
    lost = {number: entry for number, entry in in_flight.items() if entry is not None and number not in recorded}
    for entry in entries:
        is_older = entry.operation_id <= begun_after and entry.operation_id not in in_flight
        known = is_older or entry.operation_id in recorded
        if entry.change is not None and entry.operation_id and not known:
            lost.setdefault(entry.operation_id, entry)
    for operation_id, entry in sorted(lost.items()):
        container, artifact = _where(namespace, entry)
        target_container, target_artifact = _target(namespace, entry)
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
            target_container=target_container,
            target_artifact=target_artifact,
        )
    return len(lost)


def _target(namespace: Namespace, entry: JournalEntry) -> tuple[bytes | None, bytes | None]:
    """Where a rename led; None for everything else."""
    change = entry.change
    if not isinstance(change, EntryRenamed):
        return None, None
    try:
        return namespace.path(change.new_parent), change.new_name
    except Stale:
        return b"", change.new_name


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
