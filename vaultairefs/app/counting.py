"""Counts what an engine is asked, for ``status``.

Promise: a wrapper around any engine; one call of a verb is one request, whether it succeeds or not.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from vaultairefs.engine import worker_verbs
from vaultairefs.engine.interface import Engine

VERBS: Final = frozenset(worker_verbs.VERBS) - {"probe", "close"}
"""All that the seam has but what every mount does once."""


class Counting:
    """``engine``, with ``counts``: verb -> how often."""

    def __init__(self, engine: Engine) -> None:
        self.counts: dict[str, int] = {}
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        if name not in VERBS:
            return value
        counted = self._counted(name, value)
        self.__dict__[name] = counted  # found without this detour from now on
        return counted

    @property
    def store_requests(self) -> Mapping[str, int]:
        """What the engine says that it asked its store, by operation; empty when it does not count."""
        requests: Mapping[str, int] = getattr(self._engine, "requests", {})
        return requests

    def _counted(self, verb: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        def asking(*arguments: Any, **options: Any) -> Awaitable[Any]:
            self.counts[verb] = self.counts.get(verb, 0) + 1
            return call(*arguments, **options)

        return asking
