"""Counts what an engine is asked, for ``status``.

Promise: a wrapper around any engine; one call of a verb is one request, whether it succeeds or not.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from vaultairefs.engine.interface import Engine

_VERBS: Final = (
    "stat list read put begin_upload put_chunk copy_chunk commit_upload abort_upload list_uploads set_attributes copy "
    "move link delete create_container delete_container usage upkeep"
)
VERBS: Final = frozenset(_VERBS.split())


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

    def _counted(self, verb: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        def asking(*arguments: Any, **options: Any) -> Awaitable[Any]:
            self.counts[verb] = self.counts.get(verb, 0) + 1
            return call(*arguments, **options)

        return asking
