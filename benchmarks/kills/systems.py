"""What is killed: the systems of ``benchmarks/compare`` with what a kill and a recovery need.

Promise: each comes back the way its own documentation says: with the same cache or state directory, and with the time
that it takes to upload what it still has there.
"""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Final

from benchmarks.compare import systems
from benchmarks.compare.systems import System
from tests.support.daemon import wait_until_gone


class Vaultairefs(systems.Vaultairefs):
    """Ours; its supervisor would start it again before the test looks."""

    options = ("supervise=off",)


class VaultairefsLocal(Vaultairefs, systems.VaultairefsLocal):
    """Ours, on a local directory."""

    name = "vaultairefs-local"


class RcloneWrites(systems.Rclone):
    """rclone with its cache for writes only, which its documentation recommends for most programs."""

    name, mode = "rclone-writes", "writes"


SYSTEMS: Final[dict[str, type[System]]] = {
    "vaultairefs": Vaultairefs,
    "vaultairefs-local": VaultairefsLocal,
    "rclone-writes": RcloneWrites,
    "rclone-full": systems.Rclone,
    "s3fs": systems.S3fs,
}


def kill(system: System) -> None:
    """kill -9 of all its processes, and the dead mount detached; returns when they are gone.

    The connection is aborted too, which the end of the last process does by itself: but a thread that waits in the
    kernel for a lock which a program's request holds (rclone in ``fuse_reverse_inval_entry``) never ends without it.
    """
    found = []
    for pid in System.pids(system):  # by its command line: also of one that does not answer
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["umount", "-f", "-l", str(system.path)], capture_output=True, check=False)
    for descriptor in found:
        wait_until_gone(descriptor)
