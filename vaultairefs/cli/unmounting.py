"""``vaultairefs umount``: drain with progress, unmount, wait for the daemon's end."""

import time
from pathlib import Path

from vaultairefs.app import daemon
from vaultairefs.cli import locating
from vaultairefs.cli.progress import DrainProgress
from vaultairefs.control import client
from vaultairefs.control.protocol import Message
from vaultairefs.model.errors import BadInput, TimedOut, Unavailable

_END_SECONDS_MAX = 60.0
"""How long, where somebody cares, a daemon that need not drain may take to sync and close its state directory."""


_REASONS_MAX = 3


def unmount_volume(directory: Path, *, timeout_seconds: float | None, drain: bool) -> None:
    """``BadInput`` when it is busy, no volume, or (unless drain is off) when the time ran out with work left."""
    located = locating.volume_at(directory)
    try:
        process = locating.Process.of(located)
    except Unavailable:
        if not daemon.clear_dead_mount(located.mountpoint):
            raise
        raise BadInput(
            f"the daemon of {directory} was dead; its mount is cleared away, and the next mount goes on with "
            f"what {located.state_directory} holds"
        ) from None
    started = time.monotonic()
    last: Message = {}
    with DrainProgress() as progress:
        try:
            for last in client.converse(
                located.state_directory, "unmount", drain=drain, wanted_seconds=timeout_seconds
            ):
                progress.show(last)
        except Unavailable:
            pass  # it ended between two replies; what it left is in the last one
        if not process.wait(None if timeout_seconds is None else _END_SECONDS_MAX):
            raise TimedOut(f"{directory} is unmounted, but its daemon did not end within {_END_SECONDS_MAX:.0f} s")
    left = int(last.get("dirty_artifacts", 0))
    if left and drain:
        raise BadInput(
            f"{directory} is unmounted after {time.monotonic() - started:.0f} s with {left} changes not in the engine; "
            f"they are kept in {located.state_directory} and the next mount goes on with them{_because(last)}"
        )


def _because(last: Message) -> str:
    reasons = [str(reason) for reason in last.get("reasons", ())]
    return f" ({'; '.join(reasons[:_REASONS_MAX])})" if reasons else ""
