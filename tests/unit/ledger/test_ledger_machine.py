"""Replay equals live: whatever is done to a ledger, a ledger opened on what kill -9 leaves is the same."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.ledgers import Lab
from vaultairefs.buffer import Phase
from vaultairefs.buffer.posting import can_leave
from vaultairefs.model import changes
from vaultairefs.model.values import ROOT, STAGING, EntryKey, Ino, Kind
from vaultairefs.namespace import Inode

NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])
CHOICE = st.integers(0, 1 << 16)
OFFSETS = st.integers(0, 6000)


def differences(first: dict[str, dict[Any, Any]], second: dict[str, dict[Any, Any]]) -> list[str]:
    return [
        f"{table}[{key!r}]: {first[table].get(key)!r} != {second[table].get(key)!r}"
        for table in first
        for key in first[table].keys() | second[table].keys()
        if first[table].get(key) != second[table].get(key)
    ]


class LedgerMachine(RuleBasedStateMachine):
    """Random changes, each made the way the rooms above make it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="ledger-machine-"))
        self.lives = 0
        self.lab = Lab(self.base / "0")
        self.open: list[Ino] = []

    def teardown(self) -> None:
        self.lab.abandon()
        shutil.rmtree(self.base)

    # Choosing

    def inodes(self, *kinds: Kind) -> list[Inode]:
        found = self.lab.ledger.namespace.inodes.values()
        return [inode for inode in found if inode.nlink and inode.ino != ROOT and (not kinds or inode.kind in kinds)]

    def containers(self) -> list[Ino]:
        return [ROOT, *(inode.ino for inode in self.inodes(Kind.CONTAINER))]

    def free(self, container: Ino, name: bytes) -> bool:
        return self.lab.ledger.namespace.child(container, name) is None

    def pick(self, choice: int, found: list[Any]) -> Any:
        return found[choice % len(found)] if found else None

    def entry(self, choice: int) -> EntryKey | None:
        keys = [ref for inode in self.inodes() for ref in inode.refs]
        return self.pick(choice, keys)

    # Programs

    @rule(choice=CHOICE, name=NAMES, opened=st.booleans())
    def create(self, choice: int, name: bytes, opened: bool) -> None:
        parent = self.pick(choice, self.containers())
        if self.free(parent, name):
            ino = self.lab.file(name, parent, opened=opened)
            if opened:
                self.open.append(ino)

    @rule(choice=CHOICE, name=NAMES)
    def mkdir(self, choice: int, name: bytes) -> None:
        parent = self.pick(choice, self.containers())
        if self.free(parent, name):
            self.lab.container(name, parent)

    @rule(choice=CHOICE, name=NAMES)
    def symlink(self, choice: int, name: bytes) -> None:
        parent = self.pick(choice, self.containers())
        if self.free(parent, name):
            self.lab.symlink(name, b"target", parent)

    @rule(choice=CHOICE, other=CHOICE, name=NAMES)
    def link(self, choice: int, other: int, name: bytes) -> None:
        inode, parent = self.pick(choice, self.inodes(Kind.FILE)), self.pick(other, self.containers())
        if inode is not None and self.free(parent, name):
            self.lab.commit(changes.EntryLinked(inode.ino, parent, name, self.lab.now()))

    @rule(choice=CHOICE)
    def remove(self, choice: int) -> None:
        key = self.entry(choice)
        if key is not None and not self.lab.child(key.name, key.container).children:
            self.lab.remove(key.name, key.container)

    @rule(choice=CHOICE, other=CHOICE, name=NAMES, swap=st.booleans())
    def rename(self, choice: int, other: int, name: bytes, swap: bool) -> None:
        key, parent = self.entry(choice), self.pick(other, self.containers())
        if key is None:
            return
        tree = self.lab.ledger.namespace
        moved, target = self.lab.child(key.name, key.container), tree.child(parent, name)
        swap = swap and target is not None
        if moved is target or tree.is_ancestor(moved.ino, parent):
            return
        if target is not None and swap and target.is_container and tree.is_ancestor(target.ino, key.container):
            return
        if target is not None and not swap and (target.children or target.is_container != moved.is_container):
            return
        self.lab.rename(key.name, name, key.container, parent, swap=swap)

    @rule(choice=CHOICE, mode=st.sampled_from([0o600, 0o755]))
    def chmod(self, choice: int, mode: int) -> None:
        inode = self.pick(choice, self.inodes())
        if inode is not None:
            times = inode.atime_ns, inode.mtime_ns, self.lab.now()
            self.lab.commit(changes.AttributesSet(inode.ino, mode, inode.uid, inode.gid, *times))

    @rule(choice=CHOICE, value=st.sampled_from([b"x", None]))
    def set_xattr(self, choice: int, value: bytes | None) -> None:
        inode = self.pick(choice, self.inodes())
        if inode is not None:
            self.lab.commit(changes.XattrSet(inode.ino, b"user.x", value, self.lab.now()))

    @rule(choice=CHOICE)
    def open_file(self, choice: int) -> None:
        inode = self.pick(choice, self.inodes(Kind.FILE))
        if inode is not None:
            self.lab.open(inode.ino)
            self.open.append(inode.ino)

    @rule(choice=CHOICE, offset=OFFSETS, fill=st.integers(1, 255), length=st.integers(1, 3000))
    def write(self, choice: int, offset: int, fill: int, length: int) -> None:
        ino = self.pick(choice, self.open)
        if ino is not None:
            self.lab.write(ino, offset, bytes([fill]) * length)

    @rule(choice=CHOICE, size=st.sampled_from([0, 0, 1, 500, 4096, 9000]))
    def truncate(self, choice: int, size: int) -> None:
        inode = self.pick(choice, self.inodes(Kind.FILE))
        if inode is not None:
            self.lab.truncate(inode.ino, size)

    @rule(choice=CHOICE)
    def close_file(self, choice: int) -> None:
        ino = self.pick(choice, self.open)
        if ino is not None:
            self.open.remove(ino)
            self.lab.close(ino)

    @rule(choice=CHOICE)
    def fsync(self, choice: int) -> None:
        inode = self.pick(choice, self.inodes(Kind.FILE))
        if inode is not None:
            self.lab.fsync(inode.ino)

    # Engine

    @rule(choice=CHOICE, name=NAMES, length=OFFSETS, fill=st.integers(1, 255))
    def discover(self, choice: int, name: bytes, length: int, fill: int) -> None:
        parent = self.pick(choice, self.containers())
        key = EntryKey(parent, name)
        if self.free(parent, name) and key not in self.lab.ledger.backlog.owed_names:
            self.lab.discover(name, bytes([fill]) * length, parent)

    @rule(choice=CHOICE, offset=OFFSETS, length=OFFSETS)
    def fetch(self, choice: int, offset: int, length: int) -> None:
        stored = [inode for inode in self.inodes(Kind.FILE) if self.lab.ledger.backlog.fresh_ref(inode.ino)]
        inode = self.pick(choice, stored)
        if inode is not None:
            self.lab.fetch(inode.ino, offset, length)

    @rule(choice=CHOICE, late=st.booleans())
    def flush(self, choice: int, late: bool) -> None:
        inode = self.pick(choice, self.inodes())
        if inode is not None:
            self.lab.flush(inode.ino, late=late and inode.kind is Kind.FILE)

    @rule(choice=CHOICE, shared=st.booleans())
    def flush_attributes(self, choice: int, shared: bool) -> None:
        backlog = self.lab.ledger.backlog
        clean = [i for i in self.inodes(Kind.FILE) if backlog.fresh_ref(i.ino) and not backlog.owes_content(i.ino)]
        inode = self.pick(choice, clean)
        if inode is not None:
            key = backlog.fresh_ref(inode.ino)
            old = backlog.stored(key)
            version = f"{old.version}+" if shared else old.version
            self.lab.engine[version] = self.lab.engine[old.version]
            self.lab.commit(
                changes.ArtifactFlushed(inode.ino, key.container, key.name, version, False, True)
            )

    def stored_keys(self) -> list[EntryKey]:
        return [EntryKey(c, name) for c, names in self.lab.ledger.backlog.tree.items() for name in names]

    @rule(choice=CHOICE, parked=st.booleans())
    def engine_moves(self, choice: int, parked: bool) -> None:
        backlog = self.lab.ledger.backlog
        key = self.pick(choice, self.stored_keys())
        if key is None:
            return
        ino = backlog.stored(key).ino
        inode = self.lab.ledger.namespace.find(ino)
        target = EntryKey(STAGING, b"%x" % ino) if parked or inode is None or not inode.refs else inode.refs[0]
        if backlog.stored(target) is None:
            self.lab.commit(changes.ArtifactMoved(ino, *key, *target))

    @rule(choice=CHOICE)
    def engine_deletes(self, choice: int) -> None:
        backlog = self.lab.ledger.backlog
        gone = [key for key, ino in backlog.owed_names.items() if backlog.stored(key) and len(backlog.refs_of(backlog.stored(key).ino)) > 1]
        nameless = [key for key in self.stored_keys() if not backlog.has_name(backlog.stored(key).ino)]
        key = self.pick(choice, gone + nameless)
        if key is not None:
            self.lab.commit(changes.ArtifactDeleted(backlog.stored(key).ino, *key))

    @rule(choice=CHOICE)
    def entry_vanishes(self, choice: int) -> None:
        backlog = self.lab.ledger.backlog
        clean = [
            key
            for inode in self.inodes(Kind.FILE)
            for key in inode.refs
            if key not in backlog.owed_names and not backlog.owes_content(inode.ino) and len(inode.refs) == 1
        ]
        key = self.pick(choice, clean)
        if key is not None:
            ino = self.lab.child(key.name, key.container).ino
            self.lab.commit(changes.EntryVanished(ino, *key))
            self.lab.ledger.drop(ino)

    @rule(choice=CHOICE, name=NAMES)
    def conflict(self, choice: int, name: bytes) -> None:
        complete = [i for i in self.inodes(Kind.FILE) if (b := self.lab.ledger.buffer.find(i.ino)) and b.complete]
        inode = self.pick(choice, complete)
        if inode is not None and self.free(inode.refs[0].container, name):
            key = inode.refs[0]
            self.lab.commit(changes.ArtifactConflicted(inode.ino, *key, name, self.lab.now()))

    @rule(choice=CHOICE)
    def evict(self, choice: int) -> None:
        backlog = self.lab.ledger.backlog
        bodies = [b for b in self.lab.ledger.buffer.all() if can_leave(b) and b.phase is not Phase.ABSENT]
        body = self.pick(choice, [b for b in bodies if backlog.fresh_ref(b.ino)])
        if body is not None:
            self.lab.commit(changes.BodyEvicted(body.ino))

    @rule(choice=CHOICE, name=NAMES, ends=st.booleans())
    def step(self, choice: int, name: bytes, ends: bool) -> None:
        parent = self.pick(choice, self.containers())
        if ends:
            self.lab.commit(changes.StepEnded(parent, name))
        else:
            self.lab.commit(changes.StepBegun(ROOT, parent, name, "put"))

    # Lives

    @rule()
    def checkpoint(self) -> None:
        self.lab.checkpoint()

    @rule()
    def kill(self) -> None:
        self.lives += 1
        copy = self.lab.copy(self.base / str(self.lives))
        before, engine = self.lab.ledger.fingerprint(), self.lab.engine
        self.lab.abandon()
        self.lab = Lab(copy)
        self.lab.engine = engine
        self.open.clear()
        assert differences(before, self.lab.ledger.fingerprint()) == []
        assert self.lab.ledger.recovered.damage == []

    @invariant()
    def rooms_are_sound(self) -> None:
        assert self.lab.audit() == []

    @precondition(lambda self: self.lives < 100)
    @rule()
    def a_copy_recovers_to_the_same(self) -> None:
        copy = self.lab.copy(self.base / "copy")
        try:
            other = Lab(copy)
            try:
                assert differences(self.lab.ledger.fingerprint(), other.ledger.fingerprint()) == []
                assert other.audit() == []
            finally:
                other.abandon()
        finally:
            shutil.rmtree(copy)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
