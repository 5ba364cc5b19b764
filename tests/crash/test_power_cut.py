"""P2 and P3: after a power cut everything fsynced is there, and the names are a prefix of what had returned."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.checking import Observed, prefix_complaints
from tests.crash.conftest import Crew
from tests.crash.disks import Disk
from tests.support.daemon import Daemon

STEPS_BEFORE_THE_CUT = 250


@pytest.fixture
def disks(base: Path) -> Iterator[list[Disk]]:
    made = [Disk.make(base)]
    yield made
    for disk in reversed(made):
        disk.remove()


@pytest.fixture(params=["off", "auto"], ids="passthrough_{}".format)
def daemon(disks: list[Disk], request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """Its engine and state both lie on the disk that will lose its power; nothing is flushed before."""
    daemon = Daemon(disks[0].folder, options=["flush_delay=600", f"passthrough={request.param}"])
    daemon.mount()
    try:
        yield daemon
        daemon.umount()
    finally:
        daemon.end()


@pytest.fixture
def cut(daemon: Daemon, disks: list[Disk]) -> Callable[[], None]:
    """Cut the power; afterwards the daemon runs on what the disk was left with."""

    def cut_power() -> None:
        daemon.kill()
        disks.append(disks[0].as_after_power_loss())
        daemon.mount()
        assert daemon.status()["recovered"]["power_was_cut"] is True

    return cut_power


def write_file(path: Path, content: bytes, *, sync: bool) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(content)
        if sync:
            os.fsync(file.fileno())


def test_fsynced_bytes_sizes_and_names_survive_a_power_cut(daemon: Daemon, cut: Callable[[], None]) -> None:
    place = daemon.mountpoint / "place"
    (place / "deep" / "deeper").mkdir(parents=True)
    large = os.urandom(3 << 20)
    write_file(place / "deep" / "deeper" / "large", large, sync=True)
    write_file(place / "moved", b"moved by rename", sync=False)
    (place / "moved").rename(place / "deep" / "at its last name")
    (place / "removed").write_bytes(b"")
    (place / "removed").unlink()
    with open(place / "changed", "w+b", buffering=0) as file:
        file.write(b"a" * 100_000)
        os.fsync(file.fileno())
        os.pwrite(file.fileno(), b"B" * 5_000, 50_000)
        os.fdatasync(file.fileno())
    write_file(place / "last", b"synced last", sync=True)
    cut()
    after = daemon.mountpoint / "place"
    assert (after / "deep" / "deeper" / "large").read_bytes() == large
    assert (after / "changed").read_bytes() == b"a" * 50_000 + b"B" * 5_000 + b"a" * 45_000
    assert (after / "last").read_bytes() == b"synced last"
    assert sorted(os.listdir(after)) == ["changed", "deep", "last"]
    assert sorted(os.listdir(after / "deep")) == ["at its last name", "deeper"]


def test_replace_by_rename_leaves_old_or_new_after_a_power_cut(daemon: Daemon, cut: Callable[[], None]) -> None:
    """The careless program: it never fsyncs what it renames over the old file."""
    place = daemon.mountpoint / "place"
    place.mkdir()
    versions = {number: [f"{number} version {n} ".encode() * 5_000 for n in range(3)] for number in range(20)}
    for number, contents in versions.items():
        write_file(place / f"file{number}", contents[0], sync=True)
    for n in (1, 2):
        for number, contents in versions.items():
            write_file(place / f"file{number}.new", contents[n], sync=False)
            (place / f"file{number}.new").rename(place / f"file{number}")
    cut()
    after = daemon.mountpoint / "place"
    for number, contents in versions.items():
        assert (after / f"file{number}").read_bytes() in contents


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 30))])
def test_after_a_power_cut_the_names_are_a_prefix_of_history(
    daemon: Daemon, cut: Callable[[], None], seed: int
) -> None:
    crew = Crew(daemon.mountpoint, range(seed, seed + 1))
    crew.wait_for(STEPS_BEFORE_THE_CUT)
    cut()
    crew.finish()
    (writer,) = crew.writers
    seen = Observed(daemon.mountpoint / writer.folder.name)
    found = prefix_complaints(seen, writer.seed, writer.begun, writer.done)
    assert not found, "\n".join(found)
