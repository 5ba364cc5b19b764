"""SQLite keeps its databases on the mount, in both journal modes, and loses no commit when its writer is killed."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MODES = ("delete", "wal")
ROWS_BEFORE_THE_KILL = 60

WRITER = """
import sqlite3, sys
path, mode = sys.argv[1:]
database = sqlite3.connect(path, isolation_level=None, timeout=60)
assert database.execute(f"pragma journal_mode={mode}").fetchone() == (mode,)
database.execute("pragma synchronous=full")
database.execute("create table if not exists row (number integer primary key, text text)")
number = 0
while True:
    database.execute("begin")
    database.executemany("insert into row values (?, ?)", [(number + i, f"{number + i}" * 50) for i in range(10)])
    database.execute("commit")
    number += 10
    print(number, flush=True)
"""


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def writer(place: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(place / "data.sqlite"), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def count_rows(path: Path) -> int:
    with sqlite3.connect(path) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        rows = database.execute("select number, text from row order by number").fetchall()
    assert rows == [(number, f"{number}" * 50) for number in range(len(rows))]
    database.close()
    return len(rows)


def test_sqlite_keeps_every_commit_of_a_killed_writer(writer: subprocess.Popen[str], place: Path) -> None:
    assert writer.stdout is not None
    committed = 0
    while committed < ROWS_BEFORE_THE_KILL:
        committed = int(writer.stdout.readline())
    writer.kill()
    writer.wait()
    committed = int(([committed, *writer.stdout.read().split()])[-1])
    assert committed <= count_rows(place / "data.sqlite") <= committed + 10


def test_sqlite_readers_see_whole_transactions_while_a_writer_works(
    writer: subprocess.Popen[str], place: Path, mode: str
) -> None:
    assert writer.stdout is not None
    writer.stdout.readline()
    database = sqlite3.connect(place / "data.sqlite", timeout=60)
    for _ in range(20):
        (rows,) = database.execute("select count(*) from row").fetchone()
        assert rows > 0
        assert rows % 10 == 0
        writer.stdout.readline()
    database.close()


def test_sqlite_vacuum_and_backup_copy_the_whole_database(place: Path, mode: str) -> None:
    source = sqlite3.connect(place / "source.sqlite")
    source.execute(f"pragma journal_mode={mode}")
    source.execute("create table row (number integer primary key, text text)")
    source.executemany("insert into row values (?, ?)", [(n, f"{n}" * 50) for n in range(4000)])
    source.commit()
    source.execute("delete from row where number >= 2000")
    source.commit()
    source.execute("vacuum")
    copy = sqlite3.connect(place / "copy.sqlite")
    source.backup(copy)
    copy.close()
    source.close()
    assert count_rows(place / "source.sqlite") == count_rows(place / "copy.sqlite") == 2000
