"""A small filesystem in plain dicts: what POSIX says a volume must look like, with none of a volume's machinery.

It raises the same error words as a volume.  Times are kept only where a program set them explicitly.
"""

import stat
from dataclasses import dataclass, field

from vaultairefs.model.errors import (
    AlreadyExists,
    AttributeMissing,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NameTooLong,
    NotAContainer,
    NotFound,
    NotPermitted,
)
from vaultairefs.model.values import Kind
from vaultairefs.volume import RenameMode

Path = tuple[bytes, ...]


@dataclass(eq=False)
class Node:
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    data: bytearray = field(default_factory=bytearray)
    target: bytes = b""
    rdev: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    children: dict[bytes, "Node"] = field(default_factory=dict)
    links: int = 0
    mtime_ns: int | None = None

    @property
    def nlink(self) -> int:
        if self.kind is not Kind.CONTAINER:
            return self.links
        return 2 + sum(child.kind is Kind.CONTAINER for child in self.children.values()) if self.links else 0


class Reference:
    """The tree; every method takes paths as tuples of names, the root being ``()``."""

    def __init__(self) -> None:
        self.root = Node(Kind.CONTAINER, 0o755, links=1)

    def at(self, path: Path) -> Node:
        node = self.root
        for name in path:
            node = self._child(node, name)
        return node

    def _child(self, parent: Node, name: bytes) -> Node:
        if parent.kind is not Kind.CONTAINER:
            raise NotAContainer
        if len(name) > 255:
            raise NameTooLong
        if name not in parent.children:
            raise NotFound
        return parent.children[name]

    def nodes(self) -> dict[Path, Node]:
        """Every path and what it leads to."""
        return {(): self.root, **self._below((), self.root)}

    def _below(self, path: Path, node: Node) -> dict[Path, Node]:
        found = {}
        for name, child in node.children.items():
            found[(*path, name)] = child
            found.update(self._below((*path, name), child))
        return found

    def _vacancy(self, path: Path) -> tuple[Node, bytes]:
        home, name = self.at(path[:-1]), path[-1]
        if len(name) > 255:
            raise NameTooLong
        if home.kind is not Kind.CONTAINER:
            raise NotAContainer
        if name in home.children:
            raise AlreadyExists
        return home, name

    def create(self, path: Path, node: Node) -> Node:
        home, name = self._vacancy(path)
        if home.mode & stat.S_ISGID:
            node.gid = home.gid
            if node.kind is Kind.CONTAINER:
                node.mode |= stat.S_ISGID
        home.children[name] = node
        home.mtime_ns = None
        node.links = 1
        return node

    def link(self, source: Path, path: Path) -> None:
        node = self.at(source)
        home, name = self._vacancy(path)
        if node.kind is Kind.CONTAINER:
            raise NotPermitted
        home.children[name] = node
        home.mtime_ns = None
        node.links += 1

    def unlink(self, path: Path) -> None:
        home, node = self.at(path[:-1]), self.at(path)
        if node.kind is Kind.CONTAINER:
            raise IsAContainer
        self._detach(home, path[-1])

    def rmdir(self, path: Path) -> None:
        home, node = self.at(path[:-1]), self.at(path)
        if node.kind is not Kind.CONTAINER:
            raise NotAContainer
        if node.children:
            raise ContainerNotEmpty
        self._detach(home, path[-1])

    def _detach(self, home: Node, name: bytes) -> None:
        home.children.pop(name).links -= 1
        home.mtime_ns = None

    def rename(self, source: Path, path: Path, mode: RenameMode) -> None:
        old_home, new_home = self.at(source[:-1]), self.at(path[:-1])
        node = self._child(old_home, source[-1])
        if len(path[-1]) > 255:
            raise NameTooLong
        if new_home.kind is not Kind.CONTAINER:
            raise NotAContainer
        target = new_home.children.get(path[-1])
        self._check_rename(source, path, node, target, mode)
        if node is target:
            return
        old_home.mtime_ns = new_home.mtime_ns = None
        if mode is RenameMode.EXCHANGE:
            assert target is not None
            old_home.children[source[-1]], new_home.children[path[-1]] = target, node
            return
        if target is not None:
            self._detach(new_home, path[-1])
        del old_home.children[source[-1]]
        new_home.children[path[-1]] = node

    def _check_rename(self, source: Path, path: Path, node: Node, target: Node | None, mode: RenameMode) -> None:
        if mode is RenameMode.NO_REPLACE and target is not None:
            raise AlreadyExists
        if mode is RenameMode.EXCHANGE and target is None:
            raise NotFound
        if node.kind is Kind.CONTAINER and path[: len(source)] == source and len(path) > len(source):
            raise InvalidRequest
        if target is None or target is node:
            return
        if target.kind is Kind.CONTAINER and source[: len(path)] == path:
            raise InvalidRequest if mode is RenameMode.EXCHANGE else ContainerNotEmpty
        if mode is RenameMode.EXCHANGE:
            return
        if node.kind is Kind.CONTAINER and target.kind is not Kind.CONTAINER:
            raise NotAContainer
        if target.kind is Kind.CONTAINER and node.kind is not Kind.CONTAINER:
            raise IsAContainer
        if target.children:
            raise ContainerNotEmpty

    def write(self, node: Node, offset: int, data: bytes) -> None:
        if offset > len(node.data):
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset : offset + len(data)] = data
        node.mtime_ns = None

    def resize(self, node: Node, size: int) -> None:
        if size < len(node.data):
            del node.data[size:]
        else:
            node.data.extend(bytes(size - len(node.data)))
        node.mtime_ns = None

    def drop_set_id(self, node: Node) -> None:
        node.mode &= ~stat.S_ISUID
        if node.mode & stat.S_IXGRP:
            node.mode &= ~stat.S_ISGID

    def removexattr(self, node: Node, name: bytes) -> None:
        if name not in node.xattrs:
            raise AttributeMissing
        del node.xattrs[name]
