"""What each change does to the state of a body; no file is touched here."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vaultairefs.buffer.body import WHOLE_END, Body, Phase
from vaultairefs.model import changes
from vaultairefs.model.changes import Change
from vaultairefs.model.errors import InvalidRequest, Stale
from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import ABSENT, Sequence, Version

if TYPE_CHECKING:
    from vaultairefs.buffer.bodies import Bodies


def _settle(body: Body) -> None:
    """A partial body that has every byte is complete."""
    if not body.complete and body.present.covers(0, body.size):
        body.complete = True
        body.present.clear()


def _created(bodies: "Bodies", sequence: Sequence, change: changes.FileCreated) -> None:
    body = bodies.begin(change.ino, sequence)
    body.complete = body.unflushed = True
    body.phase = Phase.OPEN if change.opened else Phase.CLOSED


def _opened(bodies: "Bodies", sequence: Sequence, change: changes.BodyOpened) -> None:
    body = bodies.known(change.ino)
    body.phase = Phase.OPEN
    body.frail = False


def _closed(bodies: "Bodies", sequence: Sequence, change: changes.BodyClosed) -> None:
    body = bodies.known(change.ino)
    body.phase = Phase.CLOSED
    body.size = change.size
    if change.changed:
        body.unflushed = True
        if bodies.replaying or not body.dirty:
            body.dirty.add(0, change.size)
    bodies.closed(body)


def _written(bodies: "Bodies", sequence: Sequence, change: changes.ExtentsWritten) -> None:
    body = bodies.known(change.ino)
    start, end = change.offset, change.offset + change.length
    # A write behind the end leaves zeros between: they are as new as the write.
    body.dirty.add(min(start, body.size), end)
    body.present.add(min(start, body.size), end)
    body.size = max(body.size, end)
    body.unflushed = True
    body.frail = False
    body.changes += 1
    _settle(body)


def _fetched(bodies: "Bodies", sequence: Sequence, change: changes.ExtentsFetched) -> None:
    body = bodies.find(change.ino)
    if body is None or body.phase is Phase.ABSENT:
        body = bodies.begin(change.ino, sequence)
        body.phase = Phase.CLOSED
        body.base_version = change.version
        body.base_size = body.size = change.size
    for offset, length in change.extents:
        body.present.add(offset, min(offset + length, body.base_size))
    body.changes += 1
    _settle(body)


def _evicted(bodies: "Bodies", sequence: Sequence, change: changes.BodyEvicted) -> None:
    bodies.empty(change.ino, sequence)


def _truncated(bodies: "Bodies", sequence: Sequence, change: changes.Truncated) -> None:
    body = bodies.find(change.ino)
    if (change.size == 0 and not change.in_place) or body is None:
        was_open = body is not None and body.phase is Phase.OPEN
        body = bodies.begin(change.ino, sequence)
        body.complete = True
        body.phase = Phase.OPEN if was_open else Phase.CLOSED
    elif change.size == 0:
        detach(body)  # as a new body would begin
        body.dirty.clear()
        body.puts = 0
    elif change.size < body.size:
        for extents in (body.present, body.dirty):
            extents.remove(change.size, WHOLE_END)
        if not body.complete:
            body.durable.remove(change.size, WHOLE_END)
            body.durable_ahead.remove(change.size, WHOLE_END)
    else:
        body.dirty.add(body.size, change.size)
        if not body.complete:
            body.present.add(body.size, change.size)
    body.base_size = min(body.base_size, change.size)
    body.cut, body.cut_ahead = min(body.cut, change.size), min(body.cut_ahead, change.size)
    body.size = change.size
    body.unflushed = True
    body.frail = False
    body.changes += 1
    _settle(body)


def _put_begun(bodies: "Bodies", sequence: Sequence, change: changes.StepBegun) -> None:
    body = bodies.find(change.ino)
    if body is None or change.verb != "put" or change.upload_id:
        return
    body.durable_ahead.clear()
    body.cut_ahead = WHOLE_END
    body.puts += 1
    body.frail = False


def _flushed(bodies: "Bodies", sequence: Sequence, change: changes.ArtifactFlushed) -> None:
    body = bodies.find(change.ino)
    if body is None or body.phase is Phase.ABSENT:
        return
    if change.content and body.frail:
        bodies.empty(change.ino, sequence)
    elif change.content:
        if change.size >= 0:
            body.size = change.size
        body.unflushed = False
        body.dirty.clear()
        _rebase(body, change.version, body.size)
    elif change.attributes:
        if body.base_version != ABSENT:
            body.base_version = change.version
    elif change.version != body.base_version and (body.complete or change.size >= 0):
        _rebase_below(body, change.version, change.size)


def _copied(bodies: "Bodies", sequence: Sequence, change: changes.ArtifactCopied) -> None:
    """The copy outlives what it was made of."""
    bodies.follow_base(change.ino, change.source_version, change.version)


def _rebase(body: Body, version: Version, size: int) -> None:
    if version != body.base_version:
        body.durable.clear()
        body.durable_ahead.clear()
    body.base_version, body.base_size = version, size
    body.cut = body.cut_ahead = WHOLE_END


def _rebase_below(body: Body, version: Version, size: int) -> None:
    """Older bytes than the body's, but newer than its base: whoever falls back to the engine falls back to these, and
    goes on from there with what happened since they were taken."""
    body.base_version, body.cut = version, body.cut_ahead
    body.base_size = min(size, body.cut) if body.complete else min(size, body.cut, body.size)
    body.durable = ExtentSet(body.durable_ahead)


def _conflicted(bodies: "Bodies", sequence: Sequence, change: changes.ArtifactConflicted) -> None:
    body = bodies.find(change.ino)
    if body is None or body.phase is Phase.ABSENT:
        return
    body.unflushed = True
    if body.complete:
        body.dirty.add(0, body.size)


def _synced(bodies: "Bodies", sequence: Sequence, change: changes.BodySynced) -> None:
    body = bodies.find(change.ino)
    if body is None:
        return
    if change.extents or not body.complete:
        for offset, length in change.extents or tuple(body.dirty):
            body.durable.add(offset, offset + length)
            body.durable_ahead.add(offset, offset + length)
    else:
        body.durable.add(0, WHOLE_END)
        body.durable_ahead.add(0, WHOLE_END)


def detach(body: Body) -> None:
    """Let a complete body stand for itself: there is nothing in the engine to fall back to, so all of it is owed."""
    body.base_version, body.base_size = ABSENT, 0
    body.durable.clear()
    body.durable_ahead.clear()
    body.cut = WHOLE_END
    body.unflushed = True
    body.dirty.add(0, body.size)


_HANDLERS: Final[dict[type, Callable[["Bodies", Sequence, Any], None]]] = {
    changes.FileCreated: _created,
    changes.BodyOpened: _opened,
    changes.BodyClosed: _closed,
    changes.ExtentsWritten: _written,
    changes.ExtentsFetched: _fetched,
    changes.BodyEvicted: _evicted,
    changes.Truncated: _truncated,
    changes.ArtifactFlushed: _flushed,
    changes.ArtifactCopied: _copied,
    changes.ArtifactConflicted: _conflicted,
    changes.BodySynced: _synced,
    changes.StepBegun: _put_begun,
}


def apply(bodies: "Bodies", sequence: Sequence, change: Change) -> None:
    """Post one change; those that concern no body do nothing."""
    handler = _HANDLERS.get(type(change))
    if handler is not None:
        handler(bodies, sequence, change)


# Which changes fit


def _check_complete(bodies: "Bodies", change: changes.BodyOpened | changes.BodyClosed) -> None:
    body = bodies.find(change.ino)
    if body is None or not body.complete:
        raise InvalidRequest(f"the body of inode {change.ino} is not complete")


def _check_written(bodies: "Bodies", change: changes.ExtentsWritten) -> None:
    body = bodies.find(change.ino)
    if body is None or not body.partial:
        raise InvalidRequest(f"the body of inode {change.ino} is not partial: its writes are noted, not journalled")


def _check_fetched(bodies: "Bodies", change: changes.ExtentsFetched) -> None:
    body = bodies.find(change.ino)
    if body is None or body.phase is Phase.ABSENT:
        if change.extents:
            raise Stale(f"the body of inode {change.ino} was replaced meanwhile")
    elif body.complete or body.base_version != change.version:
        raise Stale(f"the body of inode {change.ino} does not begin from version {change.version!r}")


def _check_evicted(bodies: "Bodies", change: changes.BodyEvicted) -> None:
    body = bodies.find(change.ino)
    if body is not None and not can_leave(body):
        raise InvalidRequest(f"the body of inode {change.ino} is open or not in the engine")


def can_leave(body: Body) -> bool:
    """Whether nothing would be lost by evicting the body."""
    is_used = body.phase is Phase.OPEN or body.writers > 0 or body.passed is not None
    return not is_used and not body.unflushed and body.base_version != ABSENT


_CHECKS: Final[dict[type, Callable[["Bodies", Any], None]]] = {
    changes.BodyOpened: _check_complete,
    changes.BodyClosed: _check_complete,
    changes.ExtentsWritten: _check_written,
    changes.ExtentsFetched: _check_fetched,
    changes.BodyEvicted: _check_evicted,
}


def check(bodies: "Bodies", change: Change) -> None:
    """Raise unless the change fits the body that it speaks of."""
    look = _CHECKS.get(type(change))
    if look is not None:
        look(bodies, change)
