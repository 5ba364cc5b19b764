"""The memory engine's tree without moves, links and checked names: as an object store with plain keys has it.

Containers come with what is put into them and stay when a deletion empties them.  The version of an artifact is a
digest of its bytes, so equal bytes have equal versions, other attributes do not change it, and a copy has its source's;
but one that went up in chunks has a version of its own, and any copy of it another.

Promise: otherwise the memory tree's.  Does not: show an artifact beside a container of its name; that is refused.
"""

import hashlib
from typing import Final

import msgspec

from vaultairefs.engine.conditions import holds
from vaultairefs.engine.memory_tree import Artifact, Container, MemoryTree, Node
from vaultairefs.engine.paths import entry_of, parse_container
from vaultairefs.model.errors import Conflict, IsAContainer, NotAContainer, NotFound
from vaultairefs.model.values import ABSENT, Attributes, EntryPath, Kind, Version

IMPLICIT: Final = Version("implicit")
"""The identity of every container that exists by what is in it alone."""

_IMPLICIT_ATTRIBUTES: Final = Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0)


class PlainArtifact(Artifact):
    """``origin`` is the version that the last change of attributes was made from."""

    __slots__ = ("in_chunks", "origin")

    def __init__(self, serial: int, content: bytes, attributes: Attributes, token: str, upload_id: str) -> None:
        super().__init__(serial, content, attributes, token, upload_id)
        self.in_chunks = bool(upload_id)
        self.origin: Version = ABSENT

    @property
    def version(self) -> Version:
        if self.in_chunks:
            return Version(f"p{self.serial}")
        return Version(hashlib.blake2b(self.content, digest_size=8).hexdigest())


class Prefix(Container):
    """A container that nobody created."""

    __slots__ = ()

    @property
    def version(self) -> Version:
        return IMPLICIT


class PlainTree(MemoryTree):
    """See the module's text."""

    artifact_type = PlainArtifact

    def set_attributes(self, path: EntryPath, attributes: Attributes, expected: Version) -> Version:
        node = self.find(path)
        if not isinstance(node, PlainArtifact) or attributes.kind is Kind.CONTAINER:
            return super().set_attributes(path, attributes, expected)
        old = node.attributes
        new = msgspec.structs.replace(attributes, kind=old.kind, rdev=old.rdev, target=old.target)
        if not holds(node.version, expected) and (node.origin != expected or old != new):
            raise Conflict(container=path.container, artifact=path.name, operation="set_attributes")
        if old != new:
            node.origin, node.in_chunks, node.attributes = node.version, False, new
        return node.version

    def delete(self, path: EntryPath, expected: Version) -> None:
        """A container has another key than an artifact of its name: there is nothing to delete."""
        try:
            super().delete(path, expected)
        except IsAContainer:
            return

    def create_container(self, container: bytes, attributes: Attributes) -> Version:
        if container:
            path = entry_of(container)
            there = self._named(path)
            if isinstance(there, Prefix):
                made = Container(next(self._serials), attributes)
                made.children = there.children
                self._place(path, made)
                return made.version
        return super().create_container(container, attributes)

    def _named(self, path: EntryPath) -> Node | None:
        try:
            return super()._named(path)
        except NotFound:
            return None

    def _place(self, path: EntryPath, node: Node) -> None:
        self._make_way(path.container)
        super()._place(path, node)

    def _make_way(self, container: bytes) -> None:
        parsed = parse_container(container)
        at = self._staging if parsed.staged else self._root
        for component in parsed.components:
            below = at.children.setdefault(component, Prefix(next(self._serials), _IMPLICIT_ATTRIBUTES))
            if not isinstance(below, Container):
                raise NotAContainer(container=container)
            at = below
