"""The flusher: passes over what is owed, workers that send, and the calls of other rooms.

Promise: see the package's text.  A failure of one item never stops the others or the loop.
"""

import math
import time
from collections.abc import Callable
from typing import Final

import trio

from vaultairefs.engine.interface import Engine
from vaultairefs.flush.desk import Completer, Desk
from vaultairefs.flush.failures import Item
from vaultairefs.flush.passes import Passes
from vaultairefs.flush.tally import FlushStatus, Progress
from vaultairefs.flush.telling import log
from vaultairefs.flush.urgency import Urgency
from vaultairefs.ledger import Ledger
from vaultairefs.ledger.observing import observe
from vaultairefs.model.errors import Withheld
from vaultairefs.model.values import ROOT, Ino

_REST_SECONDS_MAX: Final = 0.5
_REST_SECONDS_MIN: Final = 0.02
"""Between two passes over everything that is owed; a pass costs microseconds for each."""

_RESTS_PER_PASS: Final = 4
_REST_AFTER_LONG_PASS_SECONDS: Final = 0.25
"""A pass shares the processor with the programs on the mount: it gets a fifth of the time, but one that waited for
the engine most of its time need not rest for as long."""


_HURRY_SECONDS: Final = 5.0
"""A store that is away is not asked more often than that for the sake of writers who wait for room."""

_LONGER_MAX: Final = 5
"""Passes that find nothing to try, because all that is owed waits for its next try or for an answer of the engine,
double their rests this often; whoever comes to wait, and a worker that has emptied the queue, end a rest at once."""


class Flusher:
    """Brings what is owed to the engine.

    ``flush_delay`` (seconds) lets changes coalesce; ``flush_workers`` artifacts are sent at once, with at most
    ``in_flight_bytes`` on their way; ``conflict`` is ``keep-both``, ``overwrite`` or ``fail``.  ``is_listed`` tells
    of a container that was listed whole just now.  ``clock`` must be the ledger's.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        fetcher: Completer,
        *,
        flush_delay: float = 1.0,
        flush_workers: int = 4,
        in_flight_bytes: int = 64 << 20,
        conflict: str = "keep-both",
        mount_id: str = "",
        is_listed: Callable[[Ino], bool] = lambda ino: False,
        clock: Callable[[], float] = trio.current_time,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._ledger = ledger
        self._desk = Desk(
            ledger,
            engine,
            fetcher,
            mount_id=mount_id,
            conflict=conflict,
            in_flight_bytes=in_flight_bytes,
            is_listed=is_listed,
            clock=clock,
            clock_ns=clock_ns,
        )
        self._urgency = Urgency(
            ledger.backlog,
            clock,
            flush_delay,
            self._desk.flushed_at,
            self._desk.awaited,
            lambda ino: observe(ledger, ino),
        )
        self._passes = Passes(self._desk, self._urgency)
        self._flush_workers = flush_workers
        self._rest_seconds = min(max(flush_delay / 4, _REST_SECONDS_MIN), _REST_SECONDS_MAX)
        self._poked = trio.Event()
        self._changed = trio.Event()
        self._is_running = False
        self._hurried_at = -math.inf
        self.gate = self._desk.gate
        """Writers of a file in ``gate.closed`` wait for ``gate.passed`` before they write."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        self._is_running = True
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(self._flush_workers):
                    nursery.start_soon(self._work)
                task_status.started()
                while True:
                    await self._pass()
                    await self._rest()
        finally:
            self._is_running = False

    async def drain(self, deadline: float | None = None) -> None:
        """Wait until nothing is owed, or nothing but what somebody has to decide about (``Withheld``).

        The records of it are on the disk then: without them a power cut would make us send again what is left here.
        Gives up at ``deadline`` (trio's clock), which loses nothing.
        ``DeviceFailed``/``ReadOnly`` where the ledger refuses every change: the next life goes on.
        """
        self._desk.failures.hurry()
        for ino in list(self._ledger.buffer.passed.bodies):
            observe(self._ledger, ino)
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline), self._urgency.everything():
            await self._until(lambda: self._is_idle() or self._is_stuck())
            await self._ledger.sync()

    async def flush(self, ino: Ino) -> None:
        """Wait until the engine has the inode under its names, with at least the bytes and attributes of now.

        The records of it are on the disk then, as after ``drain``.
        ``Withheld`` when somebody has to decide first; ``DeviceFailed``/``ReadOnly`` like ``drain``.
        """
        inode = self._ledger.namespace.find(ino)
        if inode is None:
            return
        observe(self._ledger, ino)
        self._desk.failures.hurry()
        generation, started = inode.content_generation, self._desk.clock()
        failed_before = self._desk.failures.recorded
        try:
            with self._urgency.one(ino):
                await self._until(
                    lambda: self._has(ino, generation, started) or bool(self._why_withheld(ino, failed_before))
                )
            if not self._has(ino, generation, started):
                raise Withheld(self._why_withheld(ino, failed_before), operation="flush")
            await self._ledger.sync()
        finally:
            if ino not in self._desk.awaited:
                self._desk.flushed_generation.pop(ino, None)

    def hurry(self) -> None:
        """Somebody needs room: what failed is tried again soon, at most once every few seconds."""
        now = self._desk.clock()
        if now - self._hurried_at >= _HURRY_SECONDS:
            self._hurried_at = now
            self._desk.failures.hurry()
            self._poked.set()

    async def flush_some(self) -> None:
        """Wait until something more has reached the engine, or there is nothing that could; for those who need room."""
        before = self._desk.tally.flushed_artifacts
        with self._urgency.everything():
            await self._until(
                lambda: self._desk.tally.flushed_artifacts > before or self._is_idle() or self._is_stuck()
            )

    def progress(self) -> Progress:
        """What is left now."""
        return Progress(self._ledger.backlog.dirty_artifacts, self._ledger.buffer.dirty_bytes)

    def status(self) -> FlushStatus:
        """Counters and current failures."""
        tally = self._desk.tally
        return FlushStatus(
            flushed_artifacts=tally.flushed_artifacts,
            flush_errors=self._desk.failures.sentences(),
            conflicts=tally.conflicts,
            inflight_bytes=self._desk.budget.used_bytes,
            bytes_uploaded=tally.bytes_uploaded,
        )

    # Waiting

    async def _until(self, condition: Callable[[], bool]) -> None:
        if not self._is_running:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.run)
                await self._wait(condition)
                nursery.cancel_scope.cancel()
        else:
            await self._wait(condition)
        if self._ledger.refusal is not None and not condition():
            raise self._ledger.refusal

    async def _wait(self, condition: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        self._poked.set()
        while not condition() and self._ledger.refusal is None:
            await self._changed.wait()

    def _is_idle(self) -> bool:
        backlog = self._ledger.backlog
        if self._desk.engine.capabilities.groups and backlog.regroup:
            return False
        return not (backlog.owed_names or backlog.owed_inos or backlog.doubts.begun or self._passes.is_working)

    def _is_stuck(self) -> bool:
        """Whether nothing can go on before somebody decides something."""
        return self._desk.failures.only_lasting and self._passes.saw_everything

    def _why_withheld(self, ino: Ino, since: int) -> str:
        """What has to be decided about an inode or a container above it, if it was tried after that failure."""
        namespace, failures = self._ledger.namespace, self._desk.failures
        while (inode := namespace.find(ino)) is not None:
            items: list[Item] = [ino, *inode.refs]
            for item in items:
                if (reason := failures.why_withheld(item, since)) is not None:
                    return reason
            if ino == ROOT or not inode.refs:
                break
            ino = inode.refs[0].container
        return ""

    def _has(self, ino: Ino, generation: int, started: float) -> bool:
        """Whether the engine has the inode as it was at ``started``, or newer."""
        namespace, backlog = self._ledger.namespace, self._ledger.backlog
        inode = namespace.find(ino)
        if inode is None or not inode.nlink or not inode.refs:
            return True
        for key in inode.refs:
            ref = backlog.stored(key)
            if ref is None or ref.ino != ino or ref.stale:
                return False
            container = key.container
            while container != ROOT:
                above = namespace.get(container).refs[0]
                ref = backlog.stored(above)
                if ref is None or ref.ino != container:
                    return False
                container = above.container
        owed = backlog.owed_inos.get(ino)
        if owed is None:
            return True
        if owed.content:
            return self._desk.flushed_generation.get(ino, -1) >= generation
        return owed.since > started

    # Working

    async def _pass(self) -> None:
        try:
            await self._passes.run()
        except Exception:
            log.exception("flush_pass_failed")
        self._tell()

    async def _work(self) -> None:
        while True:
            try:
                await self._passes.work_once()
            except Exception:
                log.exception("flush_worker_failed")
            self._tell()
            if not self._passes.has_queue:
                self._poked.set()

    async def _rest(self) -> None:
        """Wait for a poke or a while; never shorter than the last pass allows, so that others get their turn."""
        longer = 2.0 ** min(self._passes.fruitless, _LONGER_MAX)
        calmer = 2.0 ** min(max(self._passes.fruitless, self._passes.quiet), _LONGER_MAX)
        least = min(self._passes.last_seconds * _RESTS_PER_PASS, _REST_AFTER_LONG_PASS_SECONDS) * longer
        await trio.sleep(least)
        is_busy = self._passes.has_queue and not self._desk.awaited
        hurried = min(_REST_SECONDS_MIN * calmer, _REST_SECONDS_MAX)
        seconds = hurried if self._urgency.hurries and not is_busy else self._rest_seconds
        with trio.move_on_after(max(seconds - least, 0.0)):
            await self._poked.wait()
        self._poked = trio.Event()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
