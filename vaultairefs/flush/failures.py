"""What failed, when it is tried again, and what to tell people meanwhile."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from vaultairefs.model.errors import (
    AlreadyExists,
    Conflict,
    ContainerNotEmpty,
    IsAContainer,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.values import EntryKey, Ino

DISAGREEMENTS: Final = (Conflict, NotFound, AlreadyExists, NotAContainer, IsAContainer, ContainerNotEmpty)
"""The engine answered, and holds something else than our records say: worth a look at once."""

_DELAY_SECONDS_MIN: Final = 0.25
_DELAY_SECONDS_MAX: Final = 30.0
"""A store that comes back after hours is noticed within this."""

SENTENCES_MAX: Final = 20
"""How many failures a status shows."""

Item = EntryKey | Ino


class _Failure:
    __slots__ = ("attempts", "is_lasting", "next_try", "number", "sentence")

    def __init__(self) -> None:
        self.attempts = self.number = 0
        self.is_lasting = False
        self.next_try = 0.0
        self.sentence = ""


class Failures:
    """Names and inodes whose last step failed.  Exponential delays with jitter, for ever.

    ``recorded`` counts every failure; each remembers the number of its last one.
    ``clock`` gives seconds; ``jitter`` a factor around 1, so that many failures do not come back at one moment.
    """

    def __init__(
        self, clock: Callable[[], float], jitter: Callable[[], float] = lambda: random.uniform(0.7, 1.3)
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._failures: dict[Item, _Failure] = {}
        self.recorded = 0

    def record(self, item: Item, sentence: str, *, at_once: bool = False, is_lasting: bool = False) -> None:
        """Another failure.  ``at_once``: the first of its kind is looked into immediately; ``is_lasting``: trying again
        is of no use before somebody has decided something."""
        failure = self._failures.setdefault(item, _Failure())
        failure.attempts += 1
        self.recorded += 1
        failure.number = self.recorded
        # Somebody else's work is met first and judged then: the judgement of last time holds meanwhile.
        failure.is_lasting = is_lasting or (at_once and failure.is_lasting)
        if is_lasting or not failure.is_lasting:
            failure.sentence = sentence
        if at_once and failure.attempts == 1:
            failure.next_try = self._clock()
            return
        delay = min(_DELAY_SECONDS_MIN * 2.0 ** min(failure.attempts - 1, 10), _DELAY_SECONDS_MAX)
        failure.next_try = self._clock() + delay * self._jitter()

    def hurry(self) -> None:
        """Somebody insists: what waits for its next try has it now, and what was to be decided may have been."""
        now = self._clock()
        for failure in self._failures.values():
            failure.next_try = min(failure.next_try, now)
            failure.attempts, failure.is_lasting = 0, False

    def clear(self, item: Item) -> None:
        """It worked, or is no longer wanted."""
        self._failures.pop(item, None)

    def waits(self, item: Item) -> bool:
        """Whether its next try is still to come."""
        failure = self._failures.get(item)
        return failure is not None and self._clock() < failure.next_try

    def why_withheld(self, item: Item, since: int = 0) -> str | None:
        """What somebody has to decide about it; None where trying again may help, or was not tried since the failure
        number ``since``."""
        failure = self._failures.get(item)
        return failure.sentence if failure is not None and failure.is_lasting and failure.number > since else None

    def are_lasting(self, items: Sequence[Item]) -> bool:
        """Whether trying them again is of no use before somebody has decided something."""
        found = map(self._failures.get, items)
        return all(failure is not None and failure.is_lasting for failure in found)

    @property
    def only_lasting(self) -> bool:
        """Whether something fails, and nothing of it can be helped by trying again."""
        return bool(self._failures) and all(failure.is_lasting for failure in self._failures.values())

    def sentences(self) -> list[str]:
        """What fails now, newest last; several items with the same complaint are told once."""
        told = dict.fromkeys(failure.sentence for failure in self._failures.values())
        return list(told)[-SENTENCES_MAX:]

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._failures))

    def __len__(self) -> int:
        return len(self._failures)
