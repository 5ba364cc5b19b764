"""Everything that is neither a file nor a directory: symlinks, hard links, fifos, sockets, devices."""

import errno
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from tests.support.callers import as_user
from tests.support.system_calls import fails_with


@pytest.mark.parametrize("text", [b"x", b"../up", b"/absolute", b"\xff\n ", b"n" * 255, b"t" * 4095])
def test_a_symlink_keeps_its_text(place: Path, text: bytes) -> None:
    os.symlink(text, b"link")
    assert os.readlink(b"link") == text
    assert os.lstat("link").st_size == len(text)
    assert stat.S_IMODE(os.lstat("link").st_mode) == 0o777


def test_a_text_of_4096_bytes_is_too_long(place: Path) -> None:
    with fails_with(errno.ENAMETOOLONG):
        os.symlink(b"t" * 4096, b"link")
    with fails_with(errno.ENOENT):
        os.symlink("", "link")
    with fails_with(errno.EINVAL):
        os.readlink(".")


def test_symlinks_are_followed_by_the_kernel_only(place: Path) -> None:
    os.mkdir("d")
    Path("d/f").write_bytes(b"found")
    os.symlink("d", "l")
    assert Path("l/f").read_bytes() == b"found"
    os.unlink("l")
    assert Path("d/f").exists()
    os.symlink("two", "one")
    os.symlink("one", "two")
    with fails_with(errno.ELOOP):
        os.stat("one")


def test_hard_links_are_one_file(place: Path) -> None:
    Path("a").write_bytes(b"one")
    before = os.stat("a").st_ctime_ns
    os.mkdir("d")
    os.link("a", "d/b")
    assert os.stat("a").st_nlink == os.stat("d/b").st_nlink == 2
    assert os.stat("a").st_ctime_ns > before
    Path("d/b").write_bytes(b"two")
    os.chmod("a", 0o600)
    assert Path("a").read_bytes() == b"two"
    assert stat.S_IMODE(os.stat("d/b").st_mode) == 0o600
    before = os.stat("a").st_ctime_ns
    os.unlink("a")
    assert os.stat("d/b").st_nlink == 1
    assert os.stat("d/b").st_ctime_ns > before
    os.link("d/b", "a")
    assert Path("a").read_bytes() == b"two"


def test_what_cannot_be_linked(place: Path) -> None:
    os.mkdir("d")
    Path("f").touch()
    with fails_with(errno.EPERM):
        os.link("d", "e")
    with fails_with(errno.EEXIST):
        os.link("f", "d")
    with fails_with(errno.ENOENT):
        os.link("none", "e")


def test_a_symlink_and_a_fifo_can_have_two_names_too(place: Path) -> None:
    os.symlink("x", "l")
    os.mkfifo("p")
    for name in ("l", "p"):
        os.link(name, name + "2", follow_symlinks=False)
        assert os.lstat(name).st_ino == os.lstat(name + "2").st_ino
        assert os.lstat(name).st_nlink == 2


def test_a_fifo_carries_bytes_between_programs(place: Path) -> None:
    os.mkfifo("pipe")
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_bytes()))
    reader.start()
    with open("pipe", "wb") as writer:
        writer.write(b"through the pipe")
    reader.join()
    assert received == [b"through the pipe"]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


def test_a_socket_is_bound_and_found(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        assert stat.S_ISSOCK(os.stat("socket").st_mode)
        client.connect("socket")
        client.send(b"hello")
        with server.accept()[0] as accepted:
            assert accepted.recv(10) == b"hello"
    with socket.socket(socket.AF_UNIX) as late, fails_with(errno.ECONNREFUSED):
        late.connect("socket")
    os.unlink("socket")


def test_devices_work_where_the_mount_allows_them(place: Path) -> None:
    os.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(259, 77777))
    assert os.stat("null").st_rdev == os.makedev(1, 3)
    assert os.stat("disk").st_rdev == os.makedev(259, 77777)
    assert stat.S_ISCHR(os.stat("null").st_mode)
    assert stat.S_ISBLK(os.stat("disk").st_mode)
    Path("null").write_bytes(b"away")
    assert Path("null").read_bytes() == b""
    with fails_with(errno.EPERM):
        as_user(lambda: os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 3)))


def test_mknod_makes_ordinary_files_too(place: Path) -> None:
    os.mknod("f", stat.S_IFREG | 0o640)
    assert (os.stat("f").st_mode, os.stat("f").st_size) == (stat.S_IFREG | 0o640, 0)
    with fails_with(errno.EEXIST):
        os.mknod("f", stat.S_IFREG | 0o640)
