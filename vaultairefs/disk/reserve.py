"""Room set aside on a disk that others may fill.

Promise: while it is held, giving it up makes that much room for whoever asks at once; it is never held at the price of
the last room of somebody else.  What it is for is its owner's to decide.
"""

import os
from pathlib import Path

from vaultairefs.disk.durable import preallocate, unlink
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import VaultaireError


class Reserve:
    """A preallocated file at ``path``, ``size_bytes`` long while it is held."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self.is_held = False

    def hold(self) -> bool:
        """Set the room aside, if the disk has twice as much (blocking); whether it is."""
        if self.is_held:
            return True
        with translated("statvfs"):
            found = os.statvfs(self._path.parent)
        if found.f_bavail * found.f_frsize < 2 * self._size_bytes:
            return False
        try:
            with translated("open"):
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                preallocate(fd, self._size_bytes)
            finally:
                os.close(fd)
        except VaultaireError:  # somebody was faster, or a disk that fails: it says so where it matters
            unlink(self._path, missing_ok=True)
            return False
        self.is_held = True
        return True

    def release(self) -> bool:
        """Give the room up, an earlier life's too; whether there was any."""
        had = self._path.exists()
        unlink(self._path, missing_ok=True)
        self.is_held = False
        return had
