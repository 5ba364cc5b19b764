"""Which changes fit the tree: asked before a change is written anywhere.

A refusal names what is wrong in the words a program would get for it; it is the last line of defence against a
defect above, not the place where POSIX is decided.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO, Change
from vaultairefs.model.errors import AlreadyExists, ContainerNotEmpty, InvalidRequest, IsAContainer, NotFound, Stale
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.namespace.inode import Inode
from vaultairefs.namespace.posting import Creation, children_of

if TYPE_CHECKING:
    from vaultairefs.namespace.namespace import Namespace


def _living_container(tree: "Namespace", ino: Ino) -> Inode:
    container = tree.get(ino)
    children_of(container)
    if container.nlink == 0:
        raise NotFound(f"container {ino} was removed")
    return container


def _free(tree: "Namespace", parent: Ino, name: bytes) -> None:
    if name in children_of(_living_container(tree, parent)):
        raise AlreadyExists(artifact=name)


def _leads_to(tree: "Namespace", parent: Ino, name: bytes, ino: Ino) -> Inode:
    child = children_of(tree.get(parent)).get(name)
    if child is None:
        raise NotFound(artifact=name)
    if child != ino:
        raise Stale(f"the name leads to inode {child}, not {ino}", artifact=name)
    return tree.get(ino)


def _created(tree: "Namespace", change: Creation) -> None:
    _free(tree, change.parent, change.name)
    if tree.find(change.ino) is not None:
        raise InvalidRequest(f"inode {change.ino} exists")


def _linked(tree: "Namespace", change: changes.EntryLinked) -> None:
    _free(tree, change.parent, change.name)
    inode = tree.get(change.ino)
    if inode.is_container:
        raise IsAContainer(f"inode {change.ino} cannot have a second name")
    if inode.nlink == 0:
        raise NotFound(f"inode {change.ino} has no name any more")


def _removed(tree: "Namespace", change: changes.EntryRemoved) -> None:
    inode = _leads_to(tree, change.parent, change.name, change.ino)
    if inode.children:
        raise ContainerNotEmpty(artifact=change.name)


def _renamed(tree: "Namespace", change: changes.EntryRenamed) -> None:
    inode = _leads_to(tree, change.parent, change.name, change.ino)
    _living_container(tree, change.new_parent)
    if change.replaced == NO_INO:
        _free(tree, change.new_parent, change.new_name)
        other = None
    else:
        other = _leads_to(tree, change.new_parent, change.new_name, change.replaced)
    if other is inode or (change.exchange and other is None):
        raise InvalidRequest("rename of a name onto itself, or an exchange with nothing")
    if other is not None and not change.exchange and other.children:
        raise ContainerNotEmpty(artifact=change.new_name)
    if inode.is_container and tree.is_ancestor(inode.ino, change.new_parent):
        raise InvalidRequest("a container cannot move into itself")
    if change.exchange and other is not None and other.is_container and tree.is_ancestor(other.ino, change.parent):
        raise InvalidRequest("a container cannot move into itself")


def _discovered(tree: "Namespace", change: changes.ArtifactDiscovered) -> None:
    if change.ino != ROOT:
        _free(tree, change.container, change.name)


def _conflicted(tree: "Namespace", change: changes.ArtifactConflicted) -> None:
    _leads_to(tree, change.container, change.name, change.ino)
    _free(tree, change.container, change.conflict_name)


def _forgotten(tree: "Namespace", change: changes.ContainerForgotten) -> None:
    if not tree.inodes.keys().isdisjoint(children_of(tree.get(change.ino)).values()):
        raise InvalidRequest(f"something in container {change.ino} is in use")


def _known(tree: "Namespace", change: Any) -> None:
    tree.get(change.ino)


_CHECKS: Final[dict[type, Callable[["Namespace", Any], None]]] = {
    changes.ContainerCreated: _created,
    changes.FileCreated: _created,
    changes.SymlinkCreated: _created,
    changes.NodeCreated: _created,
    changes.EntryLinked: _linked,
    changes.EntryRemoved: _removed,
    changes.EntryRenamed: _renamed,
    changes.AttributesSet: _known,
    changes.XattrSet: _known,
    changes.BodyOpened: _known,
    changes.BodyClosed: _known,
    changes.ExtentsWritten: _known,
    changes.ExtentsFetched: _known,
    changes.Truncated: _known,
    changes.ArtifactDiscovered: _discovered,
    changes.ArtifactConflicted: _conflicted,
    changes.ContainerForgotten: _forgotten,
}


def check(tree: "Namespace", change: Change) -> None:
    """Raise unless the change fits; changes that only concern stored names always do."""
    look = _CHECKS.get(type(change))
    if look is not None:
        look(tree, change)
