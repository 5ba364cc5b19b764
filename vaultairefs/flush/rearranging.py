"""Carry out the steps that change names in the engine: containers, moves, links, deletions.

Promise: each is journalled as begun, done by one verb, and recorded by commits right after it, without a wait in
between.  Runs one at a time, so that a decision is never overtaken by another move.
"""

from collections.abc import Sequence

from vaultairefs.engine.interface import Deletion
from vaultairefs.flush.conflicts import Conflicts
from vaultairefs.flush.contents import Contents
from vaultairefs.flush.desk import Desk, secure
from vaultairefs.flush.steps import (
    CreateContainer,
    Delete,
    DeleteContainer,
    Doomed,
    HandOver,
    Link,
    Move,
    Rearrangement,
    Stage,
)
from vaultairefs.model.changes import ArtifactDeleted, ArtifactFlushed, ArtifactMoved, ContainerHandedOver
from vaultairefs.model.errors import Conflict, ContainerNotEmpty, IsAContainer, VaultaireError
from vaultairefs.model.values import ABSENT, STAGING, Attributes, EntryKey, Ino


class Rearranger:
    """See the module's text.  Errors of the engine go to the caller; what is in doubt then is journalled."""

    def __init__(self, desk: Desk, conflicts: Conflicts) -> None:
        self._desk = desk
        self._conflicts = conflicts
        self._contents = Contents(desk)

    async def carry_out(self, step: Rearrangement) -> None:
        """Do one step."""
        match step:
            case CreateContainer():
                await self._create_container(step)
            case Move():
                await self._move(step)
            case Stage(ino, source, version):
                await self._move(Move(ino, source, parking_place(self._desk, ino), version, ABSENT))
            case Link():
                await self._link(step)
            case HandOver():
                await self._hand_over(step)
            case Delete(doomed):
                await self._delete(doomed)
            case DeleteContainer():
                await self._delete_container(step)

    async def _create_container(self, step: CreateContainer) -> None:
        desk, commit = self._desk, self._desk.ledger.commit
        attributes = desk.ledger.namespace.get(step.ino).attributes()
        path = desk.path(step.key)
        with desk.working_on([step.key], [step.ino]):
            desk.begin("create_container", step.ino, step.key)
            await secure(desk)
            version = await desk.engine.create_container(path.joined, attributes)
            same = self._same_attributes(step, attributes)
            commit(ArtifactFlushed(step.ino, *step.key, version, content=False, attributes=same))
            desk.disturb(step.key.container)

    def _same_attributes(self, step: CreateContainer, sent: Attributes) -> bool:
        inode = self._desk.ledger.namespace.find(step.ino)
        return inode is not None and same_attributes(inode.attributes(), sent)

    async def _move(self, step: Move) -> None:
        desk = self._desk
        source, target = desk.path(step.source), desk.path(step.key)
        expected = desk.expected(step.key, step.expected)
        with desk.working_on([step.source, step.key], [step.ino]):
            desk.begin("move", step.ino, step.key, version=step.version, source=step.source)
            await secure(desk)
            await desk.engine.move(source, target, version=step.version, expected=expected)
            desk.overrides.pop(step.key, None)
            desk.ledger.commit(ArtifactMoved(step.ino, *step.source, *step.key))
            desk.disturb(step.source.container, step.key.container)

    async def _link(self, step: Link) -> None:
        desk = self._desk
        source, target = desk.path(step.source), desk.path(step.key)
        expected = desk.expected(step.key, step.expected)
        with desk.working_on([step.source, step.key], [step.ino]):
            desk.begin("link", step.ino, step.key, version=step.version, source=step.source)
            await secure(desk)
            await desk.engine.link(source, target, version=step.version, expected=expected)
            desk.overrides.pop(step.key, None)
            desk.ledger.commit(ArtifactFlushed(step.ino, *step.key, step.version, content=False, attributes=False))
            desk.disturb(step.key.container)

    async def _hand_over(self, step: HandOver) -> None:
        """Only our records change.  What is in a container that programs see elsewhere now should go there with the
        rest, so what they do not know of yet is looked up first; what comes later stays."""
        ledger = self._desk.ledger
        inode = ledger.namespace.find(step.ino)
        if inode is not None and inode.nlink and not await self._contents.learn(step):
            return
        if self._contents.is_still(step):
            heir = step.heir if step.heir is not None else ledger.namespace.allocate()
            ledger.commit(ContainerHandedOver(step.ino, heir, *step.key))

    async def _delete(self, doomed: Sequence[Doomed]) -> None:
        """Each for itself: one that fails leaves the others deleted."""
        desk = self._desk
        deletions = [Deletion(desk.path(one.key), desk.expected(one.key, one.version)) for one in doomed]
        failed: list[tuple[Doomed, VaultaireError]] = []
        with desk.working_on([one.key for one in doomed]):
            desk.let_stand_alone(*(one.ino for one in doomed))
            for one in doomed:
                self._begin_deletion(one)
            await secure(desk)
            answers = await desk.engine.delete(deletions)
            for one, error in zip(doomed, answers, strict=True):
                if error is None:
                    self._note_deleted(one)
                else:
                    failed.append((one, error))
        for one, error in failed:
            await self._delete_otherwise(one, error)

    def _begin_deletion(self, one: Doomed) -> None:
        """Journal it where the inode lives on or is open: a name that may be gone is no spare for the next to go."""
        if self._desk.ledger.namespace.find(one.ino) is not None:
            self._desk.begin("delete", one.ino, one.key, version=one.version)

    def _note_deleted(self, one: Doomed) -> None:
        self._desk.overrides.pop(one.key, None)
        self._desk.marked.pop(one.key, None)
        self._desk.failures.clear(one.key)
        self._desk.flushed_at.pop(one.ino, None)
        self._desk.ledger.commit(ArtifactDeleted(one.ino, *one.key))
        self._desk.end(one.key)
        self._desk.disturb(one.key.container)

    async def _delete_otherwise(self, one: Doomed, error: VaultaireError) -> None:
        """A deletion that was refused: a container, which nobody remembered, somebody else's version, or a failure."""
        desk = self._desk
        if isinstance(error, IsAContainer | Conflict):
            desk.end(one.key)
        try:
            if isinstance(error, IsAContainer):
                desk.removed_containers.add(one.ino)  # so it is emptied first, and what is in doubt below it settled
            elif isinstance(error, Conflict):
                with desk.working_on([one.key]):
                    await self._conflicts.on_deletion(one)
            else:
                raise error
        except VaultaireError as failure:
            desk.teller.failure(one.key, failure)

    async def _delete_container(self, step: DeleteContainer) -> None:
        desk = self._desk
        path = desk.path(step.key)
        with desk.working_on([step.key], [step.ino]):
            # In doubt until it is recorded: what is gone must not be handed over to another container.
            desk.begin("delete_container", step.ino, step.key)
            await secure(desk)
            try:
                await desk.engine.delete_container(path.joined)
            except ContainerNotEmpty:
                desk.end(step.key)
                await self._conflicts.on_full_container(step)
                return
            desk.removed_containers.discard(step.ino)
            desk.ledger.commit(ArtifactDeleted(step.ino, *step.key))
            desk.end(step.key)
            desk.disturb(step.key.container)


def same_attributes(ours: Attributes, sent: Attributes) -> bool:
    """Whether nothing that an engine keeps has changed; ctime moves with names and is nobody's attribute there."""
    return (
        ours.mode == sent.mode
        and ours.uid == sent.uid
        and ours.gid == sent.gid
        and ours.mtime_ns == sent.mtime_ns
        and ours.atime_ns == sent.atime_ns
        and ours.xattrs == sent.xattrs
    )


def parking_place(desk: Desk, ino: Ino) -> EntryKey:
    """A new name in the engine's parking place."""
    return EntryKey(STAGING, desk.new_token(ino).replace(":", "-").encode())


def mtime_token(attributes: Attributes) -> str:
    """The token of a step that sends only attributes."""
    return f"mtime={attributes.mtime_ns}"
