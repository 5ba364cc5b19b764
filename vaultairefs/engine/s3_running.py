"""Runs blocking requests in threads, a bounded number at a time, and turns their failures into the seam's errors."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Unsent
from vaultairefs.engine.s3_store import unavailable
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import EntryPath

T = TypeVar("T")
Item = TypeVar("Item")


class Runner:
    """At most ``requests_max`` requests are under way, whoever asks."""

    def __init__(self, requests_max: int) -> None:
        self._limiter = trio.CapacityLimiter(requests_max)

    async def run(self, path: EntryPath, operation: str, work: Callable[[], T]) -> T:
        """``work`` in a thread; it raises only errors of the seam, with the path and the verb."""

        def translating() -> T:
            try:
                return work()
            except Refused as refusal:
                raise placed(refusal.translated(), path, operation) from refusal
            except (Lost, Unsent) as failure:
                raise placed(unavailable(failure), path, operation) from failure
            except VaultaireError as error:
                placed(error, path, operation)
                raise

        return await trio.to_thread.run_sync(translating, limiter=self._limiter)

    async def each(self, path: EntryPath, operation: str, items: Sequence[Item], work: Callable[[Item], T]) -> list[T]:
        """``work`` of every item, at the same time as far as the limit allows; results in the items' order."""
        results: dict[int, T] = {}

        async def one(number: int, item: Item) -> None:
            results[number] = await self.run(path, operation, lambda: work(item))

        failure: VaultaireError | None = None
        try:
            async with trio.open_nursery() as nursery:
                for number, item in enumerate(items):
                    nursery.start_soon(one, number, item)
        except* VaultaireError as group:
            failure = _first(group)
        if failure is not None:
            raise failure
        return [results[number] for number in range(len(items))]


def placed(error: VaultaireError, path: EntryPath, operation: str) -> VaultaireError:
    """The error, saying where it happened unless it does so already."""
    if error.container is None:
        error.container, error.artifact = path.container, path.name
    error.operation = operation
    return error


def _first(group: BaseExceptionGroup[VaultaireError]) -> VaultaireError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
