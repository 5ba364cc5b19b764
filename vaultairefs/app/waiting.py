"""Wait for a daemon of the same state directory that is about to end.

A volume that was unmounted lazily, or whose supervisor was faster than the operator, may still be draining when it is
mounted anew: that is no reason to refuse.  One whose mount is in use is.
"""

from pathlib import Path
from typing import Final

import structlog
import trio

from vaultairefs.config import environment
from vaultairefs.control import mounts
from vaultairefs.disk import mount_table
from vaultairefs.disk.state_directory import is_locked

_log = structlog.get_logger("vaultairefs.life")

SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.05


async def until_let_go(state: Path) -> None:
    """Until nobody has the state directory, its owner has a mount, or the time is over; the lock decides then."""
    if not is_locked(state) or _is_mounted(state):
        return
    _log.info("waiting_for_the_last_daemon", state_dir=str(state))
    with trio.move_on_after(SECONDS_MAX):
        while True:
            if not is_locked(state) or _is_mounted(state):
                return
            await trio.sleep(_LOOK_SECONDS)


def _is_mounted(state: Path) -> bool:
    """Whether a volume of this state directory is in the mount table, dead or alive."""
    mounted = {(mount.mountpoint, mount.device) for mount in mount_table.kernel_mounts()}
    records = mounts.records(environment.runtime_directories())
    return any(record.state_dir == str(state) and (record.mount, record.device) in mounted for record in records)
