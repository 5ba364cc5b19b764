"""rename(2): the longest rules of POSIX, in the order in which Linux checks them.

Promise: replace-by-rename is one change in the journal: afterwards the new name leads to the old inode or to the new
one, never to nothing.
"""

from vaultairefs.model.changes import NO_INO, EntryRenamed
from vaultairefs.model.errors import (
    AlreadyExists,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume.core import Core
from vaultairefs.volume.requests import RenameMode


async def rename(core: Core, parent: Ino, name: bytes, new_parent: Ino, new_name: bytes, mode: RenameMode) -> Inode:
    """Move ``name`` to ``new_name``; returns the inode that moved."""
    source = await core.entry(parent, name)
    await core.home(new_parent, new_name)
    target = core.namespace.child(new_parent, new_name)
    listed: Inode | None = None
    while target is not None and target.is_container and target is not listed and mode is RenameMode.REPLACE:
        # Only a listing tells whether a container may be replaced; while we waited for it, both names may have moved.
        listed = await core.container(target.ino)
        target = core.namespace.child(new_parent, new_name)
    source = core.namespace.child(parent, name) or _gone(name)
    _check(core, source, target, parent, new_parent, new_name, mode)
    if source is target:
        return source
    exchange = mode is RenameMode.EXCHANGE
    replaced = target.ino if target else NO_INO
    core.ledger.commit(
        EntryRenamed(source.ino, parent, name, new_parent, new_name, replaced, exchange, core.clock_ns())
    )
    if target is not None:
        core.lives.bury(target.ino)
    return source


def _check(
    core: Core, source: Inode, target: Inode | None, parent: Ino, new_parent: Ino, new_name: bytes, mode: RenameMode
) -> None:
    """renameat2 in fs/namei.c: existence, then loops, then types, then emptiness."""
    if mode is RenameMode.NO_REPLACE and target is not None:
        raise AlreadyExists(artifact=new_name)
    if mode is RenameMode.EXCHANGE and target is None:
        raise NotFound(artifact=new_name)
    if source.is_container and core.namespace.is_ancestor(source.ino, new_parent):
        raise InvalidRequest("a container cannot move into itself", artifact=new_name)
    if target is None or target is source:
        return
    if target.is_container and core.namespace.is_ancestor(target.ino, parent):
        if mode is RenameMode.EXCHANGE:
            raise InvalidRequest("a container cannot move into itself", artifact=new_name)
        raise ContainerNotEmpty(artifact=new_name)
    if mode is RenameMode.EXCHANGE:
        return
    if source.is_container and not target.is_container:
        raise NotAContainer(artifact=new_name)
    if target.is_container and not source.is_container:
        raise IsAContainer(artifact=new_name)
    if target.children:
        raise ContainerNotEmpty(artifact=new_name)


def _gone(name: bytes) -> Inode:
    raise NotFound("it was renamed or removed meanwhile", artifact=name)
