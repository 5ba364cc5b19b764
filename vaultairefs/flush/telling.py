"""Tell people what the flusher did and what fails: events, status sentences, log lines.

Promise: nothing here stops the work; an event that a full disk refuses is only logged.
"""

from collections.abc import Callable
from typing import Final

import structlog

from vaultairefs.flush.failures import Failures, Item
from vaultairefs.ledger import Ledger
from vaultairefs.model.errors import VaultaireError, Withheld
from vaultairefs.model.values import EntryKey, Ino

log: Final = structlog.get_logger("vaultairefs.flush")


class Teller:
    """Names things as people know them."""

    def __init__(self, ledger: Ledger, failures: Failures, clock_ns: Callable[[], int]) -> None:
        self._ledger = ledger
        self._failures = failures
        self._clock_ns = clock_ns

    def place(self, key: EntryKey) -> tuple[bytes, bytes]:
        """Container and name as programs see them."""
        namespace = self._ledger.namespace
        inode = namespace.find(key.container)
        known = inode is not None and inode.nlink > 0
        return (namespace.path(key.container) if known else b""), key.name

    def event(self, operation: str, key: EntryKey, ino: Ino, *, size: int | None = None) -> None:
        """One event of something that the engine has now; ``size`` in bytes."""
        container, name = self.place(key)
        try:
            self._ledger.events.record(
                time_ns=self._clock_ns(),
                operation=operation,
                container=container,
                artifact=name,
                inode=ino,
                size=size,
                durability="stored",
            )
        except VaultaireError as error:
            log.warning("event_not_recorded", operation=operation, reason=str(error))

    def failure(self, item: Item, error: BaseException, *, at_once: bool = False) -> None:
        """Keep a failure for ``status`` and for the next try; ``at_once`` as in ``Failures.record``."""
        parts = self.place(item) if isinstance(item, tuple) else (f"inode {item}".encode(),)
        where = (b"/".join(part for part in parts if part) or b"the root").decode(errors="backslashreplace")
        was_lasting = self._failures.are_lasting([item])
        is_lasting = isinstance(error, Withheld)
        self._failures.record(item, f"{where}: {error}", at_once=at_once, is_lasting=is_lasting)
        if not at_once and not (is_lasting and was_lasting):
            log.warning("flush_failed", item=where, error=type(error).__name__, reason=str(error))
