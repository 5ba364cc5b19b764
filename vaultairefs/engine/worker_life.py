"""Keeps a worker process running: begins it, opens the engine in it, begins another when it ends.

    STARTING -> RUNNING -> RESTING -> STARTING ... -> CLOSED

Promise: what the engine told of itself, what its probe found and the counts of its requests outlive each worker.  The
next one begins when no thread of the last one is left.  A worker that lived for a while is replaced at once; for those
that die young, or cannot open the engine, the intervals grow.
"""

import enum
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
import trio

from vaultairefs.disk import engine_lock
from vaultairefs.engine.worker_calls import Calls
from vaultairefs.engine.worker_process import WorkerProcess
from vaultairefs.engine.worker_verbs import VERBS
from vaultairefs.engine.worker_wire import Gone, Open, Wire
from vaultairefs.model.errors import BadInput, Unavailable, VaultaireError

_log = structlog.get_logger("vaultairefs.worker")

_START_SECONDS_MAX: Final = 60.0
_WAIT_SECONDS_MAX: Final = 10.0
"""How long a call waits for a worker."""
_CLOSE_SECONDS_MAX: Final = 10.0
_GRACE_SECONDS: Final = 2.0
"""A worker ends by itself when its socket is closed, unless it hangs."""
_REST_SECONDS_MIN: Final = 0.1
_REST_SECONDS_MAX: Final = 30.0
_HEALTHY_SECONDS: Final = 30.0
"""One that lived as long did not die of how its store or machine is."""


class State(enum.Enum):
    """See the module's text."""

    STARTING = enum.auto()
    RUNNING = enum.auto()
    RESTING = enum.auto()
    CLOSED = enum.auto()


class Opening(NamedTuple):
    """What a worker opens: ``factory`` (``module:function``) is called with ``arguments``."""

    factory: str
    arguments: Mapping[str, Any]


class WorkerStatus(NamedTuple):
    """``pid`` is 0 while there is no worker; ``restarts`` counts those that took another's place."""

    pid: int
    restarts: int


class WorkerLives:
    """One worker after the other.

    Invariant: ``_calls`` are of a live worker exactly in RUNNING; ``facts`` is empty until the first one ran.
    """

    def __init__(self, opening: Opening, command: Sequence[str]) -> None:
        self.requests: Counter[str] = Counter()
        self.facts: Mapping[str, Any] = {}
        """The engine's properties."""
        self.parking = b""
        """The container of ``staging_path``."""
        self.is_probed = False
        """Whether a worker has to know what the store can do before it is of use."""
        self._opening = opening
        self._command = command
        self._state = State.STARTING
        self._changed = trio.Event()
        self._calls: Calls
        self._knowledge: bytes | None = None
        self._lock: int | None = None
        self._pid = 0
        self._begun = 0
        self._reason = ""
        """Why there is no worker."""
        self._life = trio.CancelScope()

    @property
    def status(self) -> WorkerStatus:
        return WorkerStatus(self._pid if self._state is State.RUNNING else 0, max(self._begun - 1, 0))

    async def running(self) -> Calls:
        """The way to the worker, as soon as there is one; ``Unavailable`` when there is none for a while."""
        if self._state is not State.RUNNING:
            await self._wait_for_worker()
        return self._calls

    async def _wait_for_worker(self) -> None:
        with trio.move_on_after(_WAIT_SECONDS_MAX):
            while self._state is not State.CLOSED:
                await self._changed.wait()
                if self._state is State.RUNNING:
                    return
            raise Unavailable("the engine is closed")
        raise Unavailable(f"the engine's worker does not run: {self._reason or 'it is being started'}")

    def hold(self, lock: int) -> None:
        """Have this and every later worker hold a copy of the descriptor; to be called once."""
        self._lock = os.dup(lock)
        if self._state is State.RUNNING:
            self._sign_lock()
            self._calls.keep(self._lock)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Until ``close``; raises only what keeps the first worker from opening the engine."""
        try:
            with self._life:
                await self._live_on(task_status)
        finally:
            if self._lock is not None:
                os.close(self._lock)

    async def _live_on(self, task_status: trio.TaskStatus[None]) -> None:
        failure = await self._live(task_status.started)
        if not self.facts:
            raise failure or Unavailable(self._reason)
        early_deaths = 0
        while True:
            _log.warning("engine_worker_ended", reason=self._reason)
            await trio.sleep(_rest_seconds(early_deaths))
            began = trio.current_time()
            failure = await self._live(_nothing)
            is_healthy = failure is None and trio.current_time() - began >= _HEALTHY_SECONDS
            early_deaths = 0 if is_healthy else early_deaths + 1

    async def close(self) -> None:
        """End the worker in good order; no call may be under way."""
        if self._state is State.RUNNING:
            verb = VERBS["close"]
            try:
                with trio.move_on_after(_CLOSE_SECONDS_MAX):
                    await self._calls.call(verb, verb.pack((), {}), may_leave=True)
            except (Gone, VaultaireError) as error:
                _log.warning("engine_not_closed", reason=str(error))
        self._enter(State.CLOSED)
        self._life.cancel()

    async def _live(self, started: Callable[[], None]) -> VaultaireError | None:
        """One worker, from its start to its end; why it could not begin its work, if it could not."""
        self._enter(State.STARTING)
        self._begun += 1
        try:
            process = WorkerProcess(self._command)
        except OSError as error:
            self._reason = f"no process can be started: {error.strerror}"
            return Unavailable(self._reason)
        wire = Wire(process.socket)
        calls = Calls(wire, self.requests)
        self._pid = process.pid
        is_ready = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(process.listen)
                nursery.start_soon(wire.run)
                nursery.start_soon(calls.run)
                try:
                    failure = await self._open(calls)
                    is_ready = failure is None and not calls.are_over.is_set()
                    if is_ready:
                        self._calls, self.facts = calls, calls.facts
                        self._enter(State.RUNNING)
                        started()
                        await calls.are_over.wait()
                finally:
                    await self._end(process, wire, calls)
        finally:
            process.close()
        self._knowledge = calls.knowledge or self._knowledge
        if failure is None and not is_ready:
            failure = Unavailable(
                "; ".join([f"the engine's worker {process.outcome} at its start", *process.last_words])
            )
        self._reason = str(failure.args[0]) if failure is not None else process.outcome
        return failure

    async def _end(self, process: WorkerProcess, wire: Wire, calls: Calls) -> None:
        """Nobody is told that his call has come to nothing while a thread over there may still work on it."""
        if self._state is not State.CLOSED:
            self._enter(State.RESTING)
        with trio.CancelScope(shield=True):
            wire.close()
            await process.end(_GRACE_SECONDS)
            await calls.are_over.wait()
            calls.end()

    async def _open(self, calls: Calls) -> VaultaireError | None:
        """Have the engine opened, and say what keeps it from that; None, too, when the worker has ended meanwhile."""
        failure: VaultaireError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, calls.are_over, nursery.cancel_scope)
            try:
                with trio.fail_after(_START_SECONDS_MAX):
                    await self._ask_to_open(calls)
            except trio.TooSlowError:
                failure = Unavailable(f"the engine's worker was not ready within {_START_SECONDS_MAX:.0f} s")
            except VaultaireError as error:
                failure = error
            nursery.cancel_scope.cancel()
        return failure

    async def _ask_to_open(self, calls: Calls) -> None:
        """A namespace stays what it was, and a store that was known is known again."""
        self._sign_lock()
        opening = Open(self._opening.factory, dict(self._opening.arguments), self._knowledge)
        self.parking = await calls.open(opening, self._lock)
        if self.facts and calls.facts["identity"] != self.facts["identity"]:
            raise BadInput(f"the engine is {calls.facts['identity']} now, not {self.facts['identity']}")
        if self.is_probed and self._knowledge is None:
            await calls.call(VERBS["probe"], VERBS["probe"].pack((), {}), may_leave=True)

    def _sign_lock(self) -> None:
        """Write into the lock's file who holds it, for those who wait for it."""
        if self._lock is not None:
            engine_lock.sign(self._lock, self._pid)

    def _enter(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = trio.Event()


def _rest_seconds(early_deaths: int) -> float:
    if early_deaths == 0:
        return 0.0
    return min(_REST_SECONDS_MIN * 2.0 ** (min(early_deaths, 16) - 1), _REST_SECONDS_MAX)


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _nothing() -> None:
    return None
