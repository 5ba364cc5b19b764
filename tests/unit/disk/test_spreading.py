"""Body files lie apart on ext4; elsewhere nothing happens."""

import os
import subprocess
from pathlib import Path

import pytest

from vaultairefs.disk.spreading import spread_subdirectories
from vaultairefs.disk.state_directory import StateDirectory


def attributes_of(path: Path) -> str:
    """Those of chattr(1), as letters."""
    return subprocess.run(["lsattr", "-d", path], capture_output=True, text=True).stdout.partition(" ")[0]


def test_the_directory_of_bodies_is_the_top_of_hierarchies(tmp_path: Path) -> None:
    if "e" not in attributes_of(tmp_path):
        pytest.skip("no ext4 with extents here")
    state = StateDirectory.open(tmp_path / "state", "memory:")
    state.close(clean=True)
    assert "T" in attributes_of(tmp_path / "state/bodies")


def test_a_filesystem_without_such_a_thing_is_left_alone() -> None:
    fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert not spread_subdirectories(fd)
    finally:
        os.close(fd)
