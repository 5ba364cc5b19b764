"""Somebody else changed what we are about to change (P5): keep both, overwrite, or stop.

Promise: bytes that somebody else wrote are never replaced unless the operator asked for it, and bytes that programs
wrote here are never given up.  Attributes are last-writer-wins and are not worth a conflict.
"""

from datetime import UTC, datetime
from typing import Final

from vaultairefs.engine.interface import EntryInfo
from vaultairefs.flush.desk import Desk, secure
from vaultairefs.flush.steps import DeleteContainer, Doomed
from vaultairefs.flush.telling import log
from vaultairefs.ledger.arrivals import discover
from vaultairefs.ledger.losses import lose
from vaultairefs.model.changes import ArtifactConflicted, ArtifactDeleted, StepBegun
from vaultairefs.model.errors import Stale, Withheld
from vaultairefs.model.names import NAME_BYTES_MAX
from vaultairefs.model.values import ABSENT, ROOT, STAGING, EntryKey, Ino, Kind, Version
from vaultairefs.namespace import Inode

KEEP_BOTH: Final = "keep-both"
OVERWRITE: Final = "overwrite"
FAIL: Final = "fail"


class Conflicts:
    """Applies the mount's policy.  The names in question are marked as being worked on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._refused: dict[EntryKey, Version] = {}

    def on_foreign(self, step: StepBegun, theirs: EntryInfo) -> None:
        """``theirs`` is at the name of ``step``, where ours should have gone."""
        desk, key = self._desk, EntryKey(step.container, step.name)
        desk.end(key)
        live = desk.ledger.namespace.find(step.ino)
        if live is None or key not in live.refs:
            self._accept(key, theirs)
            return
        if step.verb == "set_attributes" and not self._may_have_newer_bytes(step.ino):
            self._take_theirs(key, theirs)
            return
        replaceable = theirs.attributes.kind is not Kind.CONTAINER and live.kind is not Kind.CONTAINER
        if desk.conflict == FAIL:
            raise self._refusal(key, step.ino, theirs)
        if desk.conflict == OVERWRITE and replaceable:
            log.warning("conflict_overwritten", name=key.name.decode(errors="backslashreplace"))
            desk.overrides[key] = theirs.version
            return
        self._keep_both(step.ino, key, theirs)

    def _may_have_newer_bytes(self, ino: Ino) -> bool:
        """Whether there are bytes that only we have, or will be from a program that writes on."""
        body = self._desk.ledger.buffer.find(ino)
        return self._desk.ledger.backlog.owes_content(ino) or (body is not None and body.is_written_on)

    async def on_deletion(self, one: Doomed) -> None:
        """Programs removed a name that holds another version than ours now."""
        desk = self._desk
        theirs = await desk.look(desk.path(one.key))
        ref = desk.ledger.backlog.stored(one.key)
        if ref is None or ref.ino != one.ino:
            return
        if theirs is None:
            desk.ledger.commit(ArtifactDeleted(one.ino, *one.key))
        elif desk.is_ours(one.ino, theirs) or theirs.version == ref.version or desk.conflict == OVERWRITE:
            desk.overrides[one.key] = theirs.version
        elif desk.conflict == FAIL:
            raise self._refusal(one.key, one.ino, theirs)
        else:
            self._accept(one.key, theirs)

    async def on_lost_base(self, inode: Inode, cause: Stale) -> None:
        """Bytes of ``inode`` that were not changed here are gone from the engine with the version they were of.

        It cannot be stored whole any more, whatever the policy; where somebody else's version has its name, it goes
        on beside that.
        """
        desk = self._desk
        for key in inode.refs:
            ref = desk.ledger.backlog.stored(key)
            if ref is None or ref.ino != inode.ino:
                continue
            theirs = await desk.look(desk.path(key))
            if desk.ledger.backlog.stored(key) != ref or key not in inode.refs:
                return  # something else happened meanwhile: decide again
            if theirs is None:
                desk.ledger.commit(ArtifactDeleted(inode.ino, *key))
            elif theirs.version == ref.version:
                raise cause
            elif desk.conflict == FAIL:
                raise self._refusal(key, inode.ino, theirs)
            else:
                self._keep_both(inode.ino, key, theirs)
            return
        raise Withheld(
            "somebody else replaced or removed it in the engine before all of it was here, and what was not changed "
            "here is gone: the changes are kept (vaultairefs recover); write the file anew, or remove it"
        ) from cause

    async def on_full_container(self, step: DeleteContainer) -> None:
        """Programs removed a container into which somebody else has put something: theirs stays."""
        desk = self._desk
        theirs = await desk.look(desk.path(step.key))
        ref = desk.ledger.backlog.stored(step.key)
        if ref is None or ref.ino != step.ino:
            return
        if theirs is None:
            desk.ledger.commit(ArtifactDeleted(step.ino, *step.key))
        elif step.key.container == STAGING:
            await self._bring_back(step, theirs)
        else:
            self._accept(step.key, theirs)

    async def _bring_back(self, step: DeleteContainer, theirs: EntryInfo) -> None:
        """What somebody else put into a container of ours before it was parked must not stay out of sight."""
        desk = self._desk
        key = EntryKey(ROOT, self._free_name(EntryKey(ROOT, b"removed")))
        await secure(desk)
        await desk.engine.move(desk.path(step.key), desk.path(key), version=theirs.version, expected=ABSENT)
        desk.ledger.commit(ArtifactDeleted(step.ino, *step.key))
        discover(desk.ledger, ROOT, theirs._replace(name=key.name))
        self._count(key, step.ino)

    def _accept(self, key: EntryKey, theirs: EntryInfo) -> None:
        """Ours is not wanted at this name any more: forget it, and show theirs if the name is free."""
        ledger = self._desk.ledger
        ref = ledger.backlog.stored(key)
        if ref is not None:
            ledger.commit(ArtifactDeleted(ref.ino, *key))
        container = ledger.namespace.find(key.container)
        if container is not None and container.children is not None and container.nlink:
            if key.name not in container.children:
                discover(ledger, key.container, theirs._replace(name=key.name))
            self._count(key, ref.ino if ref is not None else Ino(0))

    def _take_theirs(self, key: EntryKey, theirs: EntryInfo) -> None:
        """Only attributes of ours were newer: the entry becomes theirs."""
        ledger = self._desk.ledger
        lose(ledger, key)
        container = ledger.namespace.find(key.container)
        if container is not None and container.children is not None and key.name not in container.children:
            discover(ledger, key.container, theirs._replace(name=key.name))

    def _keep_both(self, ino: Ino, key: EntryKey, theirs: EntryInfo) -> None:
        """Ours goes on beside theirs, under a name that says so."""
        ledger = self._desk.ledger
        name = self._free_name(key)
        ledger.commit(ArtifactConflicted(ino, *key, name, self._desk.clock_ns()))
        discover(ledger, key.container, theirs._replace(name=key.name))
        self._count(EntryKey(key.container, name), ino)

    def _free_name(self, key: EntryKey) -> bytes:
        ledger = self._desk.ledger
        now = datetime.fromtimestamp(self._desk.clock_ns() / 1e9, UTC)
        number = 1
        while True:
            extra = f"-{number}" if number > 1 else ""
            suffix = f".conflict-{now:%Y%m%dT%H%M%SZ}-{self._desk.mount_id}{extra}".encode()
            name = key.name[: NAME_BYTES_MAX - len(suffix)] + suffix
            candidate = EntryKey(key.container, name)
            if ledger.namespace.child(*candidate) is None and ledger.backlog.stored(candidate) is None:
                return name
            number += 1

    def _refusal(self, key: EntryKey, ino: Ino, theirs: EntryInfo) -> Withheld:
        """What policy ``fail`` says of a conflict; the event of it is told once for each of their versions."""
        if self._refused.get(key) != theirs.version:
            self._refused[key] = theirs.version
            self._count(key, ino)
        return Withheld("somebody else wrote this name; the mount's policy is conflict=fail", artifact=key.name)

    def _count(self, key: EntryKey, ino: Ino) -> None:
        desk = self._desk
        desk.tally.conflicts += 1
        desk.teller.event("conflict", key, ino)
        container, name = desk.teller.place(key)
        log.warning("conflict", name=b"/".join((container, name)).decode(errors="backslashreplace"))
