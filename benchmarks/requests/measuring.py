"""Does one piece of work on a mounted system and says what that asked of the store.

What the mount itself (with our probe of the store) costs is counted apart.  What a system does late, such as our index
artifacts, is the work's: it ends when its mount has ended.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.compare.systems import Rclone, S3fs, System, Vaultairefs
from benchmarks.requests.works import Work
from tests.support.counting_proxy import Counting, Counts


class Ours(Vaultairefs):
    """Listings stay fresh for as long as any work takes, on any machine; the rest is as by default."""

    options = ("ttl=600",)


SYSTEMS: Final[dict[str, type[System]]] = {"vaultairefs": Ours, "rclone": Rclone, "s3fs": S3fs}


class Found(NamedTuple):
    """What the mount cost, and what the work did up to the end of that mount."""

    mount: Counts
    work: Counts


def measure(system: System, work: Work, counting: Counting) -> Found:
    """On an empty bucket, which is left with the results."""
    system.prepare()
    system.mount()
    try:
        work.prepare(system)
        system.drain()
    finally:
        system.unmount()
    if work.fresh:
        system.forget()
    before = counting.now
    system.mount()
    mount = counting.now.since(before)
    try:
        if not work.fresh:
            _look_around(system.path)
        before = counting.now
        work.act(system.path)
        system.drain()
    finally:
        system.unmount()
    return Found(mount, counting.now.since(before))


def _look_around(path: Path) -> None:
    """A mount that knows what there is has looked at everything."""
    for folder, _, names in os.walk(path):
        for name in names:
            os.lstat(Path(folder) / name)
