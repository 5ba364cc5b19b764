"""What each change does to the tree.

``apply`` never fails for a change that ``checks.check`` let pass.  Engine-side changes may speak of
inodes that were dropped meanwhile (a flush that ended after the last close): those are ignored.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO, Change
from vaultairefs.model.errors import NotAContainer
from vaultairefs.model.values import ROOT, EntryKey, Ino, Kind, Sequence
from vaultairefs.namespace import places
from vaultairefs.namespace.inode import Inode

if TYPE_CHECKING:
    from vaultairefs.namespace.namespace import Namespace

Creation = changes.ContainerCreated | changes.FileCreated | changes.SymlinkCreated | changes.NodeCreated


def children_of(inode: Inode) -> dict[bytes, Ino]:
    """The container's entries; ``NotAContainer`` for anything else."""
    if inode.children is None:
        raise NotAContainer(f"inode {inode.ino} is no container")
    return inode.children


# Names


def add_name(parent: Inode, name: bytes, inode: Inode) -> None:
    """Let ``name`` lead to ``inode``; where the name was taken, its place in listings is kept."""
    children = children_of(parent)
    replaced = children.get(name)
    if replaced is not None or inode.refs or parent.places is not None:
        places.take(parent, name, inode, replaced)
    children[name] = inode.ino
    inode.refs += (EntryKey(parent.ino, name),)
    if inode.children is not None:
        inode.parent = parent.ino
        parent.subcontainers += 1
        parent.nlink += 1


def free_name(parent: Inode, name: bytes) -> None:
    """Let ``name`` lead nowhere."""
    del children_of(parent)[name]
    places.leave(parent, name)


def drop_ref(tree: "Namespace", parent: Inode, name: bytes, inode: Inode) -> None:
    """Undo ``add_name`` for the inode and its parent's count; the caller sees to the parent's entry."""
    key = (parent.ino, name)
    inode.refs = tuple(ref for ref in inode.refs if ref != key)
    if inode.children is not None:
        parent.subcontainers -= 1
        parent.nlink -= 1
        tree.paths.clear()


def lose_name(tree: "Namespace", parent: Inode, name: bytes, inode: Inode) -> None:
    """``drop_ref`` for good: the link count falls; names that only the engine knows do not keep an inode alive."""
    drop_ref(tree, parent, name, inode)
    inode.nlink = 0 if inode.children is not None or not inode.refs else inode.nlink - 1
    if not inode.nlink:
        tree.nameless.add(inode.ino)


def _touch(container: Inode, time_ns: int) -> None:
    container.mtime_ns = container.ctime_ns = time_ns


def _begin(tree: "Namespace", inode: Inode) -> None:
    tree.inodes[inode.ino] = inode
    if inode.children is None and tree.inodes.shelf is not None:
        tree.inodes.shelf.note_begun(inode.ino)
    if inode.ino >= tree.next_ino:
        tree.next_ino = inode.ino + 1


# Changes by programs


def _created(tree: "Namespace", change: Creation) -> None:
    parent = tree.inodes[change.parent]
    inode = Inode.begin(change.ino, change.attributes, parent=change.parent)
    _begin(tree, inode)
    add_name(parent, change.name, inode)
    inode.nlink = 1 if inode.children is None else 2
    _touch(parent, change.attributes.ctime_ns)


def _linked(tree: "Namespace", change: changes.EntryLinked) -> None:
    parent, inode = tree.inodes[change.parent], tree.inodes[change.ino]
    add_name(parent, change.name, inode)
    inode.nlink += 1
    inode.ctime_ns = change.time_ns
    _touch(parent, change.time_ns)


def _removed(tree: "Namespace", change: changes.EntryRemoved) -> None:
    parent, inode = tree.inodes[change.parent], tree.inodes[change.ino]
    free_name(parent, change.name)
    lose_name(tree, parent, change.name, inode)
    inode.ctime_ns = change.time_ns
    _touch(parent, change.time_ns)


def _renamed(tree: "Namespace", change: changes.EntryRenamed) -> None:
    inodes = tree.inodes
    old, new, inode = inodes[change.parent], inodes[change.new_parent], inodes[change.ino]
    drop_ref(tree, old, change.name, inode)
    if change.exchange:
        other = inodes[change.replaced]
        drop_ref(tree, new, change.new_name, other)
        add_name(old, change.name, other)
        other.ctime_ns = change.time_ns
    else:
        free_name(old, change.name)
        if change.replaced != NO_INO:
            lost = inodes[change.replaced]
            lose_name(tree, new, change.new_name, lost)
            lost.ctime_ns = change.time_ns
    add_name(new, change.new_name, inode)
    inode.ctime_ns = change.time_ns
    _touch(old, change.time_ns)
    _touch(new, change.time_ns)


def _attributes_set(tree: "Namespace", change: changes.AttributesSet) -> None:
    inode = tree.inodes[change.ino]
    inode.mode, inode.uid, inode.gid = change.mode, change.uid, change.gid
    inode.atime_ns, inode.mtime_ns, inode.ctime_ns = change.atime_ns, change.mtime_ns, change.ctime_ns


def _xattr_set(tree: "Namespace", change: changes.XattrSet) -> None:
    inode = tree.inodes[change.ino]
    xattrs = dict(inode.xattrs or {})
    if change.value is None:
        xattrs.pop(change.name, None)
    else:
        xattrs[change.name] = change.value
    inode.xattrs = xattrs or None
    inode.ctime_ns = change.ctime_ns


# Changes of bytes


def _closed(tree: "Namespace", change: changes.BodyClosed) -> None:
    inode = tree.inodes[change.ino]
    inode.size, inode.mtime_ns, inode.ctime_ns = change.size, change.mtime_ns, change.ctime_ns


def _written(tree: "Namespace", change: changes.ExtentsWritten) -> None:
    inode = tree.inodes[change.ino]
    inode.size = max(inode.size, change.offset + change.length)
    inode.mtime_ns = inode.ctime_ns = change.time_ns
    inode.content_generation += 1


def _truncated(tree: "Namespace", change: changes.Truncated) -> None:
    inode = tree.inodes[change.ino]
    inode.size = change.size
    inode.mtime_ns = inode.ctime_ns = change.time_ns
    inode.content_generation += 1


# Changes by the engine


def _discovered(tree: "Namespace", change: changes.ArtifactDiscovered) -> None:
    inode = tree.find(change.ino)
    if change.ino == ROOT:
        assert inode is not None
        inode.set_attributes(change.attributes)
        return
    if inode is None:
        inode = Inode.begin(
            change.ino, change.attributes, parent=change.container, size=change.size, link_id=change.link_id
        )
        _begin(tree, inode)
        if change.link_id:
            tree.links[change.link_id] = change.ino
    add_name(tree.inodes[change.container], change.name, inode)
    if inode.children is not None:
        inode.nlink = 2
    else:
        inode.nlink = max(change.links, inode.nlink, len(inode.refs))


def _vanished(tree: "Namespace", change: changes.EntryVanished) -> None:
    parent, inode = tree.find(change.container), tree.find(change.ino)
    if parent is None or inode is None or (change.container, change.name) not in inode.refs:
        return
    free_name(parent, change.name)
    lose_name(tree, parent, change.name, inode)
    # A container takes along what it held.
    left = [inode]
    while left:
        container = left.pop()
        for name, ino in (container.children or {}).items():
            inside = tree.inodes[ino]
            lose_name(tree, container, name, inside)
            left.append(inside)
        if container.children:
            container.children, container.places, container.places_taken = {}, None, None
            container.nlink = 0


def _forgotten(tree: "Namespace", change: changes.ContainerForgotten) -> None:
    container = tree.find(change.ino)
    if container is None or not container.children:
        return
    for ino in container.children.values():
        # In use or on the shelf: what was clean and unused then may be in use while it is replayed.
        tree.inodes.pop(ino, None)
        if tree.inodes.shelf is not None:
            tree.inodes.shelf.discard(ino)
    container.children, container.places, container.places_taken = {}, None, None


def _flushed(tree: "Namespace", change: changes.ArtifactFlushed) -> None:
    """Programs find what the engine has, also where a power cut took what was here of it."""
    inode = tree.find(change.ino) if change.content and change.size >= 0 else None
    if inode is not None and inode.kind is Kind.FILE:
        inode.size = change.size


def _conflicted(tree: "Namespace", change: changes.ArtifactConflicted) -> None:
    parent, inode = tree.inodes[change.container], tree.inodes[change.ino]
    free_name(parent, change.name)
    drop_ref(tree, parent, change.name, inode)
    add_name(parent, change.conflict_name, inode)
    inode.ctime_ns = change.time_ns
    _touch(parent, change.time_ns)


def _handed_over(tree: "Namespace", change: changes.ContainerHandedOver) -> None:
    """The heir's number is used, although no program will ever see it."""
    tree.next_ino = max(tree.next_ino, change.heir + 1)


def _nothing(tree: "Namespace", change: Any) -> None:
    """Only the stored tree or the body changes."""


_HANDLERS: Final[dict[type, Callable[["Namespace", Any], None]]] = {
    changes.ContainerCreated: _created,
    changes.FileCreated: _created,
    changes.SymlinkCreated: _created,
    changes.NodeCreated: _created,
    changes.EntryLinked: _linked,
    changes.EntryRemoved: _removed,
    changes.EntryRenamed: _renamed,
    changes.AttributesSet: _attributes_set,
    changes.XattrSet: _xattr_set,
    changes.BodyOpened: _nothing,
    changes.BodyClosed: _closed,
    changes.ExtentsWritten: _written,
    changes.ExtentsFetched: _nothing,
    changes.BodyEvicted: _nothing,
    changes.Truncated: _truncated,
    changes.ArtifactDiscovered: _discovered,
    changes.EntryVanished: _vanished,
    changes.ArtifactFlushed: _flushed,
    changes.ArtifactMoved: _nothing,
    changes.ArtifactDeleted: _nothing,
    changes.ArtifactConflicted: _conflicted,
    changes.BodySynced: _nothing,
    changes.StepBegun: _nothing,
    changes.StepEnded: _nothing,
    changes.ContainerHandedOver: _handed_over,
    changes.ArtifactCopied: _nothing,
    changes.ContainerForgotten: _forgotten,
}


def apply(tree: "Namespace", sequence: Sequence, change: Change) -> None:
    """Post one change.  ``KeyError`` (a defect) for one that ``check`` would have refused."""
    _HANDLERS[type(change)](tree, change)
