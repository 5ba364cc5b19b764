"""Directories: listings that stay right while things change, link counts, inode numbers."""

import errno
import os
import stat
from pathlib import Path

from tests.support.system_calls import DirectoryStream, fails_with


def test_a_listing_has_dot_and_dot_dot_with_the_right_inodes(place: Path) -> None:
    os.mkdir("d")
    with DirectoryStream("d") as stream:
        assert sorted(stream.rest()) == [b".", b".."]
    assert os.stat("d/.").st_ino == os.stat("d").st_ino
    assert os.stat("d/..").st_ino == os.stat(".").st_ino


def test_a_listing_tells_kind_and_inode_of_each_entry(place: Path) -> None:
    Path("file").touch()
    os.mkdir("dir")
    os.symlink("x", "link")
    os.mkfifo("fifo")
    with os.scandir(".") as rows:
        found = {row.name: row for row in rows}
    assert set(found) == {"file", "dir", "link", "fifo"}
    for row in found.values():
        assert row.inode() == os.lstat(row.name).st_ino
    assert found["dir"].is_dir(follow_symlinks=False)
    assert found["link"].is_symlink()
    assert found["file"].is_file(follow_symlinks=False)
    assert stat.S_ISFIFO(found["fifo"].stat(follow_symlinks=False).st_mode)


def test_thousands_of_entries_are_listed_each_once(place: Path) -> None:
    names = {b"entry-%05d" % number for number in range(1500)}
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    listed = os.listdir(b".")
    assert len(listed) == len(names)
    assert set(listed) == names


def test_entries_that_stay_are_listed_once_while_others_come_and_go(place: Path) -> None:
    """readdir(3): whether a name that comes or goes meanwhile is listed is open, the others must be, once."""
    staying = {b"stay-%04d" % number for number in range(300)}
    leaving = [b"leave-%04d" % number for number in range(300)]
    for name in [*staying, *leaving]:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    seen: list[bytes] = []
    with DirectoryStream(".") as stream:
        while (name := stream.read()) is not None:
            seen.append(name)
            if leaving:
                os.unlink(leaving.pop())
                os.close(os.open(b"new-%04d" % len(leaving), os.O_CREAT | os.O_WRONLY))
    assert sorted(name for name in seen if name.startswith(b"stay")) == sorted(staying)
    assert len(seen) == len(set(seen))


def test_removing_while_listing_empties_a_directory_in_one_pass(place: Path) -> None:
    for number in range(400):
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY))
    with DirectoryStream(".") as stream:
        while (name := stream.read()) is not None:
            if name not in (b".", b".."):
                os.unlink(name)
    assert os.listdir(".") == []


def test_a_stream_returns_to_where_it_was_told_to(place: Path) -> None:
    for number in range(300):
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY))
    with DirectoryStream(".") as stream:
        for _ in range(100):
            stream.read()
        position = stream.tell()
        rest = stream.rest()
        assert len(rest) == 202
        stream.seek(position)
        assert stream.rest() == rest
        os.unlink(os.fsdecode(rest[0]))
        stream.rewind()
        again = stream.rest()
        assert len(again) == 301
        assert rest[0] not in again


def test_only_an_empty_directory_is_removed(place: Path) -> None:
    os.makedirs("d/inside")
    with fails_with(errno.ENOTEMPTY):
        os.rmdir("d")
    with fails_with(errno.EISDIR):
        os.unlink("d")
    Path("f").touch()
    with fails_with(errno.ENOTDIR):
        os.rmdir("f")
    with fails_with(errno.EINVAL):
        os.rmdir("d/.")
    os.rmdir("d/inside")
    os.rmdir("d")
    assert os.listdir(".") == ["f"]


def test_link_counts_follow_the_subdirectories(place: Path) -> None:
    assert os.stat(".").st_nlink == 2
    for number in range(5):
        os.mkdir(f"d{number}")
    Path("f").touch()
    assert os.stat(".").st_nlink == 7
    os.rmdir("d0")
    os.rename("d1", "d2/d1")
    assert (os.stat(".").st_nlink, os.stat("d2").st_nlink) == (5, 3)
    os.rename("d3", "d4")
    assert os.stat(".").st_nlink == 4


def test_a_removed_working_directory_holds_nothing_and_takes_nothing(place: Path) -> None:
    os.mkdir("d")
    held = os.open("d", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("d")
    os.rmdir("../d")
    assert os.listdir(held) == []
    assert os.fstat(held).st_nlink == 0
    for act in (os.mkdir, os.mkfifo, lambda name: os.open(name, os.O_CREAT | os.O_WRONLY)):
        with fails_with(errno.ENOENT):
            act("x")
    os.close(held)
    os.chdir(place)


def test_parents_change_their_times_with_their_entries(place: Path) -> None:
    def moved(act: object, *arguments: object) -> bool:
        before = os.stat(".")
        assert callable(act)
        act(*arguments)
        after = os.stat(".")
        return after.st_mtime_ns > before.st_mtime_ns and after.st_ctime_ns > before.st_ctime_ns

    assert moved(os.mkdir, "d")
    assert moved(Path("f").touch)
    assert moved(os.symlink, "x", "l")
    assert moved(os.link, "f", "g")
    assert moved(os.mkfifo, "p")
    assert moved(os.unlink, "l")
    assert moved(os.rmdir, "d")
    assert not moved(Path("f").write_bytes, b"bytes")
    assert not moved(os.chmod, "f", 0o600)


def test_inode_numbers_are_stable_and_belong_to_one_thing(place: Path) -> None:
    numbers = set()
    for index in range(50):
        Path(f"f{index}").touch()
        numbers.add(os.stat(f"f{index}").st_ino)
    assert len(numbers) == 50
    inode = os.stat("f7").st_ino
    Path("f7").write_bytes(b"grown")
    os.chmod("f7", 0o600)
    os.rename("f7", "elsewhere")
    os.link("elsewhere", "twice")
    assert os.stat("elsewhere").st_ino == os.stat("twice").st_ino == inode
    assert os.stat(".").st_dev == os.stat("twice").st_dev
