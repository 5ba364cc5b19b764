"""Replay equals live: whatever is done to a ledger, a ledger opened on what kill -9 leaves is the same."""

import shutil
import sys
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.ledger_life import WEIGHTED, Life
from tests.support.ledgers import Lab, scratch_directory

SEEDS = st.integers(0, 1 << 32)

ALONE = sorted(set(WEIGHTED) - {"sync", "fsync", "checkpoint", "compact"})
"""What waits for nobody."""


def differences(first: dict[str, dict[Any, Any]], second: dict[str, dict[Any, Any]]) -> list[str]:
    return [
        f"{table}[{key!r}]: {first[table].get(key)!r} != {second[table].get(key)!r}"
        for table in first
        for key in first[table].keys() | second[table].keys()
        if first[table].get(key) != second[table].get(key)
    ]


class LedgerMachine(RuleBasedStateMachine):
    """One state directory, many lives."""

    def __init__(self) -> None:
        super().__init__()
        self.base = scratch_directory()
        self.lives = 0
        self.life = Life(Lab(self.base / "0"))

    @initialize(seed=SEEDS)
    def populate(self, seed: int) -> None:
        for number, action in enumerate(
            ["mkdir", "create", "write", "discover", "create", "write", "discover", "mkdir"]
        ):
            self.life.act(action, seed + number)

    @rule(action=st.sampled_from(WEIGHTED), seed=SEEDS)
    def act(self, action: str, seed: int) -> None:
        self.life.act(action, seed)

    @rule(actions=st.lists(st.sampled_from(ALONE), max_size=6), seed=SEEDS)
    def compact_meanwhile(self, actions: list[str], seed: int) -> None:
        """A checkpoint of this moment, while life goes on."""
        self.life.lab.compact(lambda: [self.life.act(action, seed + at) for at, action in enumerate(actions)])

    @rule()
    def kill(self) -> None:
        self.lives += 1
        old = self.life.lab
        copy = old.copy(self.base / str(self.lives))
        before = old.ledger.fingerprint()
        old.abandon()
        self.life.restart(Lab(copy))
        assert differences(before, self.life.lab.ledger.fingerprint()) == []
        assert self.life.lab.ledger.recovered.damage == []

    @invariant()
    def rooms_are_sound(self) -> None:
        assert self.life.lab.audit() == []

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.kill()
        self.life.lab.abandon()
        shutil.rmtree(self.base)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=12, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
