"""The worker's side: takes calls from the socket and has an engine answer them, many at once.

Promise: every call is answered exactly once, after it has ended and every descriptor of it is closed; a cancelled call
is cancelled here.  When the other side is gone this process ends at once, whatever its threads are sending.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

import msgspec
import structlog
import trio

from vaultairefs.engine.interface import Engine
from vaultairefs.engine.worker_errors import form_of
from vaultairefs.engine.worker_verbs import ENCODER, FACTS, VERBS, Parcel
from vaultairefs.engine.worker_wire import Answer, Call, Cancel, Failure, Gone, News, Open, Question, Wire
from vaultairefs.model import context
from vaultairefs.model.errors import VaultaireError

OPENING: Final = 0
"""The ``call_id`` under which ``Open`` is answered; the value is the container of ``staging_path``."""

_PARKED: Final = b"parked"

_log = structlog.get_logger("vaultairefs.worker")
_decoder: Final = msgspec.msgpack.Decoder(Question)


@runtime_checkable
class Counted(Protocol):
    """An engine that counts what it asks its store, by operation."""

    @property
    def requests(self) -> Mapping[str, int]: ...


@runtime_checkable
class Remembering(Protocol):
    """An engine whose probe is worth keeping for the next worker."""

    def knowledge(self) -> bytes:
        """What the probe found."""
        ...

    def rely_on(self, knowledge: bytes) -> None:
        """As if ``probe`` had found that now."""
        ...


async def serve(wire: Wire) -> None:
    """Work until the other side is gone or has called ``close``; then the process ends, this does not return."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.run)
        serving = _Serving(wire, nursery)
        try:
            while True:
                message, descriptors = await wire.receive()
                serving.take(_decoder.decode(message), descriptors)
        except Gone:
            # Threads may be in the middle of a request: only the end of the process stops them.
            os._exit(0)


class _Serving:
    """Invariant: each call in ``_scopes`` has a task in the nursery."""

    def __init__(self, wire: Wire, nursery: trio.Nursery) -> None:
        self._wire = wire
        self._nursery = nursery
        self._scopes: dict[int, trio.CancelScope] = {}
        self._kept: list[int] = []
        self._engine: Any = None
        self._told: dict[str, bytes] = {}
        self._counted: dict[str, int] = {}
        self._knowledge: bytes | None = None

    def take(self, question: Question, descriptors: list[int]) -> None:
        """Begin what is asked."""
        if isinstance(question, Call):
            scope = self._scopes[question.call_id] = trio.CancelScope()
            if question.seconds is not None:
                scope.deadline = trio.current_time() + question.seconds
            self._nursery.start_soon(self._answer, question, descriptors, scope)
        elif isinstance(question, Cancel):
            if question.call_id in self._scopes:
                self._scopes[question.call_id].cancel()
        else:
            self._kept += descriptors
            if isinstance(question, Open):
                self._open(question)

    def _open(self, question: Open) -> None:
        module, _, name = question.factory.partition(":")
        try:
            factory: Callable[..., Engine] = getattr(importlib.import_module(module), name)
            self._engine = engine = factory(**question.arguments)
            path = engine.staging_path(_PARKED)
            if question.knowledge is not None and isinstance(engine, Remembering):
                engine.rely_on(question.knowledge)
            assert path.name == _PARKED, "an engine in a worker parks every entry in one container"
            os.chdir("/")  # else the directory that the mount was called in could not be unmounted
            reply: Answer | Failure = Answer(OPENING, _raw(path.container), self._news())
        except Exception as error:
            reply = Failure(OPENING, self._form(error, "open"))
        self._wire.send(reply)

    async def _answer(self, call: Call, descriptors: list[int], scope: trio.CancelScope) -> None:
        reply: Answer | Failure = Failure(call.call_id, None)
        try:
            with scope:
                reply = Answer(call.call_id, _raw(await self._call(call, descriptors)))
        except Exception as error:
            reply = Failure(call.call_id, self._form(error, call.verb))
        finally:
            del self._scopes[call.call_id]
            for descriptor in descriptors:
                os.close(descriptor)
        if call.verb == "probe" and isinstance(reply, Answer) and isinstance(self._engine, Remembering):
            self._knowledge = self._engine.knowledge()
        self._wire.send(msgspec.structs.replace(reply, news=self._news()))

    async def _call(self, call: Call, descriptors: list[int]) -> Any:
        if call.context is not None:
            context.enter(call.context)
            structlog.contextvars.bind_contextvars(
                operation_id=call.context.operation_id, tenant=call.context.tenant, caller=call.context.operation
            )
        parcel = Parcel(call.arguments, tuple(descriptors), call.apart)
        arguments, named = VERBS[call.verb].unpack(parcel)
        return await getattr(self._engine, call.verb)(*arguments, **named)

    def _news(self) -> News | None:
        """What changed since the last answer, if anything did."""
        facts = {}
        for name in FACTS:
            value = ENCODER.encode(getattr(self._engine, name))
            if self._told.get(name) != value:
                self._told[name] = facts[name] = value
        requests = {}
        if isinstance(self._engine, Counted):
            for name, count in list(self._engine.requests.items()):
                if count != self._counted.get(name, 0):
                    requests[name] = count - self._counted.get(name, 0)
                    self._counted[name] = count
        knowledge, self._knowledge = self._knowledge, None
        if facts or requests or knowledge is not None:
            return News(requests, facts, knowledge)
        return None

    def _form(self, error: Exception, verb: str) -> Any:
        if not isinstance(error, VaultaireError):
            _log.error("engine_failed_unexpectedly", verb=verb, exc_info=error)
        return form_of(error, verb)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(ENCODER.encode(value))
