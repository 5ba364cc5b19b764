"""The judges of the kill rounds find everything that is there, and miss nothing that is not."""

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.judging import Said, judge
from tests.crash.labour import NAMES, PIECE_BYTES, PROGRAMS

STEPS = {"commits": 4, "rows-delete": 6, "rows-wal": 6}
STEPS_OTHERWISE = 30
SEED = 7


class Enough(OSError):
    """The program has done what the test needs."""


def work(program: str, folder: Path) -> Said:
    """What the program said until it was told to end."""
    heard: list[tuple[int, str]] = []

    def say(level: str, number: int, word: str = "-") -> None:
        if level == "synced":
            heard.append((number, word))
            if number >= STEPS.get(program, STEPS_OTHERWISE):
                raise Enough

    folder.mkdir()
    with pytest.raises(Enough):
        PROGRAMS[program](folder, SEED, say)
    return Said(heard[-1][0], tuple(word for _, word in heard))


@pytest.mark.parametrize("program", PROGRAMS)
def test_all_that_was_acknowledged_is_found_on_a_disk_that_loses_nothing(program: str, tmp_path: Path) -> None:
    said = work(program, tmp_path / "place")
    verdict = judge(program, tmp_path / "place", SEED, said)
    assert verdict.acknowledged == verdict.found == (NAMES if program == "versions" else said.steps)
    assert verdict.complaints == []


def cut_log(folder: Path) -> None:
    with open(folder / "log", "r+b") as file:
        file.truncate((folder / "log").stat().st_size - 1)


def take_back_a_version(folder: Path) -> None:
    (folder / "file1").write_bytes(b"")


def zero_a_piece(folder: Path) -> None:
    with open(folder / "large0", "r+b") as file:
        file.seek(PIECE_BYTES)
        file.write(bytes(PIECE_BYTES))


def move_a_folder_back(folder: Path) -> None:
    (folder / "archive" / "done3").rename(folder / "done3")


def forget_a_commit(folder: Path) -> None:
    subprocess.run(["git", "reset", "-q", "--hard", "HEAD~1"], cwd=folder, check=True)


def forget_a_row(folder: Path) -> None:
    with sqlite3.connect(folder / "data.sqlite", isolation_level=None) as database:
        database.execute("delete from line where number >= 25")
    database.close()


def tear_a_database(folder: Path) -> None:
    content = (folder / "data.sqlite").read_bytes()
    (folder / "data.sqlite").write_bytes(content[:4096] + bytes(4096) + content[8192:])


DAMAGES = (
    ("lines", cut_log),
    ("versions", take_back_a_version),
    ("large", zero_a_piece),
    ("folders", move_a_folder_back),
    ("commits", forget_a_commit),
    ("rows-wal", forget_a_row),
    ("rows-delete", tear_a_database),
)


@pytest.mark.parametrize(("program", "damage"), DAMAGES)
def test_what_is_lost_is_missed(program: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    said = work(program, tmp_path / "place")
    damage(tmp_path / "place")
    verdict = judge(program, tmp_path / "place", SEED, said)
    assert verdict.found < verdict.acknowledged


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_folder_that_is_gone_holds_nothing(program: str, tmp_path: Path) -> None:
    verdict = judge(program, tmp_path / "nowhere", SEED, Said(3, ("a", "b", "c")))
    assert (verdict.acknowledged, verdict.found) == (3, 0)
