"""Longer histories than the state machines try, from fixed seeds: minutes of work, run with --slow."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from tests.support.ledger_life import WEIGHTED
from tests.unit.ledger.test_ledger_machine import LedgerMachine
from tests.unit.ledger.test_power_cut_machine import PowerCutMachine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = 150


@contextmanager
def torn_down(machine: LedgerMachine | PowerCutMachine) -> Iterator[None]:
    """What Hypothesis would do at the end, here also after a failure."""
    try:
        yield
    finally:
        machine.teardown()


@pytest.mark.parametrize("seed", range(40))
def test_lives_that_end_by_kills(seed: int) -> None:
    random, machine = Random(seed), LedgerMachine()
    with torn_down(machine):
        machine.populate(seed)
        for _ in range(STEPS):
            if random.random() < 0.03:
                machine.kill()
            machine.act(random.choice(WEIGHTED), random.getrandbits(32))
            machine.rooms_are_sound()


@pytest.mark.parametrize("seed", range(40))
def test_lives_that_end_by_power_cuts(seed: int) -> None:
    random, machine = Random(seed), PowerCutMachine()
    with torn_down(machine):
        machine.populate(seed)
        for _ in range(STEPS):
            chance = random.random()
            if chance < 0.04:
                machine.power_cut(random.getrandbits(32))
            elif chance < 0.14:
                machine.fsync(random.getrandbits(32))
            else:
                machine.act(random.choice(WEIGHTED), random.getrandbits(32))
