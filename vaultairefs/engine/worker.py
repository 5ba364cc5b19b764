"""An engine in a process of its own, as the daemon sees it: one more ``Engine``.

Bytes go between the store and the bodies' descriptors over there, so they never pass through the process that serves
FUSE, and no upload competes with it for the interpreter (docs/architecture.md, Processes).

Promise: when a worker dies, calls that only look are asked again of the next one; others end in ``Unavailable``, and
whoever asked settles what became of them.  At most ``CALLS_MAX`` calls are under way, the others wait their turn.
What the engine counts and tells of itself is here without asking.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from vaultairefs.engine.worker_life import Opening, WorkerLives, WorkerStatus
from vaultairefs.engine.worker_verbs import FACTS, VERBS, Parcel, Verb
from vaultairefs.engine.worker_wire import Gone
from vaultairefs.model.errors import Unavailable, VaultaireError
from vaultairefs.model.names import check_name
from vaultairefs.model.values import EntryPath

CALLS_MAX: Final = 256
"""More than all flushers and readers need; it bounds what waits in the socket, and the worker's open files."""
LOOKING: Final = frozenset({"probe", "stat", "list", "read", "list_uploads", "usage"})
"""The verbs that may be asked again whatever became of the first time."""
_ATTEMPTS: Final = 3
_THREAD_BYTES_MIN: Final = 1 << 20
"""Copying more than this into a file would hold up those who wait for FUSE."""


class WorkerEngine:
    """``Engine`` over whatever the worker has opened.  Made by ``working`` only."""

    def __init__(self, lives: WorkerLives) -> None:
        self._lives = lives
        self._slots = trio.Semaphore(CALLS_MAX)

    def __getattr__(self, name: str) -> Any:
        if name in FACTS:
            return self._lives.facts[name]
        if name not in VERBS:
            raise AttributeError(f"an engine has no {name}")
        verb = VERBS[name]

        async def asking(*arguments: Any, **named: Any) -> Any:
            return await self._ask(verb, arguments, named)

        self.__dict__[name] = asking  # found without this detour from now on
        return asking

    @property
    def requests(self) -> Mapping[str, int]:
        """What the engine asked its store, by operation, over all workers; empty when it does not count."""
        return self._lives.requests

    @property
    def status(self) -> WorkerStatus:
        return self._lives.status

    def staging_path(self, name: bytes) -> EntryPath:
        check_name(name)
        return EntryPath(self._lives.parking, name)

    def hold(self, lock: int) -> None:
        """Have this worker, and every later one, hold a copy of a lock's descriptor for as long as it lives; once.

        So whoever gets the lock knows that none of them is left.
        """
        self._lives.hold(lock)

    async def close(self) -> None:
        """The interface's contract; the worker has ended when ``working`` is left."""
        await self._lives.close()

    async def _ask(self, verb: Verb, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        if verb.bytes_apart(arguments, named) >= _THREAD_BYTES_MIN:
            parcel = await trio.to_thread.run_sync(verb.pack, arguments, named)
        else:
            parcel = verb.pack(arguments, named)
        try:
            async with self._slots:
                answer = await self._ask_worker(verb, parcel)
        finally:
            parcel.close()
        if verb.name == "probe":
            self._lives.is_probed = True
        return answer

    async def _ask_worker(self, verb: Verb, parcel: Parcel) -> Any:
        may_leave = verb.name in LOOKING and not parcel.descriptors
        for attempt in range(_ATTEMPTS):
            calls = await self._lives.running()
            try:
                return await calls.call(verb, parcel, may_leave=may_leave)
            except Gone:
                if verb.name not in LOOKING or attempt + 1 == _ATTEMPTS:
                    break
        raise Unavailable("the engine's worker ended before it answered", operation=verb.name)


@asynccontextmanager
async def working(opening: Opening, command: Sequence[str]) -> AsyncIterator[WorkerEngine]:
    """An engine in a worker, which ``command`` begins and which is gone afterwards.

    Raises what opening the engine raised; ``Unavailable`` when no worker can be started.
    """
    lives = WorkerLives(opening, command)
    failure: VaultaireError | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(lives.run)
            yield WorkerEngine(lives)
        except VaultaireError as error:
            failure = error
        finally:
            with trio.CancelScope(shield=True):
                await lives.close()
    if failure is not None:  # raised here, so that it comes out as itself and not in a group
        raise failure
