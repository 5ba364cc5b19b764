"""FUSE passthrough under an unmodified pyfuse3: files whose bytes programs read and write without us.

The kernel is given a body's descriptor (``FUSE_DEV_IOC_BACKING_OPEN``) and answers with a number; an open or create
that is answered with this number and ``FOPEN_PASSTHROUGH`` lets the kernel use the body itself from then on
(linux/fuse.h, Linux 6.9).  pyfuse3 has no field for it; ``answering.py`` sends such answers.  ``docs/passthrough.md``
explains all of it.

Promise: on any doubt at the start it stays off and says why; an open that cannot be passed takes the ordinary path.

Does not: decide which opens are passed; ``volume/passing.py`` does.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

import structlog

from vaultairefs.disk import leases
from vaultairefs.disk.os_errors import translated
from vaultairefs.fuse.greeting import PASSTHROUGH
from vaultairefs.model.errors import NotPermitted, VaultaireError

_BACKING_OPEN: Final = 0x4010E501
_BACKING_CLOSE: Final = 0x4004E502
_BACKING_MAP: Final = struct.Struct("=iIQ")
_BACKING_ID: Final = struct.Struct("=I")

_log: Final = structlog.get_logger(__name__)


class Passthrough:
    """The kernel's side of passed files, on the session's ``descriptor``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def register(self, fd: int) -> int:
        """Give the kernel a body's descriptor; the number that stands for it.

        ``NotPermitted`` without CAP_SYS_ADMIN, ``VaultaireError`` of another kind where the body's filesystem is
        itself stacked, or for whatever else the kernel finds.
        """
        with translated("passthrough"):
            return int(fcntl.ioctl(self._descriptor, _BACKING_OPEN, bytearray(_BACKING_MAP.pack(fd, 0, 0))))

    def unregister(self, backing: int) -> None:
        """Take it back; open files keep what they have."""
        try:
            fcntl.ioctl(self._descriptor, _BACKING_CLOSE, bytearray(_BACKING_ID.pack(backing)))
        except OSError as error:
            # A connection that is gone has let go of everything by itself.
            _log.debug("a backing file could not be closed", error=str(error))


def why_impossible(descriptor: int, granted: int, directory: Path) -> str:
    """Why bodies in ``directory`` cannot be passed over this session; empty where they can.

    ``granted``: the flags that the kernel got in its greeting.
    """
    if not granted & PASSTHROUGH:
        return "this kernel does not offer it (Linux 6.9)"
    probe = Passthrough(descriptor)
    try:
        with translated("open"):
            sample = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if not leases.are_supported(sample):
                return "the state filesystem has no leases"
            probe.unregister(probe.register(sample))
        finally:
            os.close(sample)
    except NotPermitted:
        return "it needs CAP_SYS_ADMIN"
    except VaultaireError as error:
        return f"the state filesystem cannot be used for it: {error.args[0]}"
    return ""
