"""A copy of one moment, of a file that somebody may be writing."""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.daemon import workshop
from vaultairefs.buffer.passed import Look
from vaultairefs.flush import freezing

OLD = b"old " * 4096


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        (folder / "body").write_bytes(OLD)
        yield folder


@pytest.fixture
def pair(base: Path) -> Iterator[tuple[int, int]]:
    source, copy = os.open(base / "body", os.O_RDONLY), os.open(base, os.O_TMPFILE | os.O_RDWR, 0o600)
    yield source, copy
    os.close(source)
    os.close(copy)


def copy_at_rest(source: int, copy: int) -> Look | None:
    return freezing.copy_at_rest(source, copy, lambda: os.fdatasync(source))


def while_copying(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> list[int]:
    """Let ``act`` run in the middle of each copy, with its number from 1."""
    copied: list[int] = []
    real = freezing.copy_range

    def copy_range(source: int, at: int, target: int, to: int, length: int) -> int:
        done = real(source, at, target, to, length)
        copied.append(length)
        act(len(copied))
        return done

    monkeypatch.setattr(freezing, "copy_range", copy_range)
    return copied


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, 1 << 20, 0)


def test_a_quiet_file_is_copied_whole(pair: tuple[int, int]) -> None:
    look = copy_at_rest(*pair)
    assert look is not None
    assert (look.size, content(pair[1])) == (len(OLD), OLD)


def test_a_write_in_the_middle_of_a_copy_makes_it_begin_again(
    base: Path, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def overwrite(number: int) -> None:
        if number == 1:
            with (base / "body").open("r+b") as writer:
                writer.write(b"new!")

    copies = while_copying(monkeypatch, overwrite)
    assert copy_at_rest(*pair) is not None
    assert len(copies) == 2
    assert content(pair[1]) == b"new!" + OLD[4:]


def test_a_store_into_a_mapped_page_in_the_middle_of_a_copy_makes_it_begin_again(
    base: Path, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also into one that was dirty before the copy: it does not move the times before the page was clean once."""
    with (base / "body").open("r+b") as writer, mmap.mmap(writer.fileno(), 0) as mapping:
        mapping[:4] = b"one."

        def store(number: int) -> None:
            if number == 1:
                mapping[:4] = b"two."

        copies = while_copying(monkeypatch, store)
        assert copy_at_rest(*pair) is not None
    assert len(copies) == 2
    assert content(pair[1]) == b"two." + OLD[4:]


def test_a_file_that_only_grows_is_never_held_back(
    base: Path, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(number: int) -> None:
        with (base / "body").open("ab") as writer:
            writer.write(b"more")

    while_copying(monkeypatch, append)
    look = copy_at_rest(*pair)
    assert look is not None
    assert content(pair[1]) == OLD
    assert look.size == len(OLD)


def test_a_file_that_is_written_all_the_time_has_no_copy(
    base: Path, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def overwrite(number: int) -> None:
        with (base / "body").open("r+b") as writer:
            writer.write(b"%04d" % number)

    while_copying(monkeypatch, overwrite)
    assert copy_at_rest(*pair) is None
