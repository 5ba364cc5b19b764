"""Background work that may fail: tried again ever more rarely, told of once until something changes.

A disk that is full or gone fails the same way every few seconds, and some of this work is expensive before it fails
(compressing a segment, encoding a checkpoint): neither the log nor the processor is to be filled with it.

Promise: no failure that a disk can cause ends the caller; the first one and each of another kind has a line in the
log, and so has the end of it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from vaultairefs.model.errors import VaultaireError

RETRY_SECONDS: Final = 5.0
RETRY_SECONDS_MAX: Final = 320.0

_log: Final = structlog.get_logger()


class Chore:
    """One kind of work.  ``patient``: after a failure it may wait, up to ``RETRY_SECONDS_MAX``."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]], *, patient: bool) -> None:
        self._name = name
        self._work = work
        self._patient = patient
        self._failure: type[VaultaireError] | None = None
        self._retry_seconds = RETRY_SECONDS
        self._not_before = float("-inf")

    async def attempt(self) -> None:
        """Do the work, unless it failed too lately."""
        if trio.current_time() < self._not_before:
            return
        try:
            await self._work()
        except VaultaireError as error:
            self._note(error)
            return
        if self._failure is not None:
            _log.info("background work of the ledger goes on", work=self._name)
        self._failure, self._retry_seconds = None, RETRY_SECONDS

    def _note(self, error: VaultaireError) -> None:
        if type(error) is not self._failure:
            _log.error("background work of the ledger failed", work=self._name, error=str(error))
        self._failure = type(error)
        if self._patient:
            self._not_before = trio.current_time() + self._retry_seconds
            self._retry_seconds = min(self._retry_seconds * 2, RETRY_SECONDS_MAX)
