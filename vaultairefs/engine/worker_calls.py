"""The daemon's side of the socket: calls that wait for their answers.

Promise: a call returns only when the worker has ended it, or is itself at an end: until then threads over there may
read and write the descriptors that came with it.  Cancelling a call cancels it in the worker and waits for that; one
that was done all the same returns what it did.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import outcome
import trio

from vaultairefs.engine.worker_errors import error_of
from vaultairefs.engine.worker_serving import OPENING
from vaultairefs.engine.worker_verbs import FACTS, Parcel, Verb
from vaultairefs.engine.worker_wire import Answer, Call, Cancel, Gone, Keep, News, Open, Reply, Wire
from vaultairefs.model import context
from vaultairefs.model.errors import Unavailable

_decoder: Final = msgspec.msgpack.Decoder(Reply)


class _Waiting(NamedTuple):
    task: trio.lowlevel.Task
    cancelled_by: list[Callable[[], Any]]
    """What raises ``Cancelled``, once that was asked for."""


class Calls:
    """The calls to one worker process.  ``requests`` is added to; it outlives this."""

    def __init__(self, wire: Wire, requests: Counter[str]) -> None:
        self.facts: dict[str, Any] = {}
        """The engine's properties as the worker told them last."""
        self.knowledge: bytes | None = None
        self._wire = wire
        self._requests = requests
        self._ids = itertools.count(OPENING + 1)
        self._waiting: dict[int, _Waiting] = {}
        self.are_over = trio.Event()
        """No answer comes any more.  Who waits goes on waiting until ``end``: the process may not have ended yet."""
        self._has_ended = False

    async def run(self) -> None:
        """Hand answers to those who wait, until the worker is gone or the wire is closed; cannot be cancelled."""
        with trio.CancelScope(shield=True):
            while True:
                try:
                    message, _ = await self._wire.receive()
                except Gone:
                    self.are_over.set()
                    return
                self._take(_decoder.decode(message))

    def end(self) -> None:
        """The process has ended: whoever waits is told so (``Gone``)."""
        self._has_ended = True
        for waiting in self._waiting.values():
            trio.lowlevel.reschedule(waiting.task, outcome.Error(Gone("the engine's worker has ended")))
        self._waiting.clear()

    async def open(self, question: Open, lock: int | None) -> bytes:
        """The container in which the engine parks entries; raises what the opening raised, or ``Gone``."""
        answer = await self._ask(question, OPENING, [] if lock is None else [lock], may_leave=True)
        container: bytes = msgspec.msgpack.decode(answer)
        return container

    def keep(self, lock: int) -> None:
        self._wire.send(Keep(), [lock])

    async def call(self, verb: Verb, parcel: Parcel, *, may_leave: bool) -> Any:
        """What the engine answers; ``Gone`` when the worker ended meanwhile.

        ``may_leave``: when cancelled it need not wait for the call's end.
        """
        who = context.current()
        seconds = trio.current_effective_deadline() - trio.current_time()
        question = Call(
            next(self._ids),
            verb.name,
            parcel.arguments,
            parcel.apart,
            None if who is context.NOBODY else who,
            None if math.isinf(seconds) else max(seconds, 0.0),
        )
        answer = await self._ask(question, question.call_id, parcel.descriptors, may_leave=may_leave)
        return verb.decode_answer(answer)

    async def _ask(
        self, question: Open | Call, call_id: int, descriptors: Sequence[int], *, may_leave: bool
    ) -> msgspec.Raw:
        if self._has_ended:
            raise Gone("the engine's worker has ended")
        await trio.lowlevel.checkpoint_if_cancelled()
        cancelled_by: list[Callable[[], Any]] = []

        def abort(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
            cancelled_by.append(raise_cancel)
            self._wire.send(Cancel(call_id))
            if may_leave:
                del self._waiting[call_id]
                return trio.lowlevel.Abort.SUCCEEDED
            return trio.lowlevel.Abort.FAILED

        self._waiting[call_id] = _Waiting(trio.lowlevel.current_task(), cancelled_by)
        self._wire.send(question, descriptors)
        answer: msgspec.Raw = await trio.lowlevel.wait_task_rescheduled(abort)
        return answer

    def _take(self, reply: Reply) -> None:
        if reply.news is not None:
            self._learn(reply.news)
        waiting = self._waiting.pop(reply.call_id, None)
        if waiting is None:
            return  # nobody wants to know any more
        if isinstance(reply, Answer):
            ending: outcome.Outcome[Any] = outcome.Value(reply.value)
        elif reply.error is not None:
            ending = outcome.Error(error_of(reply.error))
        elif waiting.cancelled_by:
            ending = outcome.capture(waiting.cancelled_by[0])
        else:
            ending = outcome.Error(Unavailable("the call's deadline passed in the engine's worker"))
        trio.lowlevel.reschedule(waiting.task, ending)

    def _learn(self, news: News) -> None:
        self._requests.update(news.requests)
        self.knowledge = news.knowledge or self.knowledge
        for name, value in news.facts.items():
            self.facts[name] = FACTS[name].decode(value)
