"""The tree as one value, for checkpoints, fingerprints and tests."""

import msgspec

from vaultairefs.model.values import ROOT, EntryKey, Ino
from vaultairefs.namespace.inode import Inode
from vaultairefs.namespace.namespace import Namespace


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
    tree.inodes = {inode.ino: inode for inode in snapshot.inodes}
    tree.next_ino = snapshot.next_ino
    tree.links = {inode.link_id: inode.ino for inode in snapshot.inodes if inode.link_id}
    return tree


def audit(tree: Namespace) -> list[str]:
    """Every broken invariant, in words; an empty list for a sound tree.  Walks the whole tree."""
    found: dict[Ino, set[EntryKey]] = {}
    problems = []
    for container in tree.inodes.values():
        cookies = [child.cookie for child in (container.children or {}).values()]
        if cookies != sorted(set(cookies)) or (cookies and not 3 <= cookies[-1] < container.next_cookie):
            problems.append(f"{container}: cookies out of order")
        for name, child in (container.children or {}).items():
            found.setdefault(child.ino, set()).add(EntryKey(container.ino, name))
    for ino in found.keys() - tree.inodes.keys():
        problems.append(f"inode {ino} is named but unknown")
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
    inside = sum(1 for child in inode.children.values() if tree.inodes[child.ino].is_container)
    if inode.subcontainers != inside or inode.nlink != (2 + inside if living else 0):
        problems.append(f"{inside} containers inside")
    if len(names) > 1 or (names and next(iter(names)).container != inode.parent):
        problems.append(f"parent {inode.parent} but names {names}")
    return problems
