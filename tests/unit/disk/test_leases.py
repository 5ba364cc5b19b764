"""Who has a file open, as leases tell: what a program holds shows for exactly as long as it holds it."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import workshop
from tests.support.mappings import Mapping
from vaultairefs.disk import leases
from vaultairefs.model.errors import NotFound


@pytest.fixture
def path() -> Iterator[Path]:
    with workshop() as folder:
        (folder / "file").write_bytes(b"x" * mmap.PAGESIZE)
        yield folder / "file"


@pytest.fixture
def asked(path: Path) -> Iterator[int]:
    descriptor = leases.open_to_ask(str(path))
    yield descriptor
    os.close(descriptor)


def test_a_file_that_nobody_has_open_is_unwritten_and_unused(asked: int) -> None:
    assert leases.is_unwritten(asked)
    assert leases.is_unused(asked)


def test_a_reader_uses_a_file_and_does_not_write_it(path: Path, asked: int) -> None:
    with path.open("rb"):
        assert leases.is_unwritten(asked)
        assert not leases.is_unused(asked)
    assert leases.is_unused(asked)


def test_a_writer_shows_until_it_closes(path: Path, asked: int) -> None:
    with path.open("r+b"):
        assert not leases.is_unwritten(asked)
        assert not leases.is_unused(asked)
    assert leases.is_unwritten(asked)


def test_a_mapping_shows_although_its_descriptor_is_closed(path: Path, asked: int) -> None:
    mapping = Mapping(path, mmap.PAGESIZE)
    assert not leases.is_unwritten(asked)
    mapping.close()
    assert leases.is_unwritten(asked)


def test_asking_leaves_no_lease_behind_that_would_hold_up_a_program(path: Path, asked: int) -> None:
    assert leases.is_unused(asked)
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # with a lease in its way this would be EWOULDBLOCK


def test_a_file_can_be_made_to_be_asked_about(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        leases.open_to_ask(str(tmp_path / "new"))
    descriptor = leases.open_to_ask(str(tmp_path / "new"), make=True)
    with pytest.raises(OSError):
        os.write(descriptor, b"never")
    os.close(descriptor)


def test_a_file_that_is_written_shows_that_its_filesystem_has_leases(path: Path, asked: int) -> None:
    assert leases.are_supported(asked)
    with path.open("r+b"):
        assert leases.are_supported(asked)
