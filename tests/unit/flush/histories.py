"""Long, busy histories from a seed: Hypothesis prefers short ones, and most of what goes wrong needs a long one."""

import random
from typing import Any

from tests.unit.flush.acting import ACTS
from tests.unit.flush.test_flusher_machine import VERBS

_BUSY = [*ACTS, "mkdir", "create", "rename", "exchange", "exchange"]


def busy_history(seed: int, *, foreign: bool) -> list[tuple[str, Any]]:
    """Steps for ``Machine``, or for ``ForeignMachine``; in some histories nothing fails and nothing interferes."""
    choice = random.Random(seed)
    calm = choice.random() < 0.4
    return [_step(choice, foreign=foreign, calm=calm) for _ in range(choice.randint(5, 60))]


def _step(choice: random.Random, *, foreign: bool, calm: bool) -> tuple[str, Any]:
    kind = choice.random()
    if kind < 0.55 or (calm and kind >= 0.75):
        return "act", _act(choice)
    if kind < 0.75:
        return "tick", choice.choice([0.0, 0.6, 2.0, 2.0, 40.0])
    if foreign and kind < 0.85:
        theirs = (
            choice.choice(["put", "put", "mkdir", "delete", "move"]),
            choice.randint(0, 30),
            choice.randint(0, 3),
            choice.randint(0, 99),
        )
        return choice.choice(
            [
                ("foreign", theirs),
                ("foreign_during", (*_moment(choice), theirs)),
                ("list", choice.randint(0, 20)),
            ]
        )
    if kind < 0.88:
        return "during", (*_moment(choice), _act(choice))
    if kind < 0.94:
        return "fail", (choice.choice(VERBS), choice.random() < 0.5, not foreign and choice.random() < 0.3)
    return ("crash", None) if kind < 0.97 or foreign else ("crash_during", _moment(choice))


def _moment(choice: random.Random) -> tuple[int, bool]:
    return choice.randint(0, 5), choice.random() < 0.5


def _act(choice: random.Random) -> tuple[str, int, int, int, int]:
    entries = choice.randint(0, 30), choice.randint(0, 30)
    return choice.choice(_BUSY), *entries, choice.randint(0, 3), choice.randint(0, 150)
