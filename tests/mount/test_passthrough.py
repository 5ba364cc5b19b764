"""Files whose bytes the kernel moves itself (docs/passthrough.md): what programs see is what they see without it."""

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop
from tests.support.mappings import Mapping
from vaultairefs.disk.copying import copies_every_block

SMALL = 64 << 10


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with workshop() as base, mounted_daemon(base, options=["passthrough=auto", "flush_delay=3600"]) as running:
        if running.status()["passthrough"] != "on":
            pytest.skip("this machine passes no files")
        yield running


@pytest.fixture
def path(daemon: Daemon, request: pytest.FixtureRequest) -> Path:
    return daemon.mountpoint / request.node.name


def operations(daemon: Daemon, path: Path) -> list[str]:
    return [event["operation"] for event in daemon.events() if event["artifact"] == path.name]


def test_a_large_file_is_written_without_the_daemon_where_a_flush_copies_every_block(
    daemon: Daemon, path: Path
) -> None:
    """As a directory on ext4 does; on Btrfs the unchanged chunks are shared, so we want to know which they are."""
    directory = os.open(daemon.engine, os.O_RDONLY | os.O_DIRECTORY)
    is_passed = copies_every_block(directory)
    os.close(directory)
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    daemon.flush()
    daemon.status()
    with path.open("r+b", buffering=0) as file:
        assert bool(daemon.status()["passed_artifacts"]) is is_passed
        os.pwrite(file.fileno(), b"changed", 1 << 20)
    daemon.flush()
    with (daemon.engine / path.name).open("rb") as stored:
        assert os.pread(stored.fileno(), 7, 1 << 20) == b"changed"
        assert os.fstat(stored.fileno()).st_size == (64 << 20) + 1
    path.unlink()


def test_reads_and_writes_do_not_reach_the_daemon(daemon: Daemon, path: Path) -> None:
    """The daemon's summary of the handle says so: nothing went through it."""
    with path.open("w+b", buffering=0) as file:
        assert daemon.status()["passed_artifacts"] >= 1
        file.write(b"x" * SMALL)
        file.seek(0)
        assert file.read() == b"x" * SMALL
    (release,) = [e for e in daemon.events() if e["artifact"] == path.name and e["operation"] == "release"]
    assert release["length"] == 0
    assert path.read_bytes() == b"x" * SMALL


def test_size_and_mtime_are_right_while_a_writer_has_the_file(path: Path) -> None:
    with path.open("w+b", buffering=0) as file:
        os.utime(path, ns=(1, 1))
        for length in (10, 20):
            file.write(b"y" * 10)
            assert path.stat().st_size == length
            assert path.stat().st_mtime_ns > 10**18
        file.truncate(5)
        assert path.stat().st_size == 5
        os.utime(path, ns=(7, 7))
        assert path.stat().st_mtime_ns == 7
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (5, 7)


def test_a_store_through_a_mapping_moves_mtime_although_attributes_were_cached(path: Path) -> None:
    path.write_bytes(b"m" * SMALL)
    os.utime(path, ns=(5, 5))
    assert path.stat().st_mtime_ns == 5
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0] = 0
        mapping.flush()
        assert path.stat().st_mtime_ns > 10**18
    assert path.read_bytes() == b"\0" + b"m" * (SMALL - 1)


def test_a_mapping_outlives_its_descriptor_and_its_stores_are_stored(daemon: Daemon, path: Path) -> None:
    path.write_bytes(b"m" * SMALL)
    mapping = Mapping(path, SMALL)
    mapping.store(0, b"later")
    daemon.flush()
    assert (daemon.engine / path.name).read_bytes() == b"later" + b"m" * (SMALL - 5)
    mapping.store(0, b"again")
    assert path.read_bytes()[:5] == b"again"
    mapping.close()
    daemon.flush()
    assert (daemon.engine / path.name).read_bytes() == b"again" + b"m" * (SMALL - 5)


def test_a_mapping_keeps_the_mount_busy_as_on_any_filesystem(daemon: Daemon, path: Path) -> None:
    path.write_bytes(b"m" * SMALL)
    mapping = Mapping(path, SMALL)
    assert subprocess.run(["umount", daemon.mountpoint], capture_output=True).returncode != 0
    mapping.close()


def test_flushed_while_open_and_owed_again_with_the_next_write(daemon: Daemon, path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for text in (b"one", b"two"):
            os.pwrite(file.fileno(), text, 0)
            daemon.flush()
            assert (daemon.engine / path.name).read_bytes() == text


def test_appends_of_two_writers_do_not_overwrite_each_other(path: Path) -> None:
    with path.open("ab", buffering=0) as one, path.open("ab", buffering=0) as other:
        for _ in range(50):
            one.write(b"1" * 10)
            other.write(b"2" * 10)
    assert path.read_bytes() == (b"1" * 10 + b"2" * 10) * 50


@pytest.mark.parametrize("flags", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_writers_stand_beside_passed_ones(path: Path, flags: int) -> None:
    with path.open("w+b", buffering=0) as passed:
        passed.write(b"0" * 10)
        seen = os.open(path, os.O_RDWR | flags)
        os.pwrite(seen, b"11", 4)
        assert os.pread(seen, 20, 0) == b"0000110000"
        assert os.pread(passed.fileno(), 20, 0) == b"0000110000"
        os.pwrite(passed.fileno(), b"22", 8)
        assert os.pread(seen, 20, 0) == b"0000110022"
        os.close(seen)
    assert path.read_bytes() == b"0000110022"


def test_truncating_open_of_a_file_that_others_have_mapped(path: Path) -> None:
    path.write_bytes(b"a" * SMALL)
    with path.open("rb") as file, mmap.mmap(file.fileno(), SMALL, prot=mmap.PROT_READ) as mapping:
        assert mapping[0] == ord("a")
        path.write_bytes(b"b" * SMALL)
        assert mapping[0] == ord("b")
        assert file.read(1) == b"b"


def test_unlinked_and_replaced_files_are_kept_for_those_who_have_them(daemon: Daemon, path: Path) -> None:
    with path.open("w+b", buffering=0) as first:
        first.write(b"first")
        other = path.with_suffix(".new")
        other.write_bytes(b"other")
        other.rename(path)
        assert os.pread(first.fileno(), 9, 0) == b"first"
        first.write(b" on")
        assert path.read_bytes() == b"other"
        with path.open("r+b", buffering=0) as second:
            path.unlink()
            second.write(b"OTHER")
            assert os.pread(second.fileno(), 9, 0) == b"OTHER"
            assert os.pread(first.fileno(), 9, 0) == b"first on"
    assert not path.exists()


def test_setuid_falls_with_the_first_write_of_a_stranger(path: Path) -> None:
    path.write_bytes(b"program")
    path.chmod(0o6777)
    writer = ["setpriv", "--reuid=65534", "--clear-groups", "dd", f"of={path}", "conv=notrunc"]
    subprocess.run(writer, input=b"P", check=True, capture_output=True)
    assert path.stat().st_mode & 0o7777 == 0o777
    assert path.read_bytes() == b"Program"


def test_a_file_that_is_opened_again_and_again_stays_right(path: Path) -> None:
    for number in range(40):
        with path.open("r+b" if number else "w+b", buffering=0) as file:
            assert len(file.read()) == number
            file.write(b"x")
        assert path.stat().st_size == number + 1
    assert path.read_bytes() == b"x" * 40


def test_ordinary_and_passed_opens_follow_each_other_without_stale_bytes(daemon: Daemon, path: Path) -> None:
    """An open with O_SYNC comes first, so the file is not passed; its pages must not survive the next passed writer."""
    path.write_bytes(b"0" * SMALL)
    for number in range(3):
        daemon.status()  # lets go of what was passed a moment ago
        with open(os.open(path, os.O_RDWR | os.O_SYNC), "r+b", buffering=0) as ordinary:
            assert daemon.status()["passed_artifacts"] == 0
            assert ordinary.read(1) == b"%d" % number
        with path.open("r+b", buffering=0) as passed:
            assert daemon.status()["passed_artifacts"] == 1
            passed.write(b"%d" % (number + 1))


def test_with_an_event_for_each_read_nothing_is_passed() -> None:
    with workshop() as base, mounted_daemon(base, options=["passthrough=auto", "events=io"]) as running:
        assert running.status()["passthrough"].startswith("off: ")
        (running.mountpoint / "file").write_bytes(b"seen")
        assert "write" in operations(running, running.mountpoint / "file")
