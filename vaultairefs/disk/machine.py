"""Which boot of which machine we run in, and which filesystem holds a directory.

Promise: two equal identities mean that nothing which was in the page cache has been lost in between.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from vaultairefs.disk.os_errors import translated

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class MachineIdentity(msgspec.Struct, frozen=True):
    """``boot_id`` is new with every start of the kernel (random(4)); ``filesystem_id`` tells filesystems apart."""

    boot_id: str
    filesystem_id: str


def identify(directory: str | os.PathLike[str]) -> MachineIdentity:
    """The identity for state kept in ``directory``."""
    with translated("identify"):
        boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        fsid = os.statvfs(directory).f_fsid
        device = os.stat(directory).st_dev
    return MachineIdentity(boot_id, f"{fsid:x}-{device:x}")
