"""One Ceph for a whole run of the suite: started by the first worker that needs it, stopped when the run ends."""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support import ceph
from tests.support.stores import Server

_PLACE = "VAULTAIREFS_TEST_CEPH_PLACE"
"""Tells workers, which inherit it, where the run's Ceph is or would be."""


def offer() -> None:
    """For the process that starts the workers."""
    os.environ[_PLACE] = tempfile.mkdtemp(prefix="vaultairefs-ceph-")


def withdraw() -> None:
    """Stop what was started."""
    place = Path(os.environ.pop(_PLACE))
    ceph.stop(place / "ceph")
    shutil.rmtree(place)


def server() -> Server:
    """The run's Ceph, or the one that ``VAULTAIREFS_TEST_CEPH`` names; skips where there can be none."""
    standing = os.environ.get(ceph.STANDING)
    if standing is not None:
        return ceph.server_in(Path(standing))
    if os.geteuid() != 0 and shutil.which("radosgw") is None:
        pytest.skip("Ceph's packages are missing, and installing them needs root")
    place = Path(os.environ[_PLACE])
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ceph" / "env").exists():
            ceph.start(place / "ceph")
    return ceph.server_in(place / "ceph")
