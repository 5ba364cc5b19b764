"""The fields of ``vaultairefs status``: read from every room, changed nowhere."""

import os

import msgspec
import trio

from vaultairefs.app.build import Rooms
from vaultairefs.app.supervision import Supervision
from vaultairefs.config.settings import MountSettings
from vaultairefs.control.protocol import Message


def status_of(settings: MountSettings, rooms: Rooms, supervision: Supervision) -> Message:
    """Sizes in bytes, ``_s`` in seconds; docs/command-line.md names the fields that scripts may rely on."""
    rooms.volume.passing.look_at_all()
    owed, capabilities = rooms.owed(), rooms.engine.capabilities
    flushing = rooms.flusher.status()
    oldest = rooms.oldest_owed_since()
    return {
        "mount": str(settings.mountpoint),
        "engine": rooms.engine.identity,
        "tenant": settings.tenant or "",
        "state_dir": str(rooms.state.path),
        "pid": os.getpid(),
        "supervisor": supervision.living_pid(),
        "restarts": supervision.restarts,
        "worker": None if rooms.worker is None else rooms.worker.status._asdict(),
        "sync": settings.sync,
        "passthrough": rooms.volume.passing.state,
        "passed_artifacts": rooms.volume.passing.count,
        "read_only": settings.read_only,
        "conditional": capabilities.conditional,
        "capabilities": {finding.subject: finding.found for finding in capabilities.findings},
        "degraded": capabilities.degraded,
        "dirty_artifacts": owed.artifacts,
        "dirty_bytes": owed.bytes,
        "oldest_dirty_s": 0.0 if oldest is None else round(max(trio.current_time() - oldest, 0.0), 3),
        "inflight_bytes": flushing.inflight_bytes,
        "flushed_artifacts": flushing.flushed_artifacts,
        "flush_errors": list(flushing.flush_errors),
        "conflicts": flushing.conflicts,
        "quarantined": len(rooms.state.quarantined()),
        "requests": dict(rooms.requests),
        "store_requests": dict(rooms.store_requests),
        "bytes_uploaded": flushing.bytes_uploaded,
        "bytes_downloaded": rooms.fetcher.bytes_downloaded,
        "inodes": len(rooms.ledger.namespace),
        "cached_bytes": rooms.ledger.buffer.used_bytes,
        "buffer_size": settings.buffer_size,
        "event_sequence": rooms.ledger.events.next_sequence - 1,
        "recovered": msgspec.to_builtins(rooms.ledger.recovered),
    }
