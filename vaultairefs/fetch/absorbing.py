"""Bring what a listing showed into the volume: one name at a time, each decided from the state of the moment.

Promise: a name with anything owed, in the hands of the flusher, or in doubt is left alone.
"""

import time
from collections.abc import Callable, Set
from contextlib import suppress

from vaultairefs.backlog import StoredRef
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.fetch.merging import Known, Meaning, meaning_of
from vaultairefs.ledger import Ledger
from vaultairefs.ledger.arrivals import discover
from vaultairefs.ledger.losses import lose, stored_below
from vaultairefs.model.changes import (
    ArtifactDeleted,
    ArtifactFlushed,
    AttributesSet,
    XattrSet,
)
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Attributes, EntryKey, Ino, Kind


class Absorber:
    """Commits what listings mean.  ``expire`` is told of containers whose own listing is no longer to be trusted."""

    def __init__(self, ledger: Ledger, expire: Callable[[Ino], None]) -> None:
        self._ledger = ledger
        self._expire = expire

    def absorb(self, container: Ino, info: EntryInfo) -> None:
        """The engine holds ``info`` in the container."""
        key = EntryKey(container, info.name)
        match self._meaning(key, info):
            case Meaning.DISCOVER:
                discover(self._ledger, container, info)
            case Meaning.REPLACE if not self._is_written(container, info.name):
                self._tell_split(key)
                self._vanish(key)
                if self._ledger.namespace.child(container, info.name) is None:
                    discover(self._ledger, container, info)
            case Meaning.REFRESH:
                self._refresh(key, info)
            case _:
                pass

    def note_missing(self, container: Ino, shown: Set[bytes], touched: Set[bytes]) -> None:
        """A whole listing of the container showed only these names; those in ``touched`` it cannot speak of."""
        for name in self._ledger.backlog.stored_names(container) - shown - touched:
            key = EntryKey(container, name)
            match self._meaning(key, None):
                case Meaning.VANISH:
                    self._vanish(key)
                case Meaning.RESTORE:
                    self._restore(key)
                case _:
                    pass

    def _meaning(self, key: EntryKey, info: EntryInfo | None) -> Meaning:
        namespace, backlog = self._ledger.namespace, self._ledger.backlog
        ref = backlog.stored(key)
        if key in backlog.doubts.begun or backlog.is_busy(key):
            return Meaning.NOTHING
        live = namespace.child(key.container, key.name)
        if ref is None:
            return meaning_of(Known(live.ino if live is not None else None, None), info)
        if backlog.is_busy(ref.ino):
            return Meaning.NOTHING
        owed = backlog.owed_inos.get(ref.ino)
        known = Known(
            live=live.ino if live is not None else None,
            stored=ref,
            content_owed=owed is not None and owed.content,
            anything_owed=owed is not None,
            attributes=live.attributes() if live is not None else None,
        )
        return meaning_of(known, info)

    def _tell_split(self, key: EntryKey) -> None:
        """Somebody else wrote one name of several: it is a file of its own from now on."""
        namespace = self._ledger.namespace
        live = namespace.child(key.container, key.name)
        if live is None or len(live.refs) < 2:
            return
        with suppress(VaultaireError):  # an event that a full disk refuses is no reason not to look
            self._ledger.events.record(
                time_ns=time.time_ns(),
                operation="split",
                container=namespace.path(key.container),
                artifact=key.name,
                inode=live.ino,
                durability="stored",
            )

    def _is_written(self, container: Ino, name: bytes) -> bool:
        """Whether a program may write on: then the flusher keeps both, else what it writes would have no name."""
        live = self._ledger.namespace.child(container, name)
        body = self._ledger.buffer.find(live.ino) if live is not None else None
        return body is not None and body.is_written_on

    # Somebody else's change of attributes

    def _refresh(self, key: EntryKey, info: EntryInfo) -> None:
        """Take over attributes, and say at once that the engine has them already."""
        ledger = self._ledger
        ref = ledger.backlog.stored(key)
        assert ref is not None
        ours, theirs = ledger.namespace.get(ref.ino).attributes(), info.attributes
        ledger.commit(
            AttributesSet(
                ref.ino, theirs.mode, theirs.uid, theirs.gid, ours.atime_ns, _mtime_of(ours, theirs), theirs.ctime_ns
            )
        )
        for name in ours.xattrs.keys() - theirs.xattrs.keys():
            ledger.commit(XattrSet(ref.ino, name, None, theirs.ctime_ns))
        for name, value in theirs.xattrs.items():
            if ours.xattrs.get(name) != value:
                ledger.commit(XattrSet(ref.ino, name, value, theirs.ctime_ns))
        ledger.commit(ArtifactFlushed(ref.ino, key.container, key.name, ref.version, content=False, attributes=True))
        for witness in ledger.witnesses:
            witness.attributes_changed(ref.ino)

    # Somebody else's removal

    def _vanish(self, key: EntryKey) -> None:
        """A clean entry goes; of a container, everything below it that is clean, unless the flusher works there."""
        ref = self._ledger.backlog.stored(key)
        assert ref is not None
        below = stored_below(self._ledger, ref.ino)
        if self._is_free(ref.ino, below):
            for container in (ref.ino, *(row.ino for _, row in below)):
                self._expire(container)
            lose(self._ledger, key)

    def _is_free(self, container: Ino, below: list[tuple[EntryKey, StoredRef]]) -> bool:
        """Whether no engine call works below the container and none there is in doubt."""
        backlog = self._ledger.backlog
        in_doubt = {key.container for key in backlog.doubts.begun}
        if container in in_doubt or backlog.is_busy(container):
            return False
        return not any(backlog.is_busy(key) or backlog.is_busy(ref.ino) or ref.ino in in_doubt for key, ref in below)

    def _restore(self, key: EntryKey) -> None:
        ref = self._ledger.backlog.stored(key)
        assert ref is not None
        self._ledger.commit(ArtifactDeleted(ref.ino, key.container, key.name))


def _mtime_of(ours: Attributes, theirs: Attributes) -> int:
    return ours.mtime_ns if ours.kind is Kind.CONTAINER else theirs.mtime_ns
