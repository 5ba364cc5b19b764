"""A start by the supervisor: put a living mount where a dead one is, or say why not.

Promise: ends with 0 when nothing is to be started any more, with ``REFUSED`` when a later try may succeed; the log in
the state directory says which.
"""

from collections.abc import Callable
from typing import Final

import structlog

from vaultairefs.app import daemon, logs, supervision, supervisor
from vaultairefs.app.daemon import Announce
from vaultairefs.app.supervision import Restart
from vaultairefs.config.settings import MountSettings
from vaultairefs.control import client
from vaultairefs.control.protocol import Message
from vaultairefs.disk.mount_table import FILESYSTEM_TYPE, topmost
from vaultairefs.model.errors import VaultaireError

_log = structlog.get_logger("vaultairefs.supervisor")

_ANSWER_SECONDS_MAX: Final = 10.0


def heal(restart: Restart, settings: MountSettings, run: Callable[[Announce], None]) -> int:
    """The exit status; while the mount lives this does not return."""
    mountpoint = str(settings.mountpoint)
    # Asked first: a look at the mount itself keeps it busy for its moment, and an umount of the living one would fail.
    if _status_of_who_serves(settings) is not None or not supervision.is_to_heal(mountpoint):
        return 0
    reason = supervision.reason_to_leave(restart, mountpoint, supervision.is_automounted)
    if reason is not None:
        _logging(settings)
        daemon.clear_dead_mount(mountpoint)
        _log.error("dead_mount_taken_away", mount=mountpoint, reason=reason)
        return 0
    try:
        daemon.resume(run)
    except VaultaireError as error:
        _logging(settings)
        _log.error("restart_failed", mount=mountpoint, number=restart.number, reason=str(error.args[0]))
        return supervisor.REFUSED
    return 0


def is_healed(settings: MountSettings) -> bool:
    """Whether the supervisor was faster than whoever mounts a killed volume anew: what is wanted is there."""
    status = _status_of_who_serves(settings)
    return status is not None and status.get("restarts", 0) > 0


def _status_of_who_serves(settings: MountSettings) -> Message | None:
    """What the daemon of this volume says when it serves this very mount; the mount itself is not touched."""
    mountpoint = str(settings.mountpoint)
    top = topmost(mountpoint)
    if top is None or top.filesystem_type != FILESYSTEM_TYPE:
        return None
    try:
        status = client.ask(settings.state_directory, "status", timeout_seconds=_ANSWER_SECONDS_MAX)
    except VaultaireError:
        return None
    return status if status.get("mount") == mountpoint else None


def _logging(settings: MountSettings) -> None:
    logs.configure(settings.log_format, to_stderr=False)
    if settings.state_directory.is_dir():
        logs.add_file(settings.state_directory, settings.log_format)
