"""Thousands of random operations on a file, and what must be in it after each that reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop
from tests.support.modelled_file import ModelledFile


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_file_holds_exactly_what_was_written(place: Path, seed: int) -> None:
    run(place, seed, 1000)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_file_holds_exactly_what_was_written_for_long(place: Path, seed: int) -> None:
    run(place, seed, 5000)


def run(place: Path, seed: int, steps: int) -> None:
    file = ModelledFile(place / "a", seed)
    for number in range(steps):
        file.step()
        if number % 50 == 0:
            file.check()
    file.check()
    file.close()
    file.check()


@pytest.fixture
def small_daemon() -> Iterator[Daemon]:
    """A mount with the smallest buffer, so that clean bytes leave it."""
    with workshop() as base, mounted_daemon(base, options=["buffer_size=16M"]) as daemon:
        yield daemon


@pytest.mark.parametrize("seed", [11])
def test_a_file_keeps_its_bytes_through_kills_remounts_and_fresh_state(small_daemon: Daemon, seed: int) -> None:
    """Large enough to be fetched in parts, so that writes meet bytes that are still in the engine."""
    go_through_lives(small_daemon, seed, lives=3, steps=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(200, 205))
def test_a_file_keeps_its_bytes_through_many_lives(small_daemon: Daemon, seed: int) -> None:
    go_through_lives(small_daemon, seed, lives=20, steps=150)


def go_through_lives(daemon: Daemon, seed: int, *, lives: int, steps: int) -> None:
    file = ModelledFile(daemon.mountpoint / "a", seed, size_max=9_000_000, length_max=400_000)
    for life in range(lives):
        for _ in range(steps):
            file.step()
        file.check()
        end = file.random.choice(("kill", "umount", "fresh"))
        file.note("life", life, "ends by", end)
        file.close()
        if end == "kill":
            daemon.kill()
        else:
            daemon.umount()
        if end == "fresh":
            daemon.forget_state()
        daemon.mount()
        file.open()
    file.check()
    file.close()
