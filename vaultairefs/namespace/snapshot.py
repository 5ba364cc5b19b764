"""The tree as one value, for checkpoints, fingerprints and tests."""

import msgspec

from vaultairefs.model.values import ROOT, EntryKey, Ino
from vaultairefs.namespace.inode import Inode
from vaultairefs.namespace.namespace import Namespace
from vaultairefs.namespace.places import DOTS, cookie_of


class NamespaceSnapshot(msgspec.Struct, array_like=True):
    """``inodes`` are the live objects, orphans included: encode before the next change."""

    next_ino: int
    inodes: list[Inode]


def take(tree: Namespace) -> NamespaceSnapshot:
    """The whole tree."""
    return NamespaceSnapshot(tree.next_ino, list(tree.inodes.values()))


def restore(snapshot: NamespaceSnapshot) -> Namespace:
    """The tree that ``take`` saw; it takes over the snapshot's inodes."""
    tree = Namespace()
    tree.inodes.update((inode.ino, inode) for inode in snapshot.inodes)
    tree.next_ino = snapshot.next_ino
    tree.nameless = {inode.ino for inode in snapshot.inodes if not inode.nlink}
    tree.links = {inode.link_id: inode.ino for inode in snapshot.inodes if inode.link_id}
    return tree


def audit(tree: Namespace) -> list[str]:
    """Every broken invariant, in words; an empty list for a sound tree.  Walks the whole tree."""
    found: dict[Ino, set[EntryKey]] = {}
    problems = []
    for container in tree.inodes.values():
        children = container.children or {}
        cookies = {cookie_of(container, name, ino) for name, ino in children.items()}
        if len(cookies) != len(children) or min(cookies, default=DOTS + 1) <= DOTS:
            problems.append(f"{container}: two names in one place")
        places = container.places or {}
        if not places.keys() <= children.keys() or set(places.values()) != (container.places_taken or set()):
            problems.append(f"{container}: places {places} and {container.places_taken}")
        for name, ino in children.items():
            found.setdefault(ino, set()).add(EntryKey(container.ino, name))
    for ino in found.keys() - tree.inodes.keys():
        problems.append(f"inode {ino} is named but unknown")
    for ino, path in list(tree.paths.items()):
        if tree.path(ino) != path:
            problems.append(f"inode {ino} is not at {path!r}")
    if tree.nameless != {inode.ino for inode in tree.inodes.values() if not inode.nlink}:
        problems.append(f"nameless are not {tree.nameless}")
    for inode in tree.inodes.values():
        problems += [f"{inode}: {problem}" for problem in _audit_inode(tree, inode, found.get(inode.ino, set()))]
    return problems


def _audit_inode(tree: Namespace, inode: Inode, names: set[EntryKey]) -> list[str]:
    problems = []
    if set(inode.refs) != names or len(inode.refs) != len(names):
        problems.append(f"refs {inode.refs} but names {names}")
    if inode.children is None:
        if (inode.nlink == 0) != (not names) or inode.nlink < len(names):
            problems.append(f"nlink does not fit {len(names)} names")
        return problems
    living = bool(names) or inode.ino == ROOT
    inside = sum(1 for ino in inode.children.values() if tree.inodes[ino].is_container)
    if inode.subcontainers != inside or inode.nlink != (2 + inside if living else 0):
        problems.append(f"{inside} containers inside")
    if len(names) > 1 or (names and next(iter(names)).container != inode.parent):
        problems.append(f"parent {inode.parent} but names {names}")
    return problems
