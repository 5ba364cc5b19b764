"""Snapshots as earlier versions of the program wrote them.

Promise: the tree that comes out is the one that went in; only places in listings begin anew, for no listing is under
way when a snapshot is read.
"""

import msgspec

from vaultairefs.model.values import EntryKey, Ino, Kind
from vaultairefs.namespace import places
from vaultairefs.namespace.inode import Inode
from vaultairefs.namespace.snapshot import NamespaceSnapshot


class _Inode1(msgspec.Struct, array_like=True):
    """The inode of format 1: a child was an inode number and its place in listings."""

    ino: Ino
    kind: Kind
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    parent: Ino
    rdev: int
    size: int
    nlink: int
    subcontainers: int
    next_cookie: int
    content_generation: int
    target: bytes
    link_id: str
    xattrs: dict[bytes, bytes] | None
    refs: tuple[EntryKey, ...]
    children: dict[bytes, tuple[Ino, int]] | None


class NamespaceSnapshot1(msgspec.Struct, array_like=True):
    """``NamespaceSnapshot`` of format 1."""

    next_ino: int
    inodes: list[_Inode1]


def upgraded(snapshot: NamespaceSnapshot1) -> NamespaceSnapshot:
    """The same tree in today's format."""
    inodes = {old.ino: _upgraded(old) for old in snapshot.inodes}
    for inode in inodes.values():
        refs, inode.refs = inode.refs, ()
        # A further name in one container needs a place of its own, which is only taken while the others are known.
        for ref in refs:
            places.take(inodes[ref.container], ref.name, inode, None)
            inode.refs += (ref,)
    return NamespaceSnapshot(snapshot.next_ino, list(inodes.values()))


def _upgraded(old: _Inode1) -> Inode:
    values = {field: getattr(old, field) for field in old.__struct_fields__ if field not in ("next_cookie", "children")}
    children = None if old.children is None else {name: ino for name, (ino, _) in old.children.items()}
    return Inode(**values, children=children)
