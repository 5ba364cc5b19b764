"""Builds the rooms of one mount in the only order there is, from the ground up, and closes them from the top down.

Promise: whatever fails on the way is undone; the state directory is marked clean exactly when the ledger could write
everything down, whatever else went wrong.  Nothing is asked of the engine in the name of a state directory before the
last process that could do so is gone.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple, cast

import structlog
import trio

from vaultairefs.app import logs
from vaultairefs.app.adjusted import Adjusted
from vaultairefs.app.counting import Counting
from vaultairefs.app.service import OwedSummary
from vaultairefs.app.worker import COMMAND as WORKER_COMMAND
from vaultairefs.config.settings import MountSettings
from vaultairefs.disk import engine_lock
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.engine.interface import Engine
from vaultairefs.engine.registry import open_engine
from vaultairefs.engine.worker import WorkerEngine, working
from vaultairefs.engine.worker_life import Opening
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.fuse import errno_map
from vaultairefs.fuse.mounting import MountOptions
from vaultairefs.ledger import Ledger
from vaultairefs.model.errors import BadInput, TimedOut, Unavailable, VaultaireError
from vaultairefs.model.values import Ino
from vaultairefs.volume import SyncLevel, Volume
from vaultairefs.volume.forgetting import ENTRY_BYTES

_log = structlog.get_logger("vaultairefs.build")

_PROBE_SECONDS_MAX: Final = 60.0

_NAMES_SHARE: Final = 2
"""Of the memory budget, one part in this many is for names and attributes."""

_IN_DAEMON: Final = frozenset({"file", "memory"})
"""The schemes of engines that work in the daemon itself; all others, those of other packages too, have a worker.
A local directory is served from this process faster than through another one."""

_IN_MEMORY: Final = frozenset({"memory"})
"""The schemes of engines that hold the only copy, which would be gone with their worker."""

_OLD_WORKER_SECONDS_MAX: Final = 60.0
_OLD_WORKER_LOOK_SECONDS: Final = 0.02


class Rooms(NamedTuple):
    """The rooms of one mount, and the sums over several of them."""

    state: StateDirectory
    engine: Engine
    worker: WorkerEngine | None
    requests: Mapping[str, int]
    store_requests: Mapping[str, int]
    ledger: Ledger
    discovery: Discovery
    fetcher: Fetcher
    flusher: Flusher
    volume: Volume

    def owed(self) -> OwedSummary:
        """What the engine does not have; costs time in proportion to it."""
        backlog = self.ledger.backlog
        changed = {ino for ino in backlog.owed_names.values() if ino is not None}
        changed.update(backlog.owed_inos)
        removed = sum(1 for ino in backlog.owed_names.values() if ino is None)
        return OwedSummary(len(changed) + removed, self.ledger.buffer.dirty_bytes)

    def oldest_owed_since(self) -> float | None:
        """When the oldest debt began, in seconds of trio's clock; None without any."""
        return self.ledger.backlog.oldest_since

    def owes_below(self, container: Ino) -> bool:
        """Whether the engine lacks anything at or below the container."""
        namespace, backlog = self.ledger.namespace, self.ledger.backlog
        inos = list(backlog.owed_inos)
        inos += [key.container for key in backlog.owed_names]
        return any(
            ino == container or (namespace.find(ino) is not None and namespace.is_ancestor(container, ino))
            for ino in inos
        )


@contextlib.asynccontextmanager
async def open_rooms(settings: MountSettings) -> AsyncIterator[Rooms]:
    """Everything but the mount itself; ``BadInput`` in one sentence when it cannot be had."""
    async with _opened_engine(settings) as (innermost, worker):
        counting = Counting(innermost)
        engine = await _made_usable(settings, cast(Engine, counting))
        clean = False
        state = await trio.to_thread.run_sync(StateDirectory.open, settings.state_directory, engine.identity)
        try:
            logs.add_file(state.path, settings.log_format)
            async with _alone_with_engine(state, worker):
                ledger = await Ledger.open(
                    state,
                    tenant=settings.tenant or "",
                    root_owner=(os.geteuid(), os.getegid()),
                    buffer_size=settings.buffer_size,
                )
                try:
                    yield _furnish(settings, state, engine, worker, counting, ledger)
                finally:
                    with trio.CancelScope(shield=True):
                        await ledger.close()
                        # What programs still write is as after a crash, whatever they are told to do.
                        clean = not ledger.buffer.passed.open_for_writing
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(lambda: state.close(clean=clean))


@contextlib.asynccontextmanager
async def _opened_engine(settings: MountSettings) -> AsyncIterator[tuple[Engine, WorkerEngine | None]]:
    """The engine of the SPEC, in the process that suits it; at the end it is closed and its worker gone."""
    given: dict[str, Any] = {
        "spec": settings.spec,
        "tenant": settings.tenant,
        "read_only": settings.read_only,
        "options": settings.engine_options,
    }
    if _wants_worker(settings):
        opening = Opening("vaultairefs.engine.registry:open_engine", given)
        try:
            async with working(opening, WORKER_COMMAND) as worker:
                yield cast(Engine, worker), worker
        except Unavailable as error:
            raise BadInput(f"{settings.spec} cannot be used: {error.args[0]}") from error
        return
    engine = open_engine(**given)
    try:
        yield engine, None
    finally:
        with trio.CancelScope(shield=True):
            await engine.close()


def _wants_worker(settings: MountSettings) -> bool:
    scheme = settings.spec.partition(":")[0].lower()
    if settings.worker == "on" and scheme in _IN_MEMORY:
        raise BadInput(f"option worker=on: {settings.spec} would lose everything with its worker")
    return settings.worker == "on" or (settings.worker == "auto" and scheme not in _IN_DAEMON)


@contextlib.asynccontextmanager
async def _alone_with_engine(state: StateDirectory, worker: WorkerEngine | None) -> AsyncIterator[None]:
    """Wait until no worker of an earlier daemon is left: what it was sending must not arrive after what we send."""
    lock = await _take_engine_lock(state)
    try:
        if worker is not None:
            worker.hold(lock)
        yield
    finally:
        os.close(lock)


async def _take_engine_lock(state: StateDirectory) -> int:
    lock = engine_lock.take(state.path)
    if lock is not None:
        return lock
    pid = engine_lock.holder(state.path)
    _log.warning("waiting_for_the_engine_worker_of_a_dead_daemon", pid=pid)
    deadline = trio.current_time() + _OLD_WORKER_SECONDS_MAX
    while trio.current_time() < deadline:
        await trio.sleep(_OLD_WORKER_LOOK_SECONDS)
        lock = engine_lock.take(state.path)
        if lock is not None:
            return lock
    raise BadInput(f"the engine worker (pid {pid}) of a daemon that is gone does not end")


async def _made_usable(settings: MountSettings, engine: Engine) -> Engine:
    """The engine, found to answer, in the wrapper that the options ask for."""
    try:
        with trio.fail_after(_PROBE_SECONDS_MAX):
            await engine.probe()
    except trio.TooSlowError as error:
        raise TimedOut(f"{settings.spec} did not answer within {_PROBE_SECONDS_MAX:.0f} s") from error
    except VaultaireError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{settings.spec} cannot be used: {error.args[0]}") from error
    adjustments = {
        "uid": settings.uid,
        "gid": settings.gid,
        "umask": settings.umask,
        "chunk_bytes": settings.chunk_size,
    }
    if all(value is None for value in adjustments.values()):
        return engine
    return cast(Engine, Adjusted(engine, **adjustments))


def _furnish(
    settings: MountSettings,
    state: StateDirectory,
    engine: Engine,
    worker: WorkerEngine | None,
    counting: Counting,
    ledger: Ledger,
) -> Rooms:
    discovery = Discovery(ledger, engine, ttl_seconds=settings.ttl)
    fetcher = Fetcher(ledger, engine)
    flusher = Flusher(
        ledger,
        engine,
        fetcher,
        flush_delay=settings.flush_delay,
        flush_workers=settings.flush_workers,
        conflict=settings.conflict,
        mount_id=state.mount_id,
        is_listed=discovery.is_fresh,
    )
    volume = Volume(
        ledger,
        engine,
        discovery,
        fetcher,
        flusher,
        tenant=settings.tenant or "",
        mount_id=state.mount_id,
        sync_level=SyncLevel(settings.sync),
        outcome_name=errno_map.errno_name,
        record_io=settings.events == "io",
        why_not_pass="" if settings.passthrough == "auto" else "not wanted",
        read_only=settings.read_only,
        entries_max=settings.memory // _NAMES_SHARE // ENTRY_BYTES,
    )
    return Rooms(
        state,
        engine,
        worker,
        counting.counts,
        counting.store_requests,
        ledger,
        discovery,
        fetcher,
        flusher,
        volume,
    )


def mount_options(settings: MountSettings, source: str) -> MountOptions:
    """The kernel's part of the options; without ``dev`` and ``suid`` device nodes and setuid bits are inert."""
    return MountOptions(
        source=source,
        words=settings.kernel,
        allow_other=settings.allow_other,
        ttl_seconds=settings.ttl,
    )
