"""Send one artifact's bytes or attributes.  Several of these run at once.

Promise: what is recorded as sent is exactly what the engine got: bytes and attributes are taken in one moment, and
what changed while they were on their way stays owed.
"""

from collections.abc import Sequence

from vaultairefs.disk.copying import read_all
from vaultairefs.flush.conflicts import Conflicts
from vaultairefs.flush.desk import Desk, Sent, secure
from vaultairefs.flush.freezing import frozen
from vaultairefs.flush.marks import mark_for, note_sent
from vaultairefs.flush.rearranging import mtime_token, same_attributes
from vaultairefs.flush.steps import Put, SetAttributes
from vaultairefs.flush.uploading import Uploader
from vaultairefs.model.changes import ArtifactFlushed, EntryVanished
from vaultairefs.model.errors import Stale, Withheld
from vaultairefs.model.values import ABSENT, ANY, Extent, Ino, Kind, Version
from vaultairefs.namespace import Inode


class Sender:
    """See the module's text.  Errors of the engine go to the caller; what is in doubt then is journalled."""

    def __init__(self, desk: Desk, conflicts: Conflicts) -> None:
        self._desk = desk
        self._conflicts = conflicts
        self._uploader = Uploader(desk)

    async def put(self, step: Put) -> bool:
        """Send the artifact whole; False when it was first completed, or is not wanted any more: decide again."""
        inode = self._desk.ledger.namespace.find(step.ino)
        if inode is None or not inode.refs:
            return False
        if inode.kind is Kind.FILE:
            self._refuse_failed(inode)
            if not self._is_complete(inode):
                missing = self._uploader.missing(step, inode)
                if missing is None or missing:
                    await self._complete(inode, missing)
                    return False
        with self._desk.working_on([step.key], [step.ino]):
            if self._is_moving(inode):
                snapshot, version = await self._put_frozen(step, inode)
            elif inode.kind is Kind.FILE and inode.size > self._desk.engine.capabilities.inline_bytes_max:
                snapshot, version = await self._uploader.upload(step, inode)
            else:
                snapshot, version = await self._put_small(step, inode)
            if snapshot is not None:
                self._record(step, inode, snapshot, version)
        return snapshot is not None

    async def set_attributes(self, step: SetAttributes) -> None:
        """Send everything but the bytes."""
        desk = self._desk
        path = desk.path(step.key)
        with desk.working_on([step.key], [] if self._is_container(step.ino) else [step.ino]):
            attributes = desk.ledger.namespace.get(step.ino).attributes()
            # The engine keeps no token with attributes; the mtime that was sent tells whether they arrived.
            token = mtime_token(attributes)
            desk.begin("set_attributes", step.ino, step.key, version=step.version, token=token)
            await secure(desk)
            expected = desk.expected(step.key, step.version)
            if self._is_container(step.ino) and not desk.engine.capabilities.names_checked:
                expected = ANY  # it is whatever is there, and others may give it an object of its own at any time
            version = await desk.engine.set_attributes(path, attributes, expected=expected)
            desk.overrides.pop(step.key, None)
            alone = not desk.engine.capabilities.links
            desk.ledger.commit(
                ArtifactFlushed(step.ino, *step.key, version, content=False, attributes=True, alone=alone)
            )
            inode = desk.ledger.namespace.find(step.ino)
            if inode is not None and inode.nlink and not same_attributes(inode.attributes(), attributes):
                desk.owe_attributes(step.ino)

    # Bytes

    def _is_container(self, ino: Ino) -> bool:
        inode = self._desk.ledger.namespace.find(ino)
        return inode is not None and inode.children is not None

    def _is_complete(self, inode: Inode) -> bool:
        body = self._desk.ledger.buffer.find(inode.ino)
        return body is not None and body.complete

    def _is_moving(self, inode: Inode) -> bool:
        body = self._desk.ledger.buffer.find(inode.ino)
        return body is not None and body.is_moving

    async def _complete(self, inode: Inode, missing: Sequence[Extent] | None) -> None:
        """Fetch what is missing, None is all; a file of which nothing is here nor there any more vanishes for programs,
        too."""
        desk, ino = self._desk, inode.ino
        with desk.working_on([], [ino]):
            try:
                if missing is None:
                    await desk.fetcher.complete(ino)
                else:
                    for extent in missing:
                        await desk.fetcher.ensure(ino, extent.offset, extent.length)
            except Stale as error:
                body = desk.ledger.buffer.find(ino)
                if body is not None and (body.dirty or body.complete):
                    await self._conflicts.on_lost_base(inode, error)
                    return
                for key in inode.refs:  # none left where programs removed it meanwhile
                    desk.ledger.commit(EntryVanished(ino, *key))

    def _refuse_failed(self, inode: Inode) -> None:
        """Bytes that the local disk lost would replace the engine's good ones."""
        body = self._desk.ledger.buffer.find(inode.ino)
        if body is not None and body.failed:
            raise Withheld(
                "the local disk failed to keep its bytes; what could be saved is in quarantine (vaultairefs recover): "
                "write the file anew, or remove it"
            )

    async def _put_frozen(self, step: Put, inode: Inode) -> tuple[Sent | None, Version]:
        """Likewise of a file that programs may be writing without us: a copy of one moment."""
        desk = self._desk
        async with frozen(desk, inode) as copy:
            if copy.size > desk.engine.capabilities.inline_bytes_max:
                return await self._uploader.upload_copy(step, inode, *copy)
            async with desk.budget.taken(copy.size):
                if step.key not in inode.refs:
                    return None, ABSENT
                content = read_all(copy.descriptor, 0, copy.size)
                return await self._put_bytes(step, inode, content, copy.generation, of_copy=True)

    async def _put_small(self, step: Put, inode: Inode) -> tuple[Sent | None, Version]:
        """One request with all bytes, which are read in the same moment as everything else."""
        desk = self._desk
        async with desk.budget.taken(inode.size if inode.kind is Kind.FILE else 0):
            if step.key not in inode.refs:
                return None, ABSENT
            if inode.kind is Kind.FILE and not self._is_complete(inode):
                return None, ABSENT  # evicted while it waited
            size = inode.size if inode.kind is Kind.FILE else 0
            content = desk.ledger.buffer.read(step.ino, 0, size) if size else b""
            return await self._put_bytes(step, inode, content, inode.content_generation)

    async def _put_bytes(
        self, step: Put, inode: Inode, content: bytes, generation: int, *, of_copy: bool = False
    ) -> tuple[Sent, Version]:
        desk = self._desk
        path, expected = desk.path(step.key), desk.expected(step.key, step.expected)
        mark = mark_for(desk, step.ino)
        snapshot = Sent(desk.new_token(step.ino), generation, inode.attributes(), len(content), mark=mark)
        desk.sent[step.key] = snapshot
        desk.begin("put", step.ino, step.key, token=snapshot.token)
        await secure(desk, step.ino if of_copy else None)
        version = await desk.engine.put(
            path, content, snapshot.attributes, expected=expected, token=snapshot.token, link_id=snapshot.mark
        )
        return snapshot, version

    def _record(self, step: Put, inode: Inode, snapshot: Sent, version: Version) -> None:
        desk, ino, key = self._desk, step.ino, step.key
        content = inode.content_generation == snapshot.generation
        attributes = content and same_attributes(inode.attributes(), snapshot.attributes)
        desk.disturb(key.container)  # first: a crash behind the next record would leave the container's times wrong
        # Where content is current and the attributes are not, those stay owed.
        alone = not desk.engine.capabilities.links
        desk.ledger.commit(
            ArtifactFlushed(ino, *key, version, content=content, attributes=attributes, size=snapshot.size, alone=alone)
        )
        note_sent(desk, key, version)
        if ino in desk.awaited:
            desk.flushed_generation[ino] = snapshot.generation
        if content:
            desk.flushed_at.pop(ino, None)
        else:
            desk.flushed_at[ino] = desk.clock()
        desk.tally.flushed_artifacts += 1
        desk.tally.bytes_uploaded += snapshot.size - snapshot.taken
        desk.teller.event("flush", key, ino, size=snapshot.size)
