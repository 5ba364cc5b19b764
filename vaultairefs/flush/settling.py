"""Find out what became of a step whose outcome no record tells: after a failure, a cancellation or a crash.

``Settler`` looks at the engine, lets ``judging`` say what that means, and records the answer.
"""

import msgspec

from vaultairefs.backlog import StoredRef
from vaultairefs.buffer import Phase
from vaultairefs.engine.interface import EntryInfo, Upload
from vaultairefs.flush.conflicts import Conflicts
from vaultairefs.flush.desk import Desk, secure
from vaultairefs.flush.judging import CARRIERS, Evidence, Verdict, judge
from vaultairefs.flush.rearranging import same_attributes
from vaultairefs.ledger.arrivals import discover
from vaultairefs.ledger.losses import lose
from vaultairefs.ledger.whereabouts import ROOT_KEY, entry_path
from vaultairefs.model.changes import (
    ArtifactCopied,
    ArtifactDeleted,
    ArtifactFlushed,
    ArtifactMoved,
    AttributesSet,
    EntryVanished,
    StepBegun,
)
from vaultairefs.model.errors import Busy, Unavailable
from vaultairefs.model.values import ABSENT, ROOT, STAGING, EntryKey, EntryPath, Ino, Kind


class Settler:
    """Settles one doubt at a time; the caller keeps others from the name."""

    def __init__(self, desk: Desk, conflicts: Conflicts) -> None:
        self._desk = desk
        self._conflicts = conflicts

    async def settle(self, key: EntryKey) -> None:
        """Record what became of the step begun at ``key``.  Errors of the engine leave it in doubt."""
        desk = self._desk
        step = desk.ledger.backlog.doubts.begun[key]
        source = EntryKey(step.source_container, step.source_name)
        path = entry_path(desk.ledger.backlog, key, desk.engine.staging_path)
        if path is None:
            desk.end(key)  # its container left the engine, and it with it
            return
        looks_at_source = step.verb in CARRIERS
        names = [key, source] if looks_at_source else [key]
        with desk.working_on(names, [step.ino]):
            if step.upload_id:  # first, so that a commit that is still on its way comes too late
                await desk.engine.abort_upload(Upload(path, step.upload_id))
            target = await desk.look(path)
            if target is None and await self._lost_container(key.container, names):
                desk.end(key)
                return
            origin = await self._look_at_source(source) if looks_at_source else None
            evidence = Evidence(target, origin, self._row(key, step.ino), self._size_of(step.ino))
            self._learn_kind(evidence)
            verdict = judge(step, evidence, desk.is_ours)
            if verdict is Verdict.CHANGED and origin is not None and self._was_renamed(step, source):
                if evidence.is_target_replaceable and key.container != STAGING:
                    await self._move_theirs(step, source, origin, path, evidence)
                else:
                    lose(desk.ledger, source)
                    desk.end(key)
            else:
                self._record(verdict, step, key, source, evidence)

    def _was_renamed(self, step: StepBegun, source: EntryKey) -> bool:
        """Whether the step should have left nothing at ``source``."""
        if step.verb == "move":
            return True
        ours = self._desk.ledger.namespace.find(step.ino)
        return step.verb == "copy" and step.container != STAGING and (ours is None or source not in ours.refs)

    def _row(self, key: EntryKey, ino: Ino) -> StoredRef | None:
        """What we believe to be at ``key``: our records, or what was found there that may be replaced."""
        row, found = self._desk.ledger.backlog.stored(key), self._desk.overrides.get(key)
        return row if found is None else StoredRef(row.ino if row is not None else ino, found)

    def _size_of(self, ino: Ino) -> int | None:
        inode = self._desk.ledger.namespace.find(ino)
        if inode is None or self._desk.ledger.backlog.owes_content(ino):
            return None
        return inode.size if inode.kind is Kind.FILE else None

    def _learn_kind(self, seen: Evidence) -> None:
        """What is in the way may be a container whose inode is forgotten already: it must be emptied, not replaced."""
        row, target = seen.row, seen.target
        if row is None or target is None or row.version != target.version:
            return
        if target.attributes.kind is Kind.CONTAINER:
            self._desk.removed_containers.add(row.ino)

    async def _lost_container(self, container: Ino, ours: list[EntryKey]) -> bool:
        """Whether the engine no longer holds the container that we put things into; then that is recorded.

        The root is never taken for lost: where it is missing, nothing else can be told.
        """
        desk = self._desk
        keys = desk.ledger.backlog.refs_of(container)
        ref = desk.ledger.backlog.stored(keys[0]) if keys else None
        if container in (ROOT, STAGING) or ref is None or not desk.engine.capabilities.names_checked:
            return False  # or containers come and go with what is in them
        info = await desk.look(desk.path(keys[0]))
        if info is not None and info.version == ref.version:
            return False
        if await desk.look(desk.path(ROOT_KEY)) is None:
            raise Unavailable("the engine does not hold the root of this namespace", operation="flush")
        if desk.pins.get(container, 0) > sum(container in desk.containers_above(key) for key in ours):
            raise Busy("the container is gone, and others still work in it", operation="flush")
        lose(desk.ledger, keys[0])
        return True

    async def _look_at_source(self, source: EntryKey) -> EntryInfo | None:
        path = entry_path(self._desk.ledger.backlog, source, self._desk.engine.staging_path)
        return None if path is None else await self._desk.look(path)

    def _record(self, verdict: Verdict, step: StepBegun, key: EntryKey, source: EntryKey, seen: Evidence) -> None:
        desk, commit = self._desk, self._desk.ledger.commit
        match verdict:
            case Verdict.DONE:
                self._record_done(step, key, source, seen)
            case Verdict.GONE:
                if step.verb == "set_attributes":
                    lose(desk.ledger, key)
                elif seen.row is not None:
                    desk.overrides.pop(key, None)
                    commit(ArtifactDeleted(seen.row.ino, *key))
            case Verdict.OURS:
                assert seen.target is not None
                desk.overrides[key] = seen.target.version
            case Verdict.FOREIGN:
                assert seen.target is not None
                self._conflicts.on_foreign(step, seen.target)
            case Verdict.LOST:
                lose(desk.ledger, source)
            case Verdict.CHANGED:
                assert seen.source is not None
                self._replace(source, seen.source)
            case Verdict.UNDONE:
                pass
        desk.end(key)

    def _record_done(self, step: StepBegun, key: EntryKey, source: EntryKey, seen: Evidence) -> None:
        desk, commit = self._desk, self._desk.ledger.commit
        target = seen.target
        assert target is not None
        desk.overrides.pop(key, None)
        inode = desk.ledger.namespace.find(step.ino)
        alone = not desk.engine.capabilities.links
        desk.disturb(key.container)
        if step.verb == "move":
            desk.disturb(source.container)
            commit(ArtifactMoved(step.ino, *source, *key))
        elif step.verb == "copy" and self._is_of_theirs(step, source):
            self._take_in_copy(step, source, target)
        elif step.verb == "copy":
            same = inode is not None and key in inode.refs and not desk.ledger.backlog.owes_content(step.ino)
            same = same and inode is not None and same_attributes(inode.attributes(), target.attributes)
            commit(ArtifactCopied(step.ino, *key, target.version, step.version, attributes=same))
        elif step.verb == "set_attributes":
            commit(ArtifactFlushed(step.ino, *key, target.version, content=False, attributes=True, alone=alone))
            if inode is not None and inode.nlink and not same_attributes(inode.attributes(), target.attributes):
                desk.owe_attributes(step.ino)
        else:
            content, attributes = self._has_arrived(step, key, target)
            size = target.size
            commit(ArtifactFlushed(step.ino, *key, target.version, content, attributes, size=size, alone=alone))

    def _has_arrived(self, step: StepBegun, key: EntryKey, target: EntryInfo) -> tuple[bool, bool]:
        """Whether the bytes, and the attributes, of a put that has arrived are all that there is of the inode."""
        desk, inode, sent = self._desk, self._desk.ledger.namespace.find(step.ino), self._desk.sent.get(key)
        if inode is None or not inode.nlink:
            return False, False
        if sent is not None and sent.token == step.token:
            content = inode.content_generation == sent.generation
            return content, content and same_attributes(inode.attributes(), sent.attributes)
        body = desk.ledger.buffer.find(step.ino)
        is_here = body is not None and body.phase is not Phase.ABSENT and not body.frail
        if step.verb != "put" or inode.kind is not Kind.FILE or is_here:
            return False, False
        # A power cut took what was here of these bytes, and the engine has them.
        times = inode.atime_ns, max(inode.mtime_ns, target.attributes.mtime_ns), desk.clock_ns()
        desk.ledger.commit(AttributesSet(step.ino, inode.mode, inode.uid, inode.gid, *times))
        for witness in desk.ledger.witnesses:
            witness.attributes_changed(step.ino)
        return True, same_attributes(inode.attributes(), target.attributes)

    async def _move_theirs(
        self, step: StepBegun, source: EntryKey, theirs: EntryInfo, path: EntryPath, seen: Evidence
    ) -> None:
        """Somebody else replaced what programs here have renamed: theirs is moved, and becomes what they see."""
        desk, key = self._desk, EntryKey(step.container, step.name)
        origin = entry_path(desk.ledger.backlog, source, desk.engine.staging_path)
        ours = desk.ledger.namespace.find(step.ino)
        if origin is None or ours is None or Kind.CONTAINER in (ours.kind, theirs.attributes.kind):
            lose(desk.ledger, source)
            desk.end(key)
            return
        expected = desk.expected(key, seen.row.version if seen.row is not None else ABSENT)
        if step.verb == "copy":
            token = desk.new_token(step.ino)
            desk.begin("copy", step.ino, key, version=theirs.version, token=token, source=source)
            await secure(desk)
            version = await desk.engine.copy(
                origin, path, version=theirs.version, attributes=None, expected=expected, token=token
            )
            self._take_in_copy(
                msgspec.structs.replace(step, version=theirs.version), source, theirs._replace(version=version)
            )
            return
        await secure(desk)
        await desk.engine.move(origin, path, version=theirs.version, expected=expected)
        desk.ledger.commit(ArtifactMoved(step.ino, *source, *key))
        self._replace(key, theirs._replace(name=key.name))
        desk.teller.event("conflict", key, step.ino)

    def _is_of_theirs(self, step: StepBegun, source: EntryKey) -> bool:
        """Whether what was copied is not the version that we had there."""
        row = self._desk.ledger.backlog.stored(source)
        return row is not None and row.ino == step.ino and row.version != step.version

    def _take_in_copy(self, step: StepBegun, source: EntryKey, copied: EntryInfo) -> None:
        """Theirs has the name that ours had for programs; where it was copied from nobody wants it any more."""
        desk, key, commit = self._desk, EntryKey(step.container, step.name), self._desk.ledger.commit
        commit(ArtifactFlushed(step.ino, *source, step.version, content=False, attributes=False, alone=True))
        commit(ArtifactCopied(step.ino, *key, copied.version, step.version, attributes=False))
        self._replace(key, copied._replace(name=key.name))
        desk.overrides.pop(key, None)
        desk.teller.event("conflict", key, step.ino)

    def _replace(self, key: EntryKey, theirs: EntryInfo) -> None:
        """What is stored at ``key`` is somebody else's now."""
        ledger = self._desk.ledger
        ref = ledger.backlog.stored(key)
        inode = ledger.namespace.find(ref.ino) if ref is not None else None
        if ref is None:
            return
        if inode is not None and key in inode.refs and not ledger.backlog.owes_content(ref.ino):
            ledger.commit(EntryVanished(ref.ino, *key))
            discover(ledger, key.container, theirs._replace(name=key.name))
        else:
            ledger.commit(ArtifactDeleted(ref.ino, *key))
