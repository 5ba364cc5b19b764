"""What tests can do to each call of the memory engine: make it fail, look at it, delay it, count it.

Does not: know any verb.
"""

from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import VaultaireError


class _Failure(NamedTuple):
    error: VaultaireError
    applied: bool


class Calls:
    """The calls of one engine."""

    def __init__(self) -> None:
        self._failures: defaultdict[str, deque[_Failure]] = defaultdict(deque)
        self.calls: Counter[str] = Counter()
        """How often each verb was called, failed calls included."""
        self.on_call: Callable[[str], Awaitable[None]] | None = None
        """Awaited with the verb's name before each call does anything."""

    def fail_next(self, verb: str, error: VaultaireError, *, applied: bool = False) -> None:
        """The next call of ``verb`` that has no other failure waiting raises ``error``.

        ``applied``: it does its work first, like a request whose answer is lost.
        """
        self._failures[verb].append(_Failure(error, applied))

    @asynccontextmanager
    async def _call(self, verb: str) -> AsyncIterator[None]:
        """Wait once like a real engine does, then fail if a failure is due."""
        self.calls[verb] += 1
        await trio.lowlevel.checkpoint()
        if self.on_call is not None:
            await self.on_call(verb)
        failure = self._failures[verb].popleft() if self._failures[verb] else None
        if failure is not None and not failure.applied:
            raise failure.error
        with translated(verb):
            yield
        if failure is not None:
            raise failure.error
