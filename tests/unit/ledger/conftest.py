"""Ledgers to try things on."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledgers import Lab, scratch_directory

OpenLab = Callable[..., Lab]


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory for state directories."""
    directory = scratch_directory()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def open_lab(base: Path) -> Iterator[OpenLab]:
    """Opens a ledger on a directory below ``base``; lets go of all of them in the end."""
    labs: list[Lab] = []

    def open_lab(directory: Path, **options: Any) -> Lab:
        lab = Lab(directory, **options)
        labs.append(lab)
        return lab

    yield open_lab
    for lab in labs:
        lab.abandon()


@pytest.fixture
def lab(base: Path, open_lab: OpenLab) -> Lab:
    return open_lab(base / "state")
