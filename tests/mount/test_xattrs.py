"""Extended attributes: any value, with the flags and limits of setxattr(2) and xattr(7)."""

import errno
import os
from pathlib import Path

import pytest

from tests.support.callers import as_user
from tests.support.system_calls import fails_with


@pytest.mark.parametrize("value", [b"", b"text", bytes(range(256)), b"v" * 3000])
def test_a_value_is_kept_byte_for_byte(place: Path, value: bytes) -> None:
    Path("f").touch()
    os.mkdir("d")
    for path in ("f", "d"):
        os.setxattr(path, b"user.name", value)
        assert os.getxattr(path, b"user.name") == value
        assert os.listxattr(path) == ["user.name"]
        os.removexattr(path, b"user.name")
        assert os.listxattr(path) == []


def test_create_and_replace_mean_what_they_say(place: Path) -> None:
    Path("f").touch()
    with fails_with(errno.ENODATA):
        os.setxattr("f", "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr("f", "user.a", b"1", os.XATTR_CREATE)
    with fails_with(errno.EEXIST):
        os.setxattr("f", "user.a", b"2", os.XATTR_CREATE)
    os.setxattr("f", "user.a", b"3", os.XATTR_REPLACE)
    os.setxattr("f", "user.a", b"4")
    assert os.getxattr("f", "user.a") == b"4"


def test_a_missing_attribute_says_so(place: Path) -> None:
    Path("f").touch()
    with fails_with(errno.ENODATA):
        os.getxattr("f", "user.none")
    with fails_with(errno.ENODATA):
        os.removexattr("f", "user.none")


def test_many_attributes_live_side_by_side(place: Path) -> None:
    Path("f").touch()
    wanted = {f"user.attribute-{number}": b"%d" % number for number in range(30)}
    before = os.stat("f").st_ctime_ns
    for name, value in wanted.items():
        os.setxattr("f", name, value)
    assert os.stat("f").st_ctime_ns > before
    assert {name: os.getxattr("f", name) for name in os.listxattr("f")} == wanted
    os.link("f", "g")
    os.rename("f", "h")
    assert set(os.listxattr("g")) == set(os.listxattr("h")) == set(wanted)


def test_namespaces_are_kept_apart(place: Path) -> None:
    Path("f").touch()
    os.chmod("f", 0o666)
    os.setxattr("f", "trusted.admin", b"root only")
    assert os.listxattr("f") == ["trusted.admin"]
    assert as_user(lambda: os.listxattr("f")) == []
    with fails_with(errno.ENODATA):
        as_user(lambda: os.getxattr("f", "trusted.admin"))
    with fails_with(errno.EPERM):
        as_user(lambda: os.setxattr("f", "trusted.admin", b"x"))
    with fails_with(errno.EOPNOTSUPP):
        os.setxattr("f", "nonsense.x", b"x")


def test_user_attributes_need_write_permission_and_a_file_or_directory(place: Path) -> None:
    Path("f").touch()
    with fails_with(errno.EACCES):
        as_user(lambda: os.setxattr("f", "user.a", b"x"))
    os.symlink("f", "l")
    with fails_with(errno.EPERM):
        os.setxattr("l", "user.a", b"x", follow_symlinks=False)
    os.mkfifo("p")
    with fails_with(errno.EPERM):
        os.setxattr("p", "user.a", b"x")


def test_too_much_is_refused_and_changes_nothing(place: Path) -> None:
    Path("f").touch()
    os.setxattr("f", "user.a", b"before")
    with pytest.raises(OSError) as caught:
        os.setxattr("f", "user.a", b"x" * 65537)
    assert caught.value.errno in (errno.E2BIG, errno.ENOSPC)
    with pytest.raises(OSError) as caught:
        os.setxattr("f", "user." + "n" * 251, b"x")
    assert caught.value.errno in (errno.ERANGE, errno.ENAMETOOLONG)
    assert os.getxattr("f", "user.a") == b"before"
