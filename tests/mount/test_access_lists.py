"""POSIX access control lists (acl(5)), through the tools that everybody uses."""

import errno
import os
import stat
import subprocess
from pathlib import Path

from tests.support.callers import NOBODY, SOMEBODY, as_user
from tests.support.system_calls import fails_with


def setfacl(*arguments: str) -> None:
    subprocess.run(["setfacl", *arguments], check=True, capture_output=True)


def getfacl(path: str) -> set[str]:
    done = subprocess.run(["getfacl", "-cnp", "--absolute-names", path], check=True, capture_output=True, text=True)
    return {line.partition("\t")[0] for line in done.stdout.splitlines() if line}


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_named_user_gets_in_and_others_stay_out(place: Path) -> None:
    Path("f").write_bytes(b"secret")
    os.chmod("f", 0o600)
    setfacl("-m", f"u:{NOBODY}:r", "f")
    assert as_user(Path("f").read_bytes) == b"secret"
    with fails_with(errno.EACCES):
        as_user(Path("f").read_bytes, SOMEBODY)
    with fails_with(errno.EACCES):
        as_user(lambda: os.open("f", os.O_WRONLY))
    assert getfacl("f") == {"user::rw-", f"user:{NOBODY}:r--", "group::---", "mask::r--", "other::---"}


def test_a_named_group_counts_for_its_members(place: Path) -> None:
    Path("f").write_bytes(b"x")
    os.chmod("f", 0o600)
    setfacl("-m", "g:4242:rw", "f")
    as_user(lambda: Path("f").write_bytes(b"y"), groups=[4242])
    with fails_with(errno.EACCES):
        as_user(Path("f").read_bytes)


def test_the_mask_is_the_group_bits_of_the_mode_both_ways(place: Path) -> None:
    Path("f").touch()
    os.chmod("f", 0o640)
    setfacl("-m", f"u:{NOBODY}:rw", "f")
    assert mode_of("f") == 0o660
    os.chmod("f", 0o600)
    assert "mask::---" in getfacl("f")
    with fails_with(errno.EACCES):
        as_user(Path("f").read_bytes)
    setfacl("-m", "m::r", "f")
    assert mode_of("f") == 0o640
    assert as_user(Path("f").read_bytes) == b""


def test_removing_the_list_leaves_the_mode(place: Path) -> None:
    Path("f").touch()
    os.chmod("f", 0o640)
    setfacl("-m", f"u:{NOBODY}:r", "f")
    setfacl("-b", "f")
    assert mode_of("f") == 0o640
    assert getfacl("f") == {"user::rw-", "group::r--", "other::---"}
    assert os.listxattr("f") == []


def test_a_list_that_a_mode_can_say_becomes_the_mode(place: Path) -> None:
    Path("f").touch()
    setfacl("--set", "u::rwx,g::r-x,o::---", "f")
    assert mode_of("f") == 0o750
    assert os.listxattr("f") == []


def test_default_lists_are_inherited_and_replace_the_umask(place: Path) -> None:
    os.mkdir("d")
    setfacl("-m", f"d:u::rwx,d:g::r-x,d:o::---,d:u:{NOBODY}:rwx", "d")
    os.umask(0o077)
    os.close(os.open("d/f", os.O_CREAT | os.O_WRONLY, 0o666))
    os.mkdir("d/sub", 0o777)
    assert mode_of("d/f") == 0o660
    assert getfacl("d/f") == {"user::rw-", f"user:{NOBODY}:rwx", "group::r-x", "mask::rw-", "other::---"}
    assert mode_of("d/sub") == 0o770
    assert f"default:user:{NOBODY}:rwx" in getfacl("d/sub")
    os.mkdir("plain", 0o777)
    assert mode_of("plain") == 0o700


def test_a_created_file_never_gets_more_than_its_mode_asks_for(place: Path) -> None:
    os.mkdir("d")
    setfacl("-m", f"d:u::rwx,d:g::rwx,d:o::rwx,d:u:{NOBODY}:rwx", "d")
    os.close(os.open("d/f", os.O_CREAT | os.O_WRONLY, 0o600))
    assert mode_of("d/f") == 0o600
    with fails_with(errno.EACCES):
        as_user(Path("d/f").read_bytes)


def test_default_lists_belong_to_directories_only(place: Path) -> None:
    Path("f").touch()
    with fails_with(errno.EACCES):
        os.setxattr("f", "system.posix_acl_default", _MINIMAL)


def test_nonsense_is_no_list(place: Path) -> None:
    Path("f").touch()
    for value in (b"nonsense", _MINIMAL[:-1], b"\x07" + _MINIMAL[1:]):
        try:
            os.setxattr("f", "system.posix_acl_access", value)
        except OSError as error:
            assert error.errno in (errno.EINVAL, errno.EOPNOTSUPP)
        else:
            raise AssertionError(f"{value!r} was taken for an access list")
    assert mode_of("f") == 0o644


def test_only_the_owner_sets_lists(place: Path) -> None:
    Path("f").touch()
    with fails_with(errno.EPERM):
        as_user(lambda: os.setxattr("f", "system.posix_acl_access", _MINIMAL))


_MINIMAL = bytes.fromhex("02000000" + "01000600ffffffff" + "04000400ffffffff" + "20000400ffffffff")
"""u::rw-,g::r--,o::r-- in the form of linux/posix_acl_xattr.h."""
