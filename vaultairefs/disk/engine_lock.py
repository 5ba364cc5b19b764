"""The lock in a state directory that says whether a process can still change the engine in its name.

A daemon that is killed may leave an engine worker behind for a moment, with a request under way.  Daemon and worker
hold one open file between them, so the lock is free (flock(2)) when the last of them is gone, and not before.

Promise: whoever has the lock is the only one that works on the engine for this state directory.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from vaultairefs.disk.os_errors import translated

_NAME: Final = "engine.lock"


def take(directory: Path) -> int | None:
    """A descriptor that holds the lock, until it and every copy of it are closed; None while another has it."""
    with translated("lock"):
        descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def sign(descriptor: int, pid: int) -> None:
    """Write down who holds the lock, for those who find it taken."""
    with translated("lock"):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{pid}\n".encode(), 0)


def holder(directory: Path) -> str:
    """The pid that ``sign`` wrote, or ``unknown``."""
    with translated("lock"):
        return (directory / _NAME).read_text("ascii", "replace").strip() or "unknown"
