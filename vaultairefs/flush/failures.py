"""What failed, when it is tried again, and what to tell people meanwhile."""

import random
from collections.abc import Callable, Iterator
from typing import Final

from vaultairefs.model.values import EntryKey, Ino

_DELAY_SECONDS_MIN: Final = 0.25
_DELAY_SECONDS_MAX: Final = 30.0
"""A store that comes back after hours is noticed within this."""

SENTENCES_MAX: Final = 20
"""How many failures a status shows."""

Item = EntryKey | Ino


class _Failure:
    __slots__ = ("attempts", "next_try", "sentence")

    def __init__(self) -> None:
        self.attempts = 0
        self.next_try = 0.0
        self.sentence = ""


class Failures:
    """Names and inodes whose last step failed.  Exponential delays with jitter, for ever.

    ``clock`` gives seconds; ``jitter`` a factor around 1, so that many failures do not come back at one moment.
    """

    def __init__(
        self, clock: Callable[[], float], jitter: Callable[[], float] = lambda: random.uniform(0.7, 1.3)
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._failures: dict[Item, _Failure] = {}

    def record(self, item: Item, sentence: str, *, at_once: bool = False) -> None:
        """Another failure.  ``at_once``: the first of its kind is looked into immediately."""
        failure = self._failures.setdefault(item, _Failure())
        failure.attempts += 1
        failure.sentence = sentence
        if at_once and failure.attempts == 1:
            failure.next_try = self._clock()
            return
        delay = min(_DELAY_SECONDS_MIN * 2.0 ** min(failure.attempts - 1, 10), _DELAY_SECONDS_MAX)
        failure.next_try = self._clock() + delay * self._jitter()

    def hurry(self) -> None:
        """Somebody insists: what waits for its next try has it now."""
        now = self._clock()
        for failure in self._failures.values():
            failure.next_try = min(failure.next_try, now)

    def clear(self, item: Item) -> None:
        """It worked, or is no longer wanted."""
        self._failures.pop(item, None)

    def waits(self, item: Item) -> bool:
        """Whether its next try is still to come."""
        failure = self._failures.get(item)
        return failure is not None and self._clock() < failure.next_try

    def sentences(self) -> list[str]:
        """What fails now, newest last; several items with the same complaint are told once."""
        told = dict.fromkeys(failure.sentence for failure in self._failures.values())
        return list(told)[-SENTENCES_MAX:]

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._failures))

    def __len__(self) -> int:
        return len(self._failures)
