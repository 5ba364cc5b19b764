"""After a power cut the names are a prefix of history with everything synced in it, and no synced byte is lost.

The engine's own versions survive, as engines do.  A body may hold, at each place, what it held at its last sync or
anything written there since; zeros only where the synced file had nothing.  A file that was renamed over another
holds at least what it held then.
"""

import shutil
import sys
from dataclasses import dataclass, field
from random import Random

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.support.ledger_life import WEIGHTED, Life
from tests.support.ledgers import Lab, scratch_directory
from tests.support.power import Disk
from vaultairefs.model.values import ABSENT, Ino, Kind

SEEDS = st.integers(0, 1 << 32)

Tree = dict[bytes, tuple[Ino, Kind]]


@dataclass
class States:
    """All contents that one inode had, each with the sequence from which on it had it.

    ``promises``: from the moment that the journal is safe through a sequence, what the inode held at ``since`` or
    later must survive.
    """

    seen: list[tuple[int, bytes]] = field(default_factory=list)
    promises: list[tuple[int, int]] = field(default_factory=list)

    def see(self, sequence: int, content: bytes) -> None:
        if not self.seen or self.seen[-1][1] != content:
            self.seen.append((sequence, content))

    def promise(self, sequence: int) -> None:
        """What the inode holds now is safe once the journal is, through ``sequence``."""
        self.promises.append((sequence, len(self.seen) - 1))

    def allows(self, content: bytes, synced_through: int) -> bool:
        kept = [since for sequence, since in self.promises if sequence <= synced_through]
        states = [content for _, content in self.seen[max(kept) :]] if kept else [b"", *(c for _, c in self.seen)]
        return len(content) >= min(map(len, states)) and all(
            any(state[at : at + 1] == content[at : at + 1] for state in states)
            or (content[at] == 0 and any(at >= len(state) for state in states))
            for at in range(len(content))
        )


class PowerCutMachine(RuleBasedStateMachine):
    """Lives that end by power cuts."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.base = scratch_directory()
        self.disk = Disk(self.patch)
        self.lives = 0
        self.life = Life(Lab(self.base / "0"))
        self.begin()

    def begin(self) -> None:
        """A new life: what recovery left is the first state of its history, and on the disk."""
        self.history: list[tuple[int, Tree]] = []
        self.states: dict[Ino, States] = {}
        self.renamed_over: dict[tuple[bytes, Ino], list[States]] = {}
        self.engine_has: dict[Ino, int] = {}
        self.remember()

    @property
    def synced_through(self) -> int:
        """How far the journal is synced."""
        return self.life.lab.ledger._group.through

    def contents(self) -> dict[Ino, bytes]:
        """Of every file, and of those without a name that are open: the record of the removal may get lost."""
        lab = self.life.lab
        inodes = lab.inodes()
        files = [inode.ino for inode in inodes if inode.kind is Kind.FILE and (inode.nlink or lab.is_local(inode.ino))]
        return {ino: lab.content(ino) for ino in files}

    def engine_lost(self, ino: Ino) -> bool:
        body = self.life.lab.ledger.buffer.find(ino)
        return body is not None and body.complete and body.base_version == ABSENT

    def remember(self) -> None:
        lab = self.life.lab
        sequence, tree, contents = lab.ledger._sequence, lab.tree(), self.contents()
        before = self.history[-1][1] if self.history else {}
        for ino, content in contents.items():
            states = self.states.setdefault(ino, States())
            states.see(sequence, content)
            if not lab.ledger.backlog.owes_content(ino):
                # The engine has these bytes: once that is recorded they are as safe as if they were synced.
                states.promise(sequence)
                self.engine_has[ino] = len(states.promises) - 1
            elif ino in self.engine_has and self.engine_lost(ino):
                # Somebody else took them from the engine: the next sync makes ours safe, and nothing can before.
                states.promises[self.engine_has.pop(ino) :] = [(sequence, len(states.seen) - 1)]
        for path, (ino, kind) in tree.items():
            old = before.get(path)
            if kind is Kind.FILE and old is not None and old[0] != ino:
                over = States([(sequence, contents[ino])])
                over.promise(0)
                self.renamed_over.setdefault((path, ino), []).append(over)
        for (_, ino), renames in self.renamed_over.items():
            for states in renames if ino in contents else ():
                states.see(sequence, contents[ino])
        self.history.append((sequence, tree))

    @initialize(seed=SEEDS)
    def populate(self, seed: int) -> None:
        for number, action in enumerate(("mkdir", "create", "write", "discover") * 2):
            self.act(action, seed + number)

    @rule(action=st.sampled_from(WEIGHTED), seed=SEEDS)
    def act(self, action: str, seed: int) -> None:
        self.life.act(action, seed)
        self.remember()

    @rule(seed=SEEDS)
    def fsync(self, seed: int) -> None:
        ino = self.life.file(Random(seed))
        if ino is not None:
            self.life.lab.fsync(ino)
            self.remember()
            self.states[ino].promise(0)

    @rule(seed=SEEDS)
    def power_cut(self, seed: int) -> None:
        self.lives += 1
        copy, through = self.base / str(self.lives), self.synced_through
        self.disk.lose(self.life.lab.directory, copy, Random(seed))
        self.life.lab.abandon()
        self.life.restart(Lab(copy))
        lab = self.life.lab
        assert lab.audit() == []
        assert lab.ledger.recovered.power_was_cut
        tree = lab.tree()
        assert tree in [seen for sequence, seen in self.history if sequence >= through], (tree, self.history, through)
        for ino, content in self.contents().items():
            assert self.states[ino].allows(content, through), (ino, content, through, self.states[ino])
        for path, (ino, _) in tree.items():
            # History may have ended before the latest of several such renames.
            renames = self.renamed_over.get((path, ino), [])
            if renames and not any(states.allows(lab.content(ino), sys.maxsize) for states in renames):
                raise AssertionError(f"{path!r} was replaced by {lab.content(ino)!r}, which nobody synced: {renames}")
        self.begin()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.power_cut(1)
        self.life.lab.abandon()
        self.patch.undo()
        shutil.rmtree(self.base)


TestPowerCutMachine = PowerCutMachine.TestCase
TestPowerCutMachine.settings = settings(
    max_examples=12, stateful_step_count=35, deadline=None, suppress_health_check=list(HealthCheck)
)
