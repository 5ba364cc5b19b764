"""Groups of names in the memory engine where it is like an object store: each name is an artifact of its own.

Promise: as ``Engine.group`` says; a mark counts only where the group names that very path and version.
"""

import msgspec

from vaultairefs.engine.interface import EntryInfo, Grouped
from vaultairefs.engine.memory_tree import Artifact, MemoryTree, Node, describe
from vaultairefs.model.errors import NotAContainer
from vaultairefs.model.values import ABSENT, Attributes, EntryPath, Version


class MemoryGroups:
    """``registry`` says which paths, in which versions, are names of one artifact."""

    def __init__(self, tree: MemoryTree) -> None:
        self._tree = tree
        self.registry: dict[str, dict[EntryPath, Version]] = {}

    def mark(self, path: EntryPath, link_id: str) -> None:
        """The artifact that was just put there carries ``link_id``."""
        node = self._tree.find(path)
        if isinstance(node, Artifact) and link_id:
            node.mark = link_id

    def info(self, path: EntryPath, operation: str) -> EntryInfo:
        """The entry as the seam shows it.  ``NotFound`` where there is none."""
        node = self._tree.get(path, operation)
        info = describe(path.name, node)
        members = self.registry.get(node.mark, {}) if isinstance(node, Artifact) else {}
        if members.get(path) != info.version:
            return info
        same = tuple(sorted({*members.values()} - {info.version}))
        assert isinstance(node, Artifact)
        return info._replace(links=len(members), link_id=node.mark, same_as=same)

    def group(self, link_id: str, names: list[Grouped], attributes: Attributes) -> int:
        """The interface's contract."""
        old, ours = self.registry.get(link_id, {}), dict(names)
        others = {path: version for path, version in old.items() if path not in ours}
        if ours and old.keys().isdisjoint(ours):
            others = {}
        is_new = any(old.get(path, version) != version for path, version in ours.items())
        members = dict(ours)
        for path, version in others.items():
            node = self._registered(path)
            if isinstance(node, Artifact) and node.version == version:
                members[path] = self._keep(path, node, names, attributes, is_new=is_new)
        self.registry[link_id] = members
        if len(members) < 2:
            del self.registry[link_id]
            return 0
        return len(members)

    def _registered(self, path: EntryPath) -> Node | None:
        """What is there now of a name that was told of earlier: nothing where its container is an artifact since."""
        try:
            return self._tree.find(path)
        except NotAContainer:
            return None

    def _keep(
        self, path: EntryPath, node: Artifact, names: list[Grouped], attributes: Attributes, *, is_new: bool
    ) -> Version:
        old = node.attributes
        wanted = msgspec.structs.replace(attributes, kind=old.kind, rdev=old.rdev, target=old.target)
        if not names or not (is_new or msgspec.structs.replace(wanted, ctime_ns=old.ctime_ns) != old):
            return node.version
        mark = node.mark
        version = self._tree.copy(names[0].path, path, names[0].version, attributes, node.version, "")
        self.mark(path, mark)
        return version or ABSENT
