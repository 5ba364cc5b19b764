"""Open files: what open(2), read(2), write(2) and ftruncate(2) promise about bytes."""

import errno
import fcntl
import mmap
import os
from pathlib import Path

import pytest

from tests.support.system_calls import fails_with


def test_an_unlinked_file_lives_until_its_last_close(place: Path) -> None:
    descriptor = os.open("gone", os.O_CREAT | os.O_RDWR, 0o600)
    os.write(descriptor, b"still here")
    os.unlink("gone")
    assert os.listdir(".") == []
    assert os.fstat(descriptor).st_nlink == 0
    os.pwrite(descriptor, b"X", 100_000)
    assert os.pread(descriptor, 10, 0) == b"still here"
    os.ftruncate(descriptor, 5)
    os.fchmod(descriptor, 0o640)
    os.fsync(descriptor)
    assert (os.fstat(descriptor).st_size, os.fstat(descriptor).st_mode & 0o777) == (5, 0o640)
    Path("gone").write_bytes(b"a new one")
    assert os.pread(descriptor, 100, 0) == b"still"
    os.close(descriptor)
    assert Path("gone").read_bytes() == b"a new one"


def test_appending_descriptors_never_overwrite_each_other(place: Path) -> None:
    descriptors = [os.open("log", os.O_CREAT | os.O_APPEND | os.O_WRONLY) for _ in range(4)]
    expected = b""
    for number in range(200):
        line = b"%d from %d\n" % (number, number % 4)
        os.write(descriptors[number % 4], line)
        expected += line
    os.lseek(descriptors[0], 0, os.SEEK_SET)
    os.write(descriptors[0], b"end")
    for descriptor in descriptors:
        os.close(descriptor)
    assert Path("log").read_bytes() == expected + b"end"


def test_o_trunc_empties_and_o_excl_refuses(place: Path) -> None:
    Path("f").write_bytes(b"x" * 5000)
    before = os.stat("f")
    os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))
    after = os.stat("f")
    assert (after.st_size, after.st_ino) == (0, before.st_ino)
    assert after.st_mtime_ns > before.st_mtime_ns
    for flags in (0, os.O_TRUNC):
        with fails_with(errno.EEXIST):
            os.open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY | flags)


def test_what_an_open_may_not_be(place: Path) -> None:
    os.mkdir("d")
    os.symlink("d", "l")
    os.symlink("circle", "circle")
    Path("f").touch()
    for path, flags, number in (
        ("d", os.O_WRONLY, errno.EISDIR),
        ("d", os.O_RDWR | os.O_CREAT, errno.EISDIR),
        ("l", os.O_RDONLY | os.O_NOFOLLOW, errno.ELOOP),
        ("circle", os.O_RDONLY, errno.ELOOP),
        ("f", os.O_RDONLY | os.O_DIRECTORY, errno.ENOTDIR),
        ("none", os.O_RDONLY, errno.ENOENT),
        ("d/none/f", os.O_WRONLY | os.O_CREAT, errno.ENOENT),
    ):
        with fails_with(number):
            os.open(path, flags)


def test_a_dangling_link_is_created_through(place: Path) -> None:
    os.symlink("target", "link")
    Path("link").write_bytes(b"through")
    assert Path("target").read_bytes() == b"through"
    with fails_with(errno.EEXIST):
        os.open("link", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_a_descriptor_does_only_what_it_was_opened_for(place: Path) -> None:
    reading, writing = os.open("f", os.O_CREAT | os.O_RDONLY, 0o600), os.open("f", os.O_WRONLY)
    with fails_with(errno.EBADF):
        os.write(reading, b"x")
    with fails_with(errno.EBADF):
        os.read(writing, 1)
    with fails_with(errno.EINVAL):
        os.ftruncate(reading, 0)
    os.close(reading)
    os.close(writing)


def test_the_mode_of_a_created_file_does_not_bind_its_creator(place: Path) -> None:
    descriptor = os.open("readonly", os.O_CREAT | os.O_RDWR, 0o400)
    assert os.write(descriptor, b"mine") == 4
    os.close(descriptor)
    assert Path("readonly").read_bytes() == b"mine"


def test_holes_read_as_zeros_and_sizes_go_both_ways(place: Path) -> None:
    with open("sparse", "w+b", buffering=0) as file:
        file.seek(1 << 33)
        file.write(b"end")
        size = (1 << 33) + 3
        assert os.fstat(file.fileno()).st_size == size
        assert os.pread(file.fileno(), 4096, 1 << 32) == bytes(4096)
        assert os.pread(file.fileno(), 100, (1 << 33) - 2) == b"\0\0end"
        assert os.pread(file.fileno(), 10, size) == b""
        file.truncate(10)
        file.truncate(20)
        assert os.pread(file.fileno(), 100, 0) == bytes(20)
        os.pwrite(file.fileno(), b"x" * 20, 0)
        file.truncate(5)
        file.truncate(9)
        assert os.pread(file.fileno(), 100, 0) == b"xxxxx\0\0\0\0"
    os.truncate("sparse", 0)
    assert os.stat("sparse").st_size == 0


def test_a_size_beyond_every_limit_is_refused(place: Path) -> None:
    with open("f", "wb", buffering=0) as file:
        with pytest.raises(OSError) as caught:
            os.ftruncate(file.fileno(), (1 << 63) - 1)
        assert caught.value.errno in (errno.EFBIG, errno.EINVAL)
        with pytest.raises(OSError) as caught:
            os.pwrite(file.fileno(), b"x", (1 << 63) - 2)
        assert caught.value.errno in (errno.EFBIG, errno.EINVAL)
        assert os.fstat(file.fileno()).st_size == 0
    for path, size in (("f", -1), ("none", 0)):
        with fails_with(errno.EINVAL if size < 0 else errno.ENOENT):
            os.truncate(path, size)


def test_writes_of_every_alignment_land_where_they_were_aimed(place: Path) -> None:
    expected = bytearray()
    with open("f", "w+b", buffering=0) as file:
        for number, offset in enumerate((0, 1, 4095, 4096, 8191, 131_071, 1_048_575, 3_000_001, 17)):
            data = bytes([number + 1]) * (offset % 9000 + 1)
            os.pwrite(file.fileno(), data, offset)
            expected.extend(bytes(max(0, offset + len(data) - len(expected))))
            expected[offset : offset + len(data)] = data
        assert os.pread(file.fileno(), len(expected) + 10, 0) == expected
    assert Path("f").read_bytes() == expected


def test_a_write_of_many_megabytes_is_whole(place: Path) -> None:
    data = os.urandom(1 << 20) * 9 + b"tail"
    assert Path("f").write_bytes(data) == len(data)
    assert Path("f").read_bytes() == data


def test_direct_io_and_the_page_cache_agree(place: Path) -> None:
    block = mmap.mmap(-1, 8192)
    block[:] = b"d" * 8192
    Path("f").write_bytes(b"c" * 16384)
    descriptor = os.open("f", os.O_RDWR | os.O_DIRECT)
    assert os.pwritev(descriptor, [block], 4096) == 8192
    assert Path("f").read_bytes() == b"c" * 4096 + b"d" * 8192 + b"c" * 4096
    with open("f", "r+b", buffering=0) as cached:
        cached.write(b"C" * 4096)
    assert os.preadv(descriptor, [block], 0) == 8192
    assert block[:] == b"C" * 4096 + b"d" * 4096
    os.close(descriptor)


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_writes_and_every_kind_of_sync_succeed(place: Path, flag: int) -> None:
    descriptor = os.open("f", os.O_CREAT | os.O_RDWR | flag)
    assert os.write(descriptor, b"now") == 3
    os.fsync(descriptor)
    os.fdatasync(descriptor)
    os.close(descriptor)
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.fdatasync(directory)
    os.close(directory)


def test_copies_inside_the_kernel_are_exact(place: Path) -> None:
    data = os.urandom(300_000)
    Path("from").write_bytes(data)
    source, target = os.open("from", os.O_RDONLY), os.open("to", os.O_CREAT | os.O_RDWR)
    copied = 0
    while part := os.copy_file_range(source, target, 100_000):
        copied += part
    os.lseek(source, 0, os.SEEK_SET)
    while part := os.sendfile(target, source, None, 100_000):
        copied += part
    os.close(source)
    os.close(target)
    assert copied == 600_000
    assert Path("to").read_bytes() == data * 2


def test_space_can_be_reserved(place: Path) -> None:
    """FUSE through pyfuse3 has no fallocate; the C library's emulation must do."""
    with open("f", "wb", buffering=0) as file:
        file.write(b"x")
        os.posix_fallocate(file.fileno(), 0, 50_000)
        assert os.fstat(file.fileno()).st_size == 50_000
    assert Path("f").read_bytes() == b"x" + bytes(49_999)


def test_a_lock_of_a_reader_ends_with_its_close(place: Path) -> None:
    """close(2) of a descriptor that cannot write asks no filesystem; the kernel gives its locks back all the same."""
    Path("f").write_bytes(b"x")
    reader = os.open("f", os.O_RDONLY)
    fcntl.lockf(reader, fcntl.LOCK_SH)
    assert not _can_lock("f")
    os.close(reader)
    assert _can_lock("f")


def _can_lock(path: str) -> bool:
    """Whether another process could lock it for itself."""
    child = os.fork()
    if child == 0:
        try:
            fcntl.lockf(os.open(path, os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_locks_exclude_and_end_with_their_holder(place: Path) -> None:
    first, second = (os.open("f", os.O_CREAT | os.O_RDWR) for _ in range(2))
    fcntl.flock(first, fcntl.LOCK_EX)
    with fails_with(errno.EAGAIN):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(first)
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(second, fcntl.LOCK_EX, 10, 5)
    child = os.fork()
    if child == 0:
        try:
            fcntl.lockf(second, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(second)
