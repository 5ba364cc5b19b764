"""The memory engine's tree: values and rules, no waiting.

Promise: every method either does the whole verb or raises and has changed nothing.  Artifacts are immutable values
but for their attributes, so a read never sees two versions.
"""

import itertools
from collections.abc import Iterator
from typing import Final

import msgspec

from vaultairefs.engine.conditions import holds, require, require_replaceable
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.engine.paths import ROOT_PATH, STAGING_CONTAINER, entry_of, parse_container
from vaultairefs.model.errors import (
    AlreadyExists,
    Conflict,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.names import check_name
from vaultairefs.model.values import ANY, Attributes, EntryPath, Kind, Version

_ROOT_ATTRIBUTES: Final = Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0)


class Artifact:
    """One artifact under one or more names; ``serial`` is new for every put."""

    __slots__ = ("attributes", "content", "links", "mark", "serial", "token", "upload_id")

    def __init__(self, serial: int, content: bytes, attributes: Attributes, token: str, upload_id: str) -> None:
        self.serial = serial
        self.content = attributes.target if attributes.kind is Kind.SYMLINK else content
        self.attributes = attributes
        self.token = token
        self.upload_id = upload_id
        self.links = 0
        self.mark = ""

    @property
    def version(self) -> Version:
        """Like the local engine's: new bytes or another mtime make another version, other attributes do not."""
        return Version(f"m{self.serial}-{self.attributes.mtime_ns}")


class Container:
    """A container and what it holds by name."""

    __slots__ = ("attributes", "children", "serial")

    def __init__(self, serial: int, attributes: Attributes) -> None:
        self.serial = serial
        self.attributes = attributes
        self.children: dict[bytes, Node] = {}

    @property
    def version(self) -> Version:
        return Version(f"c{self.serial}")


Node = Artifact | Container


class MemoryTree:
    """All names of one namespace."""

    artifact_type: type[Artifact] = Artifact

    def __init__(self) -> None:
        self._serials = itertools.count(1)
        self._root = Container(next(self._serials), _ROOT_ATTRIBUTES)
        self._staging = Container(next(self._serials), _ROOT_ATTRIBUTES)

    def container(self, path: bytes) -> Container:
        """``NotFound``, or ``NotAContainer`` when an artifact is in the way."""
        parsed = parse_container(path)
        at = self._staging if parsed.staged else self._root
        for component in parsed.components:
            node = at.children.get(component)
            if node is None:
                raise NotFound(container=path)
            if not isinstance(node, Container):
                raise NotAContainer(container=path)
            at = node
        return at

    def find(self, path: EntryPath) -> Node | None:
        """The entry, None when its container does not hold it; the root container included."""
        return self._root if path == ROOT_PATH else self._named(path)

    def get(self, path: EntryPath, operation: str) -> Node:
        node = self.find(path)
        if node is None:
            raise NotFound(container=path.container, artifact=path.name, operation=operation)
        return node

    def put(
        self,
        path: EntryPath,
        content: bytes,
        attributes: Attributes,
        expected: Version,
        token: str,
        upload_id: str = "",
    ) -> Version:
        if attributes.kind is Kind.CONTAINER:
            raise IsAContainer("a container is made by create_container", container=path.container, artifact=path.name)
        there = self._named(path)
        current = None if there is None else there.version
        if not holds(current, expected):
            ours = isinstance(there, Artifact) and (
                (there.token == token != "") or (there.upload_id == upload_id != "")
            )
            if there is not None and ours:
                return there.version
            raise Conflict(container=path.container, artifact=path.name, operation="put")
        require_replaceable(isinstance(there, Container), path, "put")
        artifact = self.artifact_type(next(self._serials), content, attributes, token, upload_id)
        self._place(path, artifact)
        return artifact.version

    def uploaded_before(self, path: EntryPath, upload_id: str) -> Version | None:
        """The version that an upload has published there, None when it has not."""
        there = self.find(path)
        return there.version if isinstance(there, Artifact) and there.upload_id == upload_id else None

    def set_attributes(self, path: EntryPath, attributes: Attributes, expected: Version) -> Version:
        node = self.get(path, "set_attributes")
        if isinstance(node, Container) != (attributes.kind is Kind.CONTAINER):
            kind = IsAContainer if isinstance(node, Container) else NotAContainer
            raise kind(container=path.container, artifact=path.name, operation="set_attributes")
        old = node.attributes
        new = msgspec.structs.replace(attributes, kind=old.kind, rdev=old.rdev, target=old.target)
        if not holds(node.version, expected):
            same_bytes = isinstance(node, Artifact) and expected.startswith(f"m{node.serial}-")
            if not same_bytes or old != new:
                raise Conflict(container=path.container, artifact=path.name, operation="set_attributes")
        node.attributes = new
        return node.version

    def copy(
        self,
        source: EntryPath,
        target: EntryPath,
        version: Version,
        attributes: Attributes | None,
        expected: Version,
        token: str,
    ) -> Version:
        copied, there = self.find(source), self._named(target)
        if copied is None or not holds(copied.version, version):
            if isinstance(there, Artifact) and there.token == token != "":
                return there.version
            kind = NotFound if copied is None else Conflict
            raise kind(container=source.container, artifact=source.name, operation="copy")
        if isinstance(copied, Container):
            raise IsAContainer(container=source.container, artifact=source.name, operation="copy")
        old = copied.attributes
        wanted = msgspec.structs.replace(attributes or old, kind=old.kind, rdev=old.rdev, target=old.target)
        return self.put(target, copied.content, wanted, expected, token)

    def move(self, source: EntryPath, target: EntryPath, version: Version, expected: Version) -> None:
        moved, occupant = self._named(source), self._named(target)
        if moved is None or not holds(moved.version, version):
            if occupant is not None and occupant.version == version:
                return
            kind = NotFound if moved is None else Conflict
            raise kind(container=source.container, artifact=source.name, operation="move")
        require(None if occupant is None else occupant.version, expected, target, "move")
        if occupant is moved:
            if source != target:
                self._unplace(source)
            return
        require_replaceable(isinstance(occupant, Container), target, "move")
        if isinstance(moved, Container):
            if occupant is not None:
                raise NotAContainer("a container cannot take an artifact's place", container=target.container)
            if (target.container + b"/").startswith(source.joined + b"/"):
                raise InvalidRequest("a container cannot move into itself", container=source.joined)
        self._unplace(source)
        self._place(target, moved)

    def link(self, source: EntryPath, target: EntryPath, version: Version, expected: Version) -> None:
        linked, occupant = self.get(source, "link"), self._named(target)
        if isinstance(linked, Container):
            raise IsAContainer(container=source.container, artifact=source.name, operation="link")
        if occupant is linked:
            return
        require(linked.version, version, source, "link")
        require(None if occupant is None else occupant.version, expected, target, "link")
        require_replaceable(isinstance(occupant, Container), target, "link")
        self._place(target, linked)

    def delete(self, path: EntryPath, expected: Version) -> None:
        try:
            there = self._named(path)
        except (NotFound, NotAContainer):
            return
        if there is not None:
            require(there.version, expected, path, "delete")
            require_replaceable(isinstance(there, Container), path, "delete")
            self._unplace(path)

    def create_container(self, container: bytes, attributes: Attributes) -> Version:
        if not container:
            return self.set_attributes(ROOT_PATH, attributes, ANY)
        path = entry_of(container)
        there = self.find(path)
        if there is None:
            there = Container(next(self._serials), attributes)
            self._place(path, there)
        elif isinstance(there, Artifact):
            raise AlreadyExists(container=path.container, artifact=path.name, operation="create_container")
        else:
            self.set_attributes(path, attributes, ANY)
        return there.version

    def delete_container(self, container: bytes) -> None:
        path = entry_of(container)
        try:
            there = self._named(path)
        except (NotFound, NotAContainer):
            return
        if there is None:
            return
        if isinstance(there, Artifact):
            raise NotAContainer(container=path.container, artifact=path.name, operation="delete_container")
        if there.children:
            raise ContainerNotEmpty(container=container, operation="delete_container")
        self._unplace(path)

    def walk(self, container: bytes = b"") -> Iterator[tuple[EntryPath, Node]]:
        """Every entry below the container, parents first."""
        for name, node in sorted(self.container(container).children.items()):
            path = EntryPath(container, name)
            yield path, node
            if isinstance(node, Container):
                yield from self.walk(path.joined)

    def parked(self) -> list[bytes]:
        """The names that lie in the staging container."""
        return sorted(self.container(STAGING_CONTAINER).children)

    def _named(self, path: EntryPath) -> Node | None:
        check_name(path.name)
        return self.container(path.container).children.get(path.name)

    def _place(self, path: EntryPath, node: Node) -> None:
        children = self.container(path.container).children
        replaced = children.get(path.name)
        if isinstance(replaced, Artifact):
            replaced.links -= 1
        children[path.name] = node
        if isinstance(node, Artifact):
            node.links += 1

    def _unplace(self, path: EntryPath) -> None:
        node = self.container(path.container).children.pop(path.name)
        if isinstance(node, Artifact):
            node.links -= 1


def describe(name: bytes, node: Node) -> EntryInfo:
    """The node as the seam shows it."""
    if isinstance(node, Container):
        return EntryInfo(name, node.attributes, 0, node.version)
    return EntryInfo(
        name,
        node.attributes,
        len(node.content),
        node.version,
        links=node.links,
        link_id=f"m{node.serial}" if node.links > 1 else "",
        token=node.token,
    )
