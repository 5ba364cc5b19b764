"""Copy artifacts inside an engine that has no moves or no links.  Several of these run at once.

Promise: a copy is of the very version that our records speak of, it carries the attributes of the moment in which it
was begun, and what it was made of stays until the copy is recorded.
"""

from vaultairefs.flush.desk import Desk, Sent, secure
from vaultairefs.flush.marks import mark_for, note_sent
from vaultairefs.flush.rearranging import parking_place, same_attributes
from vaultairefs.flush.steps import Copy, Stage
from vaultairefs.model.changes import ArtifactCopied
from vaultairefs.model.values import ABSENT, STAGING, Attributes
from vaultairefs.namespace import Inode


class Copier:
    """See the module's text.  Errors of the engine go to the caller; what is in doubt then is journalled."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def copy(self, step: Copy) -> None:
        """One copy inside the engine, no byte of it through here."""
        desk, key = self._desk, step.key
        source, target = desk.path(step.source), desk.path(key)
        with desk.working_on([step.source, key], [step.ino]):
            inode = desk.ledger.namespace.find(step.ino)
            attributes = self._attributes_for(inode, step)
            token = desk.new_token(step.ino)
            mark = mark_for(desk, step.ino) if key.container != STAGING else ""
            if inode is not None and attributes is not None:
                desk.sent[key] = Sent(token, inode.content_generation, attributes, inode.size, mark=mark)
            desk.begin("copy", step.ino, key, version=step.version, token=token, source=step.source)
            await secure(desk)
            version = await desk.engine.copy(
                source,
                target,
                version=step.version,
                attributes=attributes,
                expected=desk.expected(key, step.expected),
                token=token,
                link_id=mark,
            )
            inode = desk.ledger.namespace.find(step.ino)
            same = inode is not None and attributes is not None and same_attributes(inode.attributes(), attributes)
            note_sent(desk, key, version)
            desk.disturb(key.container)  # first, as after a put
            desk.ledger.commit(ArtifactCopied(step.ino, *key, version, step.version, attributes=same))

    async def copy_aside(self, step: Stage) -> None:
        """Park a copy; then the name it was made from is one of two and may go."""
        await self.copy(Copy(step.ino, step.source, parking_place(self._desk, step.ino), step.version, ABSENT))

    def _attributes_for(self, inode: Inode | None, step: Copy) -> Attributes | None:
        """What the copy is to have; None for what its source has: it is nobody's last name, or newer bytes will come
        with newer attributes."""
        if inode is None or step.key not in inode.refs or self._desk.ledger.backlog.owes_content(step.ino):
            return None
        return inode.attributes()
