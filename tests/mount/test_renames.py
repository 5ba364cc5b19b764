"""rename(2) and renameat2(2): atomic, by inode, and blind to who has the files open."""

import errno
import os
import threading
from pathlib import Path

from tests.support.system_calls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, fails_with, renameat2


def test_a_rename_keeps_the_inode_and_its_bytes(place: Path) -> None:
    Path("a").write_bytes(b"bytes")
    before = os.stat("a")
    os.rename("a", "b")
    after = os.stat("b")
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, 5, before.st_mtime_ns)
    assert after.st_ctime_ns > before.st_ctime_ns
    with fails_with(errno.ENOENT):
        os.rename("a", "c")


def test_a_target_is_replaced_and_whoever_has_it_open_keeps_it(place: Path) -> None:
    Path("old").write_bytes(b"old bytes")
    Path("new").write_bytes(b"new bytes")
    with open("old", "r+b", buffering=0) as held:
        os.rename("new", "old")
        assert held.read() == b"old bytes"
        assert os.fstat(held.fileno()).st_nlink == 0
        held.write(b"!")
        held.seek(0)
        assert held.read() == b"old bytes!"
    assert Path("old").read_bytes() == b"new bytes"
    assert os.listdir(".") == ["old"]


def test_readers_of_a_replaced_name_see_the_old_or_the_new_bytes_never_a_mixture(place: Path) -> None:
    versions = {bytes([65 + number]) * 10_000 for number in range(20)}
    Path("file").write_bytes(b"A" * 10_000)
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(Path("file").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for version in sorted(versions) * 5:
        Path("next").write_bytes(version)
        os.rename("next", "file")
    done.set()
    reader.join()
    assert seen <= versions


def test_no_replace_leaves_both_alone(place: Path) -> None:
    Path("a").write_bytes(b"a")
    Path("b").write_bytes(b"b")
    with fails_with(errno.EEXIST):
        renameat2("a", "b", RENAME_NOREPLACE)
    assert (Path("a").read_bytes(), Path("b").read_bytes()) == (b"a", b"b")
    renameat2("a", "c", RENAME_NOREPLACE)
    assert sorted(os.listdir(".")) == ["b", "c"]


def test_exchange_swaps_whatever_the_two_are(place: Path) -> None:
    Path("file").write_bytes(b"bytes")
    os.makedirs("container/inside")
    file, container = os.stat("file").st_ino, os.stat("container").st_ino
    renameat2("file", "container", RENAME_EXCHANGE)
    assert (os.stat("container").st_ino, os.stat("file").st_ino) == (file, container)
    assert os.listdir("file") == ["inside"]
    assert Path("container").read_bytes() == b"bytes"
    with fails_with(errno.ENOENT):
        renameat2("file", "nothing", RENAME_EXCHANGE)


def test_exchange_across_directories_moves_the_link_counts_too(place: Path) -> None:
    os.makedirs("one/sub")
    os.makedirs("two")
    Path("two/file").touch()
    assert (os.stat("one").st_nlink, os.stat("two").st_nlink) == (3, 2)
    renameat2("one/sub", "two/file", RENAME_EXCHANGE)
    assert (os.stat("one").st_nlink, os.stat("two").st_nlink) == (2, 3)
    assert os.path.samestat(os.stat("two/file/.."), os.stat("two"))


def test_unknown_and_contrary_flags_are_invalid(place: Path) -> None:
    Path("a").touch()
    for flags in (RENAME_NOREPLACE | RENAME_EXCHANGE, RENAME_WHITEOUT | RENAME_EXCHANGE, 1 << 10):
        with fails_with(errno.EINVAL):
            renameat2("a", "b", flags)
    assert os.listdir(".") == ["a"]


def test_kinds_must_fit(place: Path) -> None:
    os.makedirs("full/inside")
    os.mkdir("empty")
    Path("file").touch()
    with fails_with(errno.ENOTDIR):
        os.rename("empty", "file")
    with fails_with(errno.EISDIR):
        os.rename("file", "empty")
    with fails_with(errno.ENOTEMPTY):
        os.rename("empty", "full")
    os.rename("full", "empty")
    assert os.listdir("empty") == ["inside"]


def test_a_directory_never_moves_below_itself(place: Path) -> None:
    os.makedirs("a/b/c")
    for target in ("a/x", "a/b/c/x"):
        with fails_with(errno.EINVAL):
            os.rename("a", target)
    with fails_with(errno.ENOTEMPTY):
        os.rename("a/b/c", "a")


def test_two_names_of_one_inode_both_stay(place: Path) -> None:
    Path("a").touch()
    os.link("a", "b")
    os.rename("a", "b")
    assert sorted(os.listdir(".")) == ["a", "b"]
    assert os.stat("a").st_nlink == 2


def test_renaming_to_itself_changes_nothing(place: Path) -> None:
    Path("a").write_bytes(b"a")
    os.mkdir("d")
    os.rename("a", "a")
    os.rename("d", "d")
    assert sorted(os.listdir(".")) == ["a", "d"]


def test_open_files_follow_when_a_directory_above_them_moves(place: Path) -> None:
    os.makedirs("one/two")
    with open("one/two/file", "w+b", buffering=0) as held:
        held.write(b"before ")
        os.rename("one", "moved")
        held.write(b"after")
        Path("moved/two/file").write_bytes(Path("moved/two/file").read_bytes() + b" and by path")
        held.seek(0)
        assert held.read() == b"before after and by path"
        os.makedirs("one/two")
        Path("one/two/file").write_bytes(b"another")
        held.seek(0)
        assert held.read() == b"before after and by path"


def test_the_working_directory_moves_along(place: Path) -> None:
    os.makedirs("a/b")
    os.mkdir("c")
    os.chdir("a/b")
    os.rename(place / "a", place / "c" / "a")
    assert os.getcwd() == str(place / "c" / "a" / "b")
    assert sorted(os.listdir("../..")) == ["a"]


def test_both_parents_change_their_times(place: Path) -> None:
    os.mkdir("from")
    os.mkdir("to")
    Path("from/x").touch()
    before = {name: os.stat(name) for name in ("from", "to")}
    os.rename("from/x", "to/x")
    for name, old in before.items():
        new = os.stat(name)
        assert new.st_mtime_ns > old.st_mtime_ns
        assert new.st_ctime_ns > old.st_ctime_ns
