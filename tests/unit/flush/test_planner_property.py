"""Whatever the two trees, deciding and doing ends with the engine holding what programs see, and loses nothing."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.flush.planning import Toy
from vaultairefs.backlog import StoredRef
from vaultairefs.flush.planner import decide_name
from vaultairefs.flush.steps import Wait
from vaultairefs.model.values import ROOT, EntryKey, Ino, Version

NAMES = [b"a", b"b", b"c"]


def grow(toy: Toy, choice: random.Random) -> None:
    """A random live tree of few names, so that things get in each other's way."""
    toy.names.clear()
    inos = sorted(ino for ino in toy.containers if ino != ROOT)
    choice.shuffle(inos)
    placed = [ROOT]
    for ino in inos:
        if choice.random() < 0.75:
            free = [EntryKey(c, n) for c in placed for n in NAMES if EntryKey(c, n) not in toy.names]
            if free:
                toy.names[choice.choice(free)] = ino
                placed.append(ino)
    files = [Ino(ino) for ino in range(2, 14) if ino not in toy.containers]
    for ino in files:
        for _ in range(choice.choice([0, 1, 1, 1, 2, 3])):
            free = [EntryKey(c, n) for c in placed for n in NAMES if EntryKey(c, n) not in toy.names]
            if free:
                toy.names[choice.choice(free)] = ino


def build(choice: random.Random) -> Toy:
    """A stored tree that was a live tree once, and another live tree over the same inodes."""
    toy = Toy()
    toy.moves, toy.links = choice.choice([(True, True), (True, False), (False, False), (False, False)])
    toy.containers |= {Ino(ino) for ino in range(2, 14) if choice.random() < 0.45}
    grow(toy, choice)
    for key, ino in toy.names.items():
        others = [toy.rows[other] for other in toy.stored_keys(ino)]
        version = others[0].version if others and choice.random() < 0.7 else toy.fresh_version(ino)
        stale = bool(others) and version != others[0].version
        toy.rows[key] = StoredRef(ino, version, stale)
    grow(toy, choice)
    toy.only_in_engine = frozenset(ref.ino for ref in toy.rows.values() if ref.ino != ROOT)
    toy.lifelines = {ino for ino in toy.only_in_engine - toy.containers if choice.random() < 0.2}
    toy.dirty = {ino for ino in toy.names.values() if ino not in toy.containers and choice.random() < 0.3}
    return toy


def work(toy: Toy, choice: random.Random, *, rounds: int) -> int:
    """Passes as the flusher makes them; returns the steps taken."""
    steps = 0
    for _ in range(rounds):
        owed = list(toy.owed())
        choice.shuffle(owed)
        before = steps
        for key in owed:
            while True:
                decision = decide_name(toy, key)
                if decision is None or isinstance(decision, Wait):
                    break
                toy.apply(decision)
                steps += 1
                assert steps < 400, "no end in sight"
        if steps == before:
            break
    return steps


@given(st.integers(min_value=0))
@settings(max_examples=1500, deadline=None)
def test_every_pair_of_trees_is_reconciled(seed: int) -> None:
    choice = random.Random(seed)
    toy = build(choice)
    work(toy, choice, rounds=30)
    lifelines = {key for key, ref in toy.rows.items() if toy.is_lifeline(ref.ino)}
    closed = toy.lifelines
    toy.lifelines = set()
    toy.only_in_engine -= closed
    work(toy, choice, rounds=30)
    assert not list(toy.owed())
    assert {key: ref.ino for key, ref in toy.rows.items() if key != EntryKey(ROOT, b"")} == toy.names
    assert lifelines.isdisjoint(toy.rows.keys() - toy.names.keys())


@given(st.integers(min_value=0))
@settings(max_examples=700, deadline=None)
def test_trees_that_change_all_the_time_are_reconciled_when_they_rest(seed: int) -> None:
    choice = random.Random(seed)
    toy = build(choice)
    toy.lifelines = set()
    for _ in range(12):
        for key in choice.sample(sorted(toy.owed()), min(2, len(list(toy.owed())))):
            decision = decide_name(toy, key)
            if decision is not None and not isinstance(decision, Wait):
                toy.apply(decision)
        if choice.random() < 0.5:
            alive = set(toy.names.values()) | {ROOT}
            grow(toy, choice)
            # Nothing comes back from the dead: an inode without a name stays without, and what is below it too.
            while orphans := [key for key, ino in toy.names.items() if not {ino, key.container} <= alive]:
                for key in orphans:
                    del toy.names[key]
                alive = set(toy.names.values()) | {ROOT}
    work(toy, choice, rounds=40)
    assert not list(toy.owed())
    assert {key: ref.ino for key, ref in toy.rows.items() if key != EntryKey(ROOT, b"")} == toy.names


@given(st.integers(min_value=0))
@settings(max_examples=500, deadline=None)
def test_busy_names_are_left_alone_and_do_not_stop_the_rest(seed: int) -> None:
    choice = random.Random(seed)
    toy = build(choice)
    toy.lifelines = set()
    toy.busy = {key for key in toy.rows if choice.random() < 0.3 and key != EntryKey(ROOT, b"")}
    frozen = {key: toy.rows[key].version for key in toy.busy if isinstance(key, EntryKey)}
    work(toy, choice, rounds=30)
    assert {key: toy.rows[key].version for key in frozen} == frozen
    toy.busy = set()
    work(toy, choice, rounds=30)
    assert not list(toy.owed())


def test_versions_are_told_apart() -> None:
    toy = Toy()
    assert toy.fresh_version(Ino(2)) != toy.fresh_version(Ino(2)) != Version("")
