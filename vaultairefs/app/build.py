"""Builds the rooms of one mount in the only order there is, from the ground up, and closes them from the top down.

Promise: whatever fails on the way is undone; the state directory is marked clean exactly when the ledger could write
everything down, whatever else went wrong.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Final, NamedTuple, cast

import trio

from vaultairefs.app import logs
from vaultairefs.app.adjusted import Adjusted
from vaultairefs.app.counting import Counting
from vaultairefs.app.service import OwedSummary
from vaultairefs.config.settings import MountSettings
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.engine.interface import Engine
from vaultairefs.engine.registry import open_engine
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.fuse import errno_map
from vaultairefs.fuse.mounting import MountOptions
from vaultairefs.ledger import Ledger
from vaultairefs.model.errors import BadInput, TimedOut, VaultaireError
from vaultairefs.model.values import Ino
from vaultairefs.volume import SyncLevel, Volume

_PROBE_SECONDS_MAX: Final = 60.0


class Rooms(NamedTuple):
    """The rooms of one mount, and the sums over several of them."""

    state: StateDirectory
    engine: Engine
    requests: Mapping[str, int]
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
    opened = open_engine(settings.spec, settings.tenant, read_only=settings.read_only, options=settings.engine_options)
    counting = Counting(opened)
    engine = await _made_usable(settings, cast(Engine, counting))
    clean = False
    try:
        state = await trio.to_thread.run_sync(StateDirectory.open, settings.state_directory, engine.identity)
        try:
            logs.add_file(state.path, settings.log_format)
            ledger = await Ledger.open(
                state,
                tenant=settings.tenant or "",
                root_owner=(os.geteuid(), os.getegid()),
                buffer_size=settings.buffer_size,
            )
            try:
                yield _furnish(settings, state, engine, counting.counts, ledger)
            finally:
                with trio.CancelScope(shield=True):
                    await ledger.close()
                    clean = True
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(lambda: state.close(clean=clean))
    finally:
        with trio.CancelScope(shield=True):
            await engine.close()


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
    settings: MountSettings, state: StateDirectory, engine: Engine, requests: Mapping[str, int], ledger: Ledger
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
        read_only=settings.read_only,
    )
    return Rooms(state, engine, requests, ledger, discovery, fetcher, flusher, volume)


def mount_options(settings: MountSettings, source: str) -> MountOptions:
    """The kernel's part of the options; without ``dev`` and ``suid`` device nodes and setuid bits are inert."""
    return MountOptions(
        source=source,
        words=settings.kernel,
        allow_other=settings.allow_other,
        ttl_seconds=settings.ttl,
    )
