"""What each change does to the stored tree and to what is owed.

Each handler says first what programs or the engine have at a name now; the rows of ``owed_names`` follow from that.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vaultairefs.backlog.debts import StoredRef
from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO, Change
from vaultairefs.model.values import ABSENT, ROOT, EntryKey, Ino, Version

if TYPE_CHECKING:
    from vaultairefs.backlog.backlog import Backlog

CREATE_CONTAINER: Final = "create_container"
"""The verb of steps that make a container."""


# Changes by programs


def _container_created(log: "Backlog", change: changes.ContainerCreated) -> None:
    log.set_live(EntryKey(change.parent, change.name), change.ino)
    log.owe(change.ino, attributes=True)
    log.owe(change.parent, attributes=True)


def _created(log: "Backlog", change: changes.FileCreated | changes.SymlinkCreated | changes.NodeCreated) -> None:
    log.set_live(EntryKey(change.parent, change.name), change.ino)
    log.owe(change.ino, content=True, attributes=True)
    log.owe(change.parent, attributes=True)


def _linked(log: "Backlog", change: changes.EntryLinked) -> None:
    log.set_live(EntryKey(change.parent, change.name), change.ino)
    log.owe(change.parent, attributes=True)


def _removed(log: "Backlog", change: changes.EntryRemoved) -> None:
    log.set_live(EntryKey(change.parent, change.name), None)
    _forgive_nameless(log, change.ino)
    log.owe(change.parent, attributes=True)


def _renamed(log: "Backlog", change: changes.EntryRenamed) -> None:
    log.set_live(EntryKey(change.parent, change.name), change.replaced if change.exchange else None)
    log.set_live(EntryKey(change.new_parent, change.new_name), change.ino)
    if change.replaced != NO_INO:
        _forgive_nameless(log, change.replaced)
    log.owe(change.parent, attributes=True)
    if change.new_parent != change.parent:
        log.owe(change.new_parent, attributes=True)


def _attributes_changed(log: "Backlog", change: changes.AttributesSet | changes.XattrSet) -> None:
    log.owe(change.ino, attributes=True)


def _bytes_changed(log: "Backlog", change: changes.ExtentsWritten | changes.Truncated) -> None:
    log.owe(change.ino, content=True)


def _closed(log: "Backlog", change: changes.BodyClosed) -> None:
    if change.changed:
        log.owe(change.ino, content=True)


def _forgive_nameless(log: "Backlog", ino: Ino) -> None:
    if not log.has_name(ino):
        log.owed_inos.pop(ino, None)


# Changes by the engine


def _store(log: "Backlog", key: EntryKey, ref: StoredRef | None) -> StoredRef | None:
    """The engine holds ``ref`` (None: nothing) at ``key`` now; what it held.  Programs still find what they found.

    The root is always there.
    """
    if not key.name:
        log.put(key, StoredRef(ROOT, ref.version if ref else ABSENT))
        return None
    live = log.live(key)
    since = log.names_since.get(key)
    old = log.stored(key)
    if ref is None:
        log.take(key)
    else:
        log.put(key, ref)
    log.set_live(key, live)
    if since is not None and key in log.names_since:
        log.names_since[key] = since
        if ref is not None:
            log.names_first[key] = log.clock()
    if old is not None and (ref is None or ref.ino != old.ino):
        _owe_again(log, old.ino, old)
    return old


def _owe_again(log: "Backlog", ino: Ino, gone: StoredRef | None = None) -> None:
    """A stored name of the inode, ``gone``, is gone; if it was the last fresh one, all of it is owed if programs can
    reach it."""
    fresh = log.fresh_ref(ino)
    held = log.stored(fresh) if fresh is not None else None
    if held is not None and gone is not None and not gone.stale:
        log.same_in_engine(ino, gone.version, held.version)
    versions = {ref.version for key in log.refs_of(ino) if (ref := log.stored(key)) is not None}
    if ino != ROOT and log.fresh_ref(ino) is None and log.has_name(ino):
        log.owe(ino, content=log.is_artifact(ino), attributes=True)
    log.left_in_engine(ino, versions)


def _discovered(log: "Backlog", change: changes.ArtifactDiscovered) -> None:
    key = EntryKey(change.container, change.name)
    log.put_found(key, StoredRef(change.ino, change.version), change.link_id)
    log.set_live(key, change.ino)


def _vanished(log: "Backlog", change: changes.EntryVanished) -> None:
    key = EntryKey(change.container, change.name)
    live, ref = log.live(key), log.stored(key)
    if ref is not None and ref.ino == change.ino:
        log.take(key, is_ours=False)
    log.set_live(key, None if live == change.ino else live)
    _forgive_nameless(log, change.ino)
    _owe_again(log, change.ino, ref if ref is not None and ref.ino == change.ino else None)
    if live == change.ino:
        _forget_below(log, change.ino)


def _forget_below(log: "Backlog", container: Ino) -> None:
    """A container that vanished takes along what it held, also what it held for containers that are elsewhere now."""
    owed: dict[Ino, list[bytes]] = {}
    for key in log.owed_names:
        owed.setdefault(key.container, []).append(key.name)
    left = [(container, True)]
    while left:
        parent, vanished = left.pop()
        for name in {*log.stored_children(parent), *(owed.get(parent, ()) if vanished else ())}:
            key = EntryKey(parent, name)
            child = log.live(key)
            ref = log.take(key, is_ours=False)
            log.set_live(key, None if vanished else child)
            if ref is not None and (ref.ino != child or not vanished):
                _owe_again(log, ref.ino, ref)
                left.append((ref.ino, False))
            if child is not None and vanished:
                _forgive_nameless(log, child)
                left.append((child, True))


def _flushed(log: "Backlog", change: changes.ArtifactFlushed) -> None:
    key = EntryKey(change.container, change.name)
    old = _store(log, key, StoredRef(change.ino, change.version))
    if change.alone:
        _outdate_others(log, change.ino, key)
    elif change.attributes and not change.content:
        if old is not None and old.ino == change.ino and old.version != change.version:
            _share_version(log, change.ino, old.version, change.version)
    else:
        _compare_others(log, change.ino, change.version)
    pay(log, change.ino, content=change.content, attributes=change.attributes)
    step = log.doubts.begun.get(key)
    if step is not None and step.verb == CREATE_CONTAINER:
        log.containers.add(change.ino)  # programs may have removed it while it was made
    log.doubts.apply(change)


def pay(log: "Backlog", ino: Ino, *, content: bool, attributes: bool) -> None:
    """The engine has these parts of the inode now."""
    owed = log.owed_inos.get(ino)
    if owed is not None:
        owed.content &= not content
        owed.attributes &= not attributes
        if not owed.content and not owed.attributes:
            del log.owed_inos[ino]


def _share_version(log: "Backlog", ino: Ino, old: Version, new: Version) -> None:
    """Attributes were sent to one of several native names: the others have them, and the version, too."""
    for key in log.refs_of(ino):
        ref = log.stored(key)
        if ref is not None and ref.version == old:
            _store(log, key, ref._replace(version=new))


def _compare_others(log: "Backlog", ino: Ino, version: Version) -> None:
    """One name of the inode holds ``version``: its other names are stale unless they hold the same."""
    for key in log.refs_of(ino):
        ref = log.stored(key)
        if ref is not None and ref.stale != (ref.version != version):
            _store(log, key, ref._replace(stale=not ref.stale))


def _outdate_others(log: "Backlog", ino: Ino, newest: EntryKey) -> None:
    """``newest`` has something that no other name of the inode has."""
    for key in log.refs_of(ino):
        ref = log.stored(key)
        if ref is not None and key != newest and not ref.stale:
            _store(log, key, ref._replace(stale=True))


def _copied(log: "Backlog", change: changes.ArtifactCopied) -> None:
    key = EntryKey(change.container, change.name)
    _store(log, key, StoredRef(change.ino, change.version))
    owed = log.owed_inos.get(change.ino)
    if change.attributes and owed is not None and owed.attributes:
        _outdate_others(log, change.ino, key)
        pay(log, change.ino, content=False, attributes=True)
    log.doubts.apply(change)


def _handed_over(log: "Backlog", change: changes.ContainerHandedOver) -> None:
    """Programs still find what they found; only whose the stored rows are is another matter now."""
    key = EntryKey(change.container, change.name)
    ref = log.stored(key)
    if ref is None or ref.ino != change.ino:
        return
    since = log.names_since.get(key, log.clock())
    first = log.names_first.get(key, since)
    keys = [EntryKey(owner, name) for name in log.stored_children(change.ino) for owner in (change.ino, change.heir)]
    lives = [(below, log.live(below)) for below in (key, *keys)]
    for below in keys[1::2]:
        _store(log, below, None)  # nothing, unless the heir was lost with all that it held
    log.rehang(change.ino, change.heir)
    log.put(key, ref._replace(ino=change.heir))
    log.containers.add(change.heir)
    for below, live in lives:
        log.set_live(below, live)
        if below in log.names_since:
            log.names_since[below] = min(log.names_since[below], since)
            log.names_first[below] = min(log.names_first[below], first)
    log.owe(change.heir, attributes=True)
    _owe_again(log, change.ino)


def _moved(log: "Backlog", change: changes.ArtifactMoved) -> None:
    old, new = EntryKey(change.container, change.name), EntryKey(change.new_container, change.new_name)
    ref = log.stored(old)
    if ref is not None and ref.ino == change.ino:
        _store(log, new, ref)
        _store(log, old, None)
    log.doubts.apply(change)


def _deleted(log: "Backlog", change: changes.ArtifactDeleted) -> None:
    key = EntryKey(change.container, change.name)
    ref = log.stored(key)
    if ref is not None and ref.ino == change.ino:
        _store(log, key, None)


def _conflicted(log: "Backlog", change: changes.ArtifactConflicted) -> None:
    key = EntryKey(change.container, change.name)
    _store(log, key, None)
    log.set_live(key, None)
    log.set_live(EntryKey(change.container, change.conflict_name), change.ino)
    log.owe(change.ino, content=log.is_artifact(change.ino), attributes=True)
    log.owe(change.container, attributes=True)


def _step(log: "Backlog", change: changes.StepBegun | changes.StepEnded) -> None:
    log.doubts.apply(change)


_HANDLERS: Final[dict[type, Callable[["Backlog", Any], None]]] = {
    changes.ContainerCreated: _container_created,
    changes.FileCreated: _created,
    changes.SymlinkCreated: _created,
    changes.NodeCreated: _created,
    changes.EntryLinked: _linked,
    changes.EntryRemoved: _removed,
    changes.EntryRenamed: _renamed,
    changes.AttributesSet: _attributes_changed,
    changes.XattrSet: _attributes_changed,
    changes.BodyClosed: _closed,
    changes.ExtentsWritten: _bytes_changed,
    changes.Truncated: _bytes_changed,
    changes.ArtifactDiscovered: _discovered,
    changes.EntryVanished: _vanished,
    changes.ArtifactFlushed: _flushed,
    changes.ArtifactMoved: _moved,
    changes.ArtifactDeleted: _deleted,
    changes.ArtifactConflicted: _conflicted,
    changes.StepBegun: _step,
    changes.StepEnded: _step,
    changes.ContainerHandedOver: _handed_over,
    changes.ArtifactCopied: _copied,
    changes.ContainerForgotten: lambda log, change: log.forget_inside(change.ino),
}


def apply(log: "Backlog", change: Change) -> None:
    """Post one change; those that concern only local bytes do nothing."""
    handler = _HANDLERS.get(type(change))
    if handler is not None:
        handler(log, change)
