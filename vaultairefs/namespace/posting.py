"""What each change does to the tree."""

from vaultairefs.namespace.inode import Child, Inode


def children_of(inode: Inode) -> dict[bytes, Child]:
    raise NotImplementedError
