"""Names: any bytes but "/" and NUL, up to 255 of them, as deep as a program can walk (path_resolution(7))."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.support.system_calls import fails_with

ODD_NAMES = [
    b" ",
    b"...",
    b"..x",
    b"-rf",
    b"~",
    b"*?[a]",
    b"line\nfeed\ttab",
    b"back\\slash",
    b"\x01\x02\x7f",
    b"\xff\xfe\x80",
    "\u00e4\u00f6 \U0001f40b".encode(),
    "e\u0301".encode(),
    "\u00e9".encode(),
    b"%2F%00",
    b".vaultairefs",
    b".vaultairefs%",
    b"CON",
    b"name.conflict-20200101T000000Z-00000000",
]


def test_every_odd_name_is_kept_byte_for_byte(place: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        Path(os.fsdecode(name)).write_bytes(b"%d" % number)
    assert sorted(os.listdir(b".")) == sorted(ODD_NAMES)
    for number, name in enumerate(ODD_NAMES):
        assert Path(os.fsdecode(name)).read_bytes() == b"%d" % number


def test_every_single_byte_is_a_name(place: Path) -> None:
    names = {bytes([byte]) for byte in range(1, 256)} - {b"/", b"."}
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    assert set(os.listdir(b".")) == names
    for name in names:
        os.unlink(name)
    assert os.listdir(".") == []


def test_names_that_differ_in_case_or_normal_form_are_different(place: Path) -> None:
    for name in ("a", "A", "e\u0301", "\u00e9"):
        Path(name).touch(exist_ok=False)
    assert len(os.listdir(".")) == 4


@pytest.mark.parametrize("letter", [b"n", b"\xf0"])
def test_a_name_of_255_bytes_is_fine_and_one_of_256_is_too_long(place: Path, letter: bytes) -> None:
    fits, too_long = letter * 255, letter * 256
    os.mkdir(fits)
    os.rmdir(fits)
    os.symlink(b"t", fits)
    os.unlink(fits)
    os.mkfifo(fits)
    os.rename(fits, fits[:-1] + b"r")
    os.link(fits[:-1] + b"r", fits)
    assert sorted(os.listdir(b".")) == sorted([fits, fits[:-1] + b"r"])
    for act in (os.mkdir, os.mkfifo, os.unlink, os.rmdir, os.stat, os.listdir):
        with fails_with(errno.ENAMETOOLONG):
            act(too_long)
    for two in (os.rename, os.link, os.symlink):
        with fails_with(errno.ENAMETOOLONG):
            two(fits, too_long)
    with fails_with(errno.ENAMETOOLONG):
        os.open(too_long, os.O_CREAT | os.O_WRONLY)


def test_directories_go_deeper_than_any_path_can_say(place: Path) -> None:
    """30 levels of 200 bytes are beyond PATH_MAX (4096): programs get there step by step."""
    name = b"d" * 200
    top = os.open(b".", os.O_DIRECTORY)
    for _ in range(30):
        os.mkdir(name)
        os.chdir(name)
    Path("bottom").write_bytes(b"reached")
    assert Path("bottom").read_bytes() == b"reached"
    with fails_with(errno.ENAMETOOLONG):
        os.stat(b"/".join([bytes(place), *[name] * 30]))
    os.rename(b"bottom", b"../bottom")
    for _ in range(30):
        os.chdir(b"..")
    assert os.path.samestat(os.stat(b"."), os.fstat(top))
    os.close(top)


def test_a_path_component_that_is_no_directory_ends_the_walk(place: Path) -> None:
    Path("file").touch()
    for path in ("file/x", "file/", "file/."):
        with fails_with(errno.ENOTDIR):
            os.stat(path)
    with fails_with(errno.ENOENT):
        os.stat("none/x")
    with fails_with(errno.EEXIST):
        os.mkdir("file")
    with fails_with(errno.EEXIST):
        os.mkdir(".")


def test_a_free_name_is_free_again_after_every_kind_of_removal(place: Path) -> None:
    """The kernel may remember that a name is free; creating must make it forget."""
    for _ in range(3):
        assert not os.path.lexists("name")
        Path("name").touch(exist_ok=False)
        assert stat.S_ISREG(os.lstat("name").st_mode)
        os.unlink("name")
        assert not os.path.lexists("name")
        os.mkdir("name")
        assert stat.S_ISDIR(os.lstat("name").st_mode)
        os.rmdir("name")
        assert not os.path.lexists("name")
        os.symlink("nowhere", "name")
        assert stat.S_ISLNK(os.lstat("name").st_mode)
        os.rename("name", "other")
        assert not os.path.lexists("name")
        os.unlink("other")
