"""Bring the bytes of files from the engine into their bodies.

Promise: a body gets bytes of its one base version or none; local bytes are never covered (a writer waits for
``settled``, and only gaps are fetched); callers that need the same bytes share one fetch.  What reads foretell is
fetched ahead of them, as far as there is room.

Does not: know names as programs see them, or keep its own cache: the body is the cache.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import trio

from vaultairefs.buffer import Body, Phase
from vaultairefs.engine.interface import Engine
from vaultairefs.fetch.ahead import Ahead
from vaultairefs.fetch.under_way import UnderWay
from vaultairefs.fetch.windows import RANGE_BYTES_MAX, SMALL_BYTES, Reading
from vaultairefs.ledger import Ledger
from vaultairefs.ledger.whereabouts import chain_of, entry_path
from vaultairefs.model.changes import BodyEvicted, ExtentsFetched
from vaultairefs.model.errors import Conflict, Lost, NotFound, Stale, Unavailable, VaultaireError
from vaultairefs.model.values import EntryKey, EntryPath, Extent, Ino, Version

_MOVING_SECONDS: Final = 0.02
"""Between two looks at a file that a flusher's step has in its hands."""

_ATTEMPTS_MAX: Final = 1000
"""Twenty seconds of such looks: the engine answers reads, so it will soon have answered the flusher, too."""

_PARALLEL_RANGES: Final = 8
"""Ranges of one file under way when all of it is wanted."""

_REMEMBERED_READS_MAX: Final = 4096
"""Files whose reading is followed for read-ahead."""


class Fetcher:
    """``bytes_downloaded`` and ``fetches`` count what came from the engine in this life."""

    def __init__(self, ledger: Ledger, engine: Engine) -> None:
        self._ledger = ledger
        self._engine = engine
        self._under_way = UnderWay()
        self._ahead = Ahead(self._under_way, self._fetch_ahead, self._forget_reading)
        self._reading: dict[Ino, Reading] = {}
        self.bytes_downloaded = 0
        self.fetches = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled: fetch ahead what ``follow`` is told of; without this nothing comes before it is needed."""
        await self._ahead.run(task_status)

    def follow(self, ino: Ino, offset: int, length: int) -> None:
        """Somebody reads these bytes of a file that is not all here: begin to fetch what he will need next.

        ``Stale`` as ``ensure``.
        """
        body = self._ledger.begin_body(ino)
        if body.complete:
            return
        reading = self._reading_of(ino)
        for extent in reading.follow(offset, length, body.base_size):
            if not self._begin_ahead(ino, body, extent):
                reading.take_back(extent)
                return

    def range_is_busy(self, ino: Ino, offset: int, length: int) -> bool:
        """Whether bytes of the range are on their way from the engine."""
        return self._under_way.overlapping(ino, offset, offset + length) is not None

    async def settled(self, ino: Ino, offset: int, length: int) -> None:
        """Wait until nothing in the range is on its way; writers do so, then write without waiting again."""
        while (window := self._under_way.overlapping(ino, offset, offset + length)) is not None:
            await window.finished.wait()

    async def ensure(self, ino: Ino, offset: int, length: int) -> None:
        """Make the range (cut at the size) local; read it before waiting again.

        ``Stale``: the version that the body begins from is gone.  ``Unavailable`` and other engine errors,
        ``OutOfSpace``.
        """
        may_leave = True
        while (gap := self._next_gap(ino, offset, length)) is not None:
            running = self._under_way.overlapping(ino, gap.offset, gap.offset + 1)
            if running is not None:
                await running.finished.wait()
                continue
            body = self._ledger.begin_body(ino)
            if gap.length > RANGE_BYTES_MAX:
                await self._fetch_all(ino, [gap])
                continue
            end = self._reading_of(ino).end_of(gap.offset, gap.end, body.base_size)
            await self._fetch(ino, self._free_part(ino, body, gap.offset, end), may_leave=may_leave)
            may_leave = False  # else one part of the range would make room for the other, for ever

    async def complete(self, ino: Ino) -> None:
        """Make every byte local.  Errors as ``ensure``."""
        body = self._ledger.begin_body(ino)
        while not body.complete:
            gaps = body.present.gaps(0, body.base_size)
            if not gaps:
                return
            await self._fetch_all(ino, gaps)
            body = self._ledger.begin_body(ino)

    # Which bytes

    def _next_gap(self, ino: Ino, offset: int, length: int) -> Extent | None:
        body = self._ledger.begin_body(ino)
        if body.has(offset, length):
            return None
        start, end = offset, min(offset + length, body.base_size)
        if body.base_size <= SMALL_BYTES:
            start, end = 0, body.base_size
        gaps = body.present.gaps(start, end)
        return gaps[0] if gaps else None

    def _free_part(self, ino: Ino, body: Body, start: int, end: int) -> Extent:
        """The missing bytes from ``start`` on, up to ``end`` or the next that are local or on their way."""
        end = body.present.gaps(start, end)[0].end
        for window in self._under_way.of(ino):
            if start < window.start < end:
                end = window.start
        return Extent(start, end - start)

    def _cut(self, gaps: Iterable[Extent]) -> Iterator[Extent]:
        for gap in gaps:
            for start in range(gap.offset, gap.end, RANGE_BYTES_MAX):
                yield Extent(start, min(RANGE_BYTES_MAX, gap.end - start))

    def _reading_of(self, ino: Ino) -> Reading:
        found = self._reading.get(ino)
        if found is None:
            if len(self._reading) >= _REMEMBERED_READS_MAX:
                self._reading.pop(next(iter(self._reading)))
            found = self._reading[ino] = Reading()
        return found

    def _forget_reading(self, ino: Ino) -> None:
        """What was foretold did not come: foretell carefully again."""
        self._reading.pop(ino, None)

    # Fetching

    def _begin_ahead(self, ino: Ino, body: Body, extent: Extent) -> bool:
        """Fetch what is missing of it and not under way; False when that has to wait, or there is no room."""
        for gap in body.present.gaps(extent.offset, min(extent.end, body.base_size)):
            if self._under_way.overlapping(ino, gap.offset, gap.end) is not None:
                continue
            has_room = self._ledger.buffer.has_room(gap.length + self._ahead.bytes_under_way)
            if not has_room or not self._ahead.may_begin(gap.length):
                return False
            self._ahead.begin(ino, gap)
        return True

    async def _fetch_ahead(self, ino: Ino, extent: Extent) -> None:
        """What is announced already, and has room."""
        body = self._ledger.buffer.find(ino)
        if body is not None and not body.complete:
            for gap in body.present.gaps(extent.offset, min(extent.end, body.base_size)):
                await self._fetch_gap(ino, body.body_id, gap)

    async def _fetch_all(self, ino: Ino, gaps: Iterable[Extent]) -> None:
        """In ranges, several at a time; raises the first failure when those under way with it have ended."""
        ranges, failures = self._cut(gaps), list[VaultaireError]()

        async def work() -> None:
            for extent in ranges:
                await self._fetch_unless_busy(ino, extent, failures)
                if failures:
                    return

        async with trio.open_nursery() as nursery:
            for _ in range(_PARALLEL_RANGES):
                nursery.start_soon(work)
        if failures:
            raise failures[0]

    async def _fetch_unless_busy(self, ino: Ino, extent: Extent, failures: list[VaultaireError]) -> None:
        running = self._under_way.overlapping(ino, extent.offset, extent.end)
        if running is not None:
            await running.finished.wait()
            return
        try:
            await self._fetch(ino, extent, may_leave=False)
        except VaultaireError as error:
            failures.append(error)

    async def _fetch(self, ino: Ino, wanted: Extent, *, may_leave: bool) -> None:
        """Fetch one extent, following the file when the flusher moves it or gives its version another name."""
        with self._under_way.announced(ino, wanted):
            await self._make_room(ino, wanted.length, may_leave=may_leave)
            body = self._ledger.begin_body(ino)
            body_id = body.body_id
            # A writer may have come since the caller looked: what is local now is newer.
            gaps = body.present.gaps(wanted.offset, min(wanted.end, body.base_size)) if not body.complete else []
            if gaps:
                await self._fetch_gap(ino, body_id, gaps[0])

    async def _fetch_gap(self, ino: Ino, body_id: int, extent: Extent) -> None:
        for _ in range(_ATTEMPTS_MAX):
            body = self._ledger.buffer.find(ino)
            if body is None or body.body_id != body_id or body.complete:
                return  # replaced meanwhile: whoever asked looks again
            key, path, version = self._source(ino, body)
            try:
                with self._ledger.buffer.pinned(ino) as descriptor:
                    count = await self._engine.read(
                        path, version, extent.offset, extent.length, descriptor, extent.offset
                    )
            except (Conflict, NotFound) as error:
                if self._is_at_work(ino, key):
                    await trio.sleep(_MOVING_SECONDS)
                elif self._is_where_it_was(ino, body_id, key, path, version):
                    kind = Lost if body.unflushed else Stale
                    raise kind("the file was changed or removed in the engine", operation="fetch") from error
                continue
            self._keep(ino, body_id, extent, count)
            return
        raise Unavailable("a change of this file's name or attributes is not settled yet", operation="fetch")

    def _source(self, ino: Ino, body: Body) -> tuple[EntryKey, EntryPath, Version]:
        backlog = self._ledger.backlog
        for key in backlog.refs_of(ino):
            ref = backlog.stored(key)
            if ref is not None and ref.version == body.base_version:
                path = entry_path(backlog, key, self._engine.staging_path)
                if path is not None:
                    return key, path, ref.version
        if body.unflushed:
            raise Lost("the bytes of this file that were not changed here are gone from the engine", operation="fetch")
        raise Stale("the engine no longer holds the version that this file's bytes begin from", operation="fetch")

    def _is_where_it_was(self, ino: Ino, body_id: int, key: EntryKey, path: EntryPath, version: Version) -> bool:
        body = self._ledger.buffer.find(ino)
        if body is None or body.body_id != body_id:
            return False
        return self._source(ino, body) == (key, path, version)

    def _is_at_work(self, ino: Ino, key: EntryKey) -> bool:
        """Whether the flusher works, or may have worked, at the file or a container above it, so that its name or
        version may be another one than is recorded."""
        backlog = self._ledger.backlog
        doubts = backlog.doubts
        if not doubts.begun:
            return False
        if doubts.about_inode(ino) is not None or any(
            backlog.is_busy(name) or doubts.about(name) is not None for name in (key, *backlog.refs_of(ino))
        ):
            return True
        return any(map(doubts.is_leaving, chain_of(backlog, key.container) or ()))

    def _keep(self, ino: Ino, body_id: int, extent: Extent, count: int) -> None:
        """Record what came, if the body is still the one it was fetched for."""
        self.fetches += 1
        self.bytes_downloaded += count
        body = self._ledger.buffer.find(ino)
        if body is None or body.body_id != body_id or body.complete:
            return
        self._ledger.buffer.measure(body)
        if count < min(extent.end, body.base_size) - extent.offset:
            raise Stale("the file is shorter in the engine than its version says", operation="fetch")
        self._ledger.buffer.set_times(ino, self._ledger.namespace.get(ino).mtime_ns)
        # A truncation may have cut what was asked for: only what is still behind the base counts.
        length = min(extent.end, body.base_size) - extent.offset
        if length > 0:
            self._ledger.commit(ExtentsFetched(ino, ((extent.offset, length),), body.base_version, body.base_size))

    async def _make_room(self, ino: Ino, length: int, *, may_leave: bool) -> None:
        """Evict what is clean until the bytes fit; with ``may_leave`` the file itself too, when it alone is too large.

        When nothing is left to evict the fetch goes on: what is dirty needs its missing bytes before it can leave, and
        the engine's write says when the disk is really full.
        """
        buffer, commit = self._ledger.buffer, self._ledger.commit
        if buffer.has_room(length):
            return
        for clean in buffer.evictable(max(length, buffer.eviction_bytes)):
            if clean != ino and clean not in self._under_way:
                commit(BodyEvicted(clean))
        # What left takes its room until its record is durable.
        await self._ledger.sync()
        if may_leave and not buffer.has_room(length):
            for window in self._under_way.of(ino):
                if window.is_ahead:
                    await window.finished.wait()
            body = buffer.find(ino)
            is_large = body is not None and body.phase is Phase.CLOSED and not body.unflushed
            if is_large and len(self._under_way.of(ino)) == 1 and ino in buffer.evictable(buffer.used_bytes + length):
                commit(BodyEvicted(ino))
                await self._ledger.sync()
