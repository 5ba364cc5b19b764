"""Entries that nobody uses, packed: one string of bytes each instead of a dozen objects.

A million known files cost more memory as objects than many machines want to give to names.  What is *clean* (the
engine holds it under its live name, nothing is owed, no body, no call under way) says everything in one row.  It goes
on the shelf when there are more inodes in use than ``in_use_max``, those longest in use first, and comes back, into
namespace and backlog alike, when somebody asks for it.

Promise: whether an entry is on the shelf changes no answer of the rooms and is no state: replaying the same changes
gives the same volume.  An inode that anybody has in hand stays in use, so there are never two objects of one.

Does not: take containers, entries with several names, or anything that waits for the flusher.
"""

import sys
from collections import deque
from typing import Final

import msgspec

from vaultairefs.backlog import Backlog, StoredRef
from vaultairefs.buffer import Buffer
from vaultairefs.model.values import EntryKey, Ino, Kind, Version
from vaultairefs.namespace import Inode, Namespace

IN_USE_MAX: Final = 16384
"""Inodes kept as objects, about 15 MB: more than most programs go to and fro between."""

_OURS: Final = 3
"""References to an inode that nobody else has in hand: the namespace's, a local name, the call that counts."""


class Row(msgspec.Struct, array_like=True, gc=False):
    """A clean entry: its attributes, its one name, and the engine's version there.

    Times mostly lie together: two of them are told by their distance from ``mtime_ns``.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    atime_after: int
    ctime_after: int
    size: int
    container: Ino
    name: bytes
    version: Version
    rdev: int = 0
    target: bytes = b""
    xattrs: dict[bytes, bytes] | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Row).decode


class Shelf:
    """The shelf of one volume.

    Invariants: an inode is in ``rows`` or in ``namespace.inodes``, never in both; every inode in use that is no
    container is once in ``_queue``.
    """

    def __init__(self, namespace: Namespace, buffer: Buffer, backlog: Backlog, *, in_use_max: int) -> None:
        self.rows: dict[Ino, bytes] = {}
        self._inodes = namespace.inodes
        self._namespace = namespace
        self._buffer = buffer
        self._backlog = backlog
        self._in_use_max = in_use_max
        self._queue: deque[Ino] = deque(ino for ino, inode in namespace.inodes.items() if not inode.is_container)
        namespace.inodes.shelf = backlog.shelf = self

    def __len__(self) -> int:
        return len(self.rows)

    # Asked by the rooms

    def note_begun(self, ino: Ino) -> None:
        """A new inode is in use."""
        self._queue.append(ino)

    def peek(self, ino: Ino) -> Inode | None:
        """A copy of an inode on the shelf, to be looked at and let go."""
        packed = self.rows.get(ino)
        return None if packed is None else _unpacked(ino, _decode(packed))

    def recall(self, ino: Ino) -> Inode | None:
        """Take the inode back into use; None for one that is not here."""
        packed = self.rows.pop(ino, None)
        if packed is None:
            return None
        row = _decode(packed)
        inode = self._inodes[ino] = _unpacked(ino, row)
        self._backlog.settle(EntryKey(row.container, row.name), StoredRef(ino, row.version))
        self._queue.append(ino)
        return inode

    def recall_name(self, key: EntryKey) -> None:
        """Take what the name leads to back into use, if it is here."""
        home = self._inodes.get(key[0])
        if home is not None and home.children:
            ino = home.children.get(key[1])
            if ino in self.rows:
                self.recall(ino)

    def names_in(self, container: Ino) -> set[bytes]:
        """The names in the container that lead here."""
        home = self._inodes.get(container)
        if home is None or not home.children or not self.rows:
            return set()
        rows = self.rows
        return {name for name, ino in home.children.items() if ino in rows}

    def discard(self, ino: Ino) -> None:
        """Forget the inode, if it is here."""
        self.rows.pop(ino, None)

    # Asked by the ledger

    def holds_all_of(self, container: Inode) -> bool:
        """Whether everything in the container is here, and everything that the engine holds there is shown.

        Then ``ContainerForgotten`` loses nothing but numbers.
        """
        backlog, ino = self._backlog, container.ino
        if not container.children or not self.rows.keys() >= set(container.children.values()):
            return False
        if ino in backlog.tree or backlog.is_busy(ino) or backlog.is_watched(ino):
            return False
        return not backlog.doubts.below(ino)

    @property
    def is_wanted(self) -> bool:
        """Whether more is in use than should be."""
        return len(self._inodes) > self._in_use_max

    def put_away(self, looks: int) -> None:
        """Look at some of the inodes longest in use, and put on the shelf what can be."""
        queue, inodes = self._queue, self._inodes
        for _ in range(min(looks, len(queue))):
            ino = queue.popleft()
            inode = inodes.get(ino)
            if inode is None:
                continue
            packed = self._packed(inode) if sys.getrefcount(inode) == _OURS else None
            if packed is None:
                queue.append(ino)
            else:
                self._backlog.unsettle(inode.refs[0])
                del inodes[ino]
                self.rows[ino] = packed

    def put_all_away(self) -> None:
        """Look at everything there is in use, if that is too much."""
        if self.is_wanted:
            self.put_away(len(self._queue))

    def recall_all(self) -> None:
        """Take everything back into use, for whoever wants to see the whole state as objects."""
        for ino in list(self.rows):
            self.recall(ino)

    def _packed(self, inode: Inode) -> bytes | None:
        """The row of a clean inode; None for any other."""
        if inode.children is not None or inode.nlink != 1 or len(inode.refs) != 1 or inode.link_id:
            return None
        ino, key, backlog = inode.ino, inode.refs[0], self._backlog
        if ino in backlog.owed_inos or key in backlog.owed_names or self._buffer.find(ino) is not None:
            return None
        if backlog.refs.get(ino) != (key,) or backlog.is_in_hand(key, ino):
            return None
        ref = backlog.stored(key)
        if ref is None or ref.stale or ref.ino != ino:
            return None
        return _encode(
            Row(
                inode.kind,
                inode.mode,
                inode.uid,
                inode.gid,
                inode.mtime_ns,
                inode.atime_ns - inode.mtime_ns,
                inode.ctime_ns - inode.mtime_ns,
                inode.size,
                key.container,
                key.name,
                ref.version,
                inode.rdev,
                inode.target,
                inode.xattrs,
            )
        )


def _unpacked(ino: Ino, row: Row) -> Inode:
    return Inode(
        ino,
        row.kind,
        row.mode,
        row.uid,
        row.gid,
        row.mtime_ns + row.atime_after,
        row.mtime_ns,
        row.mtime_ns + row.ctime_after,
        row.container,
        rdev=row.rdev,
        size=row.size,
        nlink=1,
        target=row.target,
        xattrs=row.xattrs,
        refs=(EntryKey(row.container, row.name),),
    )
