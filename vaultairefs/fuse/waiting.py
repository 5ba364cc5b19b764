"""Waiting for the next request of the kernel without a scheduler pass for each.

pyfuse3 takes a trio lock and an epoll round for every request, which is four fifths of a small request's cost.  Here
a waiting request is found by poll(2) alone; trio is entered only when nothing waits, or after ``budget`` requests
so that other tasks get their turn.  While requests keep coming, a short spin saves the sleep and wake-up.

Promise: a request is never left waiting while a task could take it, a dead connection (unmount, abort) ends every
waiting task, and where pyfuse3 has no such function to replace its own one stays in use.

Does not: read requests; pyfuse3 does.
"""

import contextlib
import select
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pyfuse3
import structlog
import trio

from vaultairefs.fuse.greeting import Greeting

_REPLACED: Final = "_wait_fuse_readable"
"""pyfuse3's own wait: a private name, so its absence is expected and harmless."""

BUDGET: Final = 64
"""Requests between two scheduler passes: at 20-100 µs each, other tasks wait a few ms at worst."""

TURN_NS: Final = 5_000_000
"""And no longer than this, where requests take longer (listings of huge containers)."""

SPIN_NS: Final = 30_000
"""A client that works synchronously comes back within about 30 µs; longer spins only burn its core."""

_KEEPS_COMING_NS: Final = 100_000
"""A sleep shorter than this would have been saved by spinning."""

_CREDIT_MAX: Final = 8

_DEAD: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL

_log: Final = structlog.get_logger(__name__)


class RequestWait:
    """The wait of all of a session's tasks.

    Invariant: while the session lives and a task is idle, exactly one task sleeps on the descriptor or is about to,
    and the others are parked.  The one that was parked last is the first to go on: each task has a buffer of its own
    in libfuse, and a load that keeps two tasks busy fills the buffers of two.
    """

    def __init__(self, descriptor: int, *, budget: int = BUDGET, spin_ns: int = SPIN_NS) -> None:
        self._descriptor = descriptor
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        self._poll: Callable[[int], list[tuple[int, int]]] = poll.poll
        self._budget_full = budget
        self._budget = budget
        self._turn_ends = time.perf_counter_ns() + TURN_NS
        self._spin_ns = spin_ns
        self._credit = 0
        self._asleep = False
        self._closed = False
        self._parked: list[trio.lowlevel.Task] = []

    async def __call__(self) -> bool:
        """True when a request can be read now, False when the session is over."""
        while not self._closed:
            if self._may_go_on() and (self._is_ready() or (self._credit > 0 and self._spin())):
                self._budget -= 1
                return True
            if not self._closed:
                await self._sleep()
        return False

    def _may_go_on(self) -> bool:
        return self._budget > 0 and time.perf_counter_ns() < self._turn_ends

    def close(self) -> None:
        """End the wait of every task, now and later."""
        self._closed = True
        while self._parked:
            self._unpark()

    def _is_ready(self) -> bool:
        events = self._poll(0)
        if not events:
            return False
        if events[0][1] & _DEAD:
            self.close()
            return False
        return True

    def _spin(self) -> bool:
        """Ask again and again for a moment; success earns the next spin, failure costs."""
        deadline = time.perf_counter_ns() + self._spin_ns
        while not self._closed and time.perf_counter_ns() < deadline:
            if self._is_ready():
                self._credit = min(self._credit + 1, _CREDIT_MAX)
                return True
        self._credit -= 1
        return False

    async def _sleep(self) -> None:
        if self._asleep:
            await self._park()
            return
        self._asleep = True
        begin = time.perf_counter_ns()
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
        except trio.ClosedResourceError:
            self.close()
        finally:
            self._asleep = False
            self._budget, self._turn_ends = self._budget_full, time.perf_counter_ns() + TURN_NS
            # This task may now be kept by its request for long: another one takes over the descriptor.
            self._unpark()
        if time.perf_counter_ns() - begin < _KEEPS_COMING_NS:
            self._credit = min(self._credit + 1, _CREDIT_MAX)

    async def _park(self) -> None:
        task = trio.lowlevel.current_task()
        self._parked.append(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _unpark(self) -> None:
        if self._parked:
            trio.lowlevel.reschedule(self._parked.pop())


@contextlib.contextmanager
def installed(
    descriptor: int, wanted: int = 0, on_greeted: Callable[[int], None] = lambda granted: None
) -> Iterator[RequestWait | None]:
    """Let pyfuse3 wait by a ``RequestWait`` on ``descriptor``; yields None where its own wait must stay.

    ``wanted`` are flags to ask the kernel for; ``on_greeted`` is told which of them it grants (see ``greeting.py``),
    and never called where pyfuse3's own wait stays.
    """
    original: Callable[[], Awaitable[bool]] | None = getattr(pyfuse3, _REPLACED, None)
    if not callable(original):
        _log.info("this pyfuse3 waits in its own way: small operations cost more", missing=_REPLACED)
        yield None
        return
    wait = RequestWait(descriptor)
    module: Any = pyfuse3

    def greeted(granted: int) -> None:
        setattr(module, _REPLACED, wait)
        on_greeted(granted)

    greeting = Greeting(descriptor, wanted, wait, greeted)
    setattr(module, _REPLACED, greeting)
    try:
        yield wait
    finally:
        greeting.close()
        setattr(module, _REPLACED, original)
        wait.close()
