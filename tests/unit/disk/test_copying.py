"""A copy carries everything in the range, whatever the kernel answers."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaultairefs.disk.copying import copies_every_block, copy_range, read_all
from vaultairefs.model.errors import DeviceFailed

CONTENT = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        yield file.fileno()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    with (tmp_path / "target").open("w+b") as file:
        yield file.fileno()


def content_of(fd: int) -> bytes:
    return os.pread(fd, 10_000_000, 0)


def copies_whole(source: int, target: int) -> None:
    assert copy_range(source, 1000, target, 7, 2_500_001) == 2_500_001
    assert content_of(target) == bytes(7) + CONTENT[1000:2_501_001]


def test_a_range_is_copied_to_where_it_belongs(source: int, target: int) -> None:
    copies_whole(source, target)


def test_short_answers_of_the_kernel_do_not_end_a_copy(
    source: int, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.copy_file_range
    monkeypatch.setattr(os, "copy_file_range", lambda s, t, n, so, to: whole(s, t, min(n, 100_000), so, to))
    copies_whole(source, target)


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS])
def test_what_the_kernel_cannot_copy_goes_through_memory(
    source: int, target: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: int) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    copies_whole(source, target)


def test_a_failing_disk_is_no_reason_to_try_another_way(
    source: int, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: int) -> int:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "copy_file_range", fail)
    with pytest.raises(DeviceFailed):
        copy_range(source, 0, target, 0, 10)


def test_a_copy_is_short_only_where_the_source_ends(source: int, target: int) -> None:
    assert copy_range(source, len(CONTENT) - 10, target, 0, 100) == 10
    assert content_of(target) == CONTENT[-10:]
    assert copy_range(source, len(CONTENT) + 10, target, 0, 100) == 0


def test_files_whose_kernel_copy_answers_nothing_are_read(target: int) -> None:
    """procfs files have no length: copy_file_range(2) says 0 or EINVAL for them."""
    with Path("/proc/self/status").open("rb") as status:
        assert copy_range(status.fileno(), 0, target, 0, 6) == 6
    assert content_of(target) == b"Name:\t"


def test_copies_cross_filesystems(source: int) -> None:
    with Path("/dev/shm").joinpath(f"vaultairefs-test-{os.getpid()}").open("x+b") as file:
        Path(file.name).unlink()
        copies_whole(source, file.fileno())


def test_read_all_goes_on_after_short_reads(source: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: whole(fd, min(length, 7), offset))
    assert read_all(source, 5, 100) == CONTENT[5:105]


def test_read_all_is_short_only_at_the_end(source: int) -> None:
    assert read_all(source, len(CONTENT) - 3, 100) == CONTENT[-3:]
    assert read_all(source, len(CONTENT), 100) == b""


@pytest.mark.parametrize(("folder", "surely"), [("/dev/shm", True), ("/proc", False)])
def test_blocks_are_surely_copied_only_where_a_clone_was_tried_and_refused(folder: str, surely: bool) -> None:
    """tmpfs clones nothing; procfs makes no file to try it with."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert copies_every_block(directory) is surely
    finally:
        os.close(directory)


def test_where_a_clone_succeeds_blocks_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.ioctl", lambda *_: 0)
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert not copies_every_block(directory)
    finally:
        os.close(directory)
