"""The programs that work on a volume while its daemon is killed, each saying outside of it what it was told is done.

``python labour.py PROGRAM FOLDER SEED`` works in the new folder until a system call fails, which is what the death of
the daemon looks like from here, and writes a line to standard output for each step that has returned:
``LEVEL NUMBER [WORD]``.  The level is ``synced`` where the program has also synced what the step made and the names
that lead to it, else ``written``; the number counts the program's steps from 1, and every step is made after the one
before it.  What a step makes follows from the seed and its number alone, so ``judging.py`` knows it too.
"""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.programs import run

NAMES = 12
PIECE_BYTES = 128 << 10
PIECES_OF_A_FILE = 24
SYNCED_PIECES = 4
SYNCED_LINES = 3
FILES_OF_A_FOLDER = 3
ROWS_OF_A_COMMIT = 5
WRITE = os.O_WRONLY | os.O_CREAT

Say = Callable[..., None]


def made(seed: int, *number: object, size: int) -> bytes:
    """The bytes of that name."""
    return random.Random(f"{seed} {number}").randbytes(size)


def line(seed: int, number: int) -> bytes:
    size = random.Random(f"{seed} {number}").randrange(1, 200)
    return b"%d %s\n" % (number, made(seed, "line", number, size=size).hex().encode())


def version(seed: int, number: int) -> bytes:
    size = random.Random(f"{seed} {number}").randrange(1, 40_000)
    return b"%d\n" % number + made(seed, "version", number, size=size)


def row(number: int) -> tuple[int, str]:
    return number, f"{number} " * 50


def write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, WRITE | os.O_TRUNC)
    try:
        write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(descriptor: int, content: bytes) -> None:
    """A daemon that dies within a write makes it a short one: then it has not returned as a whole."""
    if os.write(descriptor, content) < len(content):
        raise OSError("a short write")


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lines(folder: Path, seed: int, say: Say) -> None:
    """Appends to a log, and syncs every third line."""
    descriptor = os.open(folder / "log", WRITE | os.O_APPEND)
    sync_folder(folder)
    number = 0
    while True:
        number += 1
        write(descriptor, line(seed, number))
        say("written", number)
        if number % SYNCED_LINES == 0:
            os.fsync(descriptor)
            say("synced", number)


def versions(folder: Path, seed: int, say: Say) -> None:
    """Replaces files as careful programs do: written beside, synced, renamed, the folder synced."""
    number = 0
    while True:
        number += 1
        write_synced(folder / "new", version(seed, number))
        os.replace(folder / "new", folder / f"file{number % NAMES}")
        say("written", number)
        sync_folder(folder)
        say("synced", number)


def large(folder: Path, seed: int, say: Say) -> None:
    """Writes files one after the other, and syncs now and then."""
    number = 0
    while True:
        descriptor = os.open(folder / f"large{number // PIECES_OF_A_FILE}", WRITE)
        sync_folder(folder)
        for _ in range(PIECES_OF_A_FILE):
            number += 1
            write(descriptor, made(seed, "piece", number, size=PIECE_BYTES))
            say("written", number)
            if number % SYNCED_PIECES == 0:
                os.fsync(descriptor)
                say("synced", number)
        os.close(descriptor)


def folders(folder: Path, seed: int, say: Say) -> None:
    """Builds a folder, gives it its name when it is whole, and moves the one before it into an archive."""
    (folder / "archive").mkdir()
    number = 0
    while True:
        number += 1
        (folder / "under way").mkdir()
        for index in range(FILES_OF_A_FOLDER):
            write_synced(folder / "under way" / f"{index}", version(seed, number * FILES_OF_A_FOLDER + index))
        sync_folder(folder / "under way")
        (folder / "under way").rename(folder / f"done{number}")
        if number > 1:
            (folder / f"done{number - 1}").rename(folder / "archive" / f"done{number - 1}")
        say("written", number)
        sync_folder(folder / "archive")
        sync_folder(folder)
        say("synced", number)


def commits(folder: Path, seed: int, say: Say) -> None:
    """A git repository, told to sync all that it writes; the word is the commit's hash."""
    run("git", "init", "-q", "--template=", "-b", "main", folder)
    for name, value in (("core.fsync", "all"), ("core.fsyncMethod", "fsync"), ("gc.auto", "0")):
        run("git", "config", name, value, cwd=folder)
    number = 0
    while True:
        number += 1
        (folder / f"part{number % 3}").mkdir(exist_ok=True)
        (folder / f"part{number % 3}" / f"file{number}").write_bytes(line(seed, number))
        run("git", "add", "--all", cwd=folder)
        run("git", "commit", "-q", "-m", f"commit {number}", cwd=folder)
        say("synced", number, run("git", "rev-parse", "HEAD", cwd=folder).strip())


def rows(mode: str, folder: Path, seed: int, say: Say) -> None:
    """SQLite commits, each synced."""
    database = sqlite3.connect(folder / "data.sqlite", isolation_level=None, timeout=60)
    database.execute(f"pragma journal_mode={mode}")
    database.execute("pragma synchronous=full")
    database.execute("create table line (number integer primary key, words text)")
    number = 0
    while True:
        begin = number * ROWS_OF_A_COMMIT
        database.execute("begin")
        database.executemany("insert into line values (?, ?)", map(row, range(begin, begin + ROWS_OF_A_COMMIT)))
        database.execute("commit")
        number += 1
        say("synced", number)


PROGRAMS: dict[str, Callable[[Path, int, Say], None]] = {
    "lines": lines,
    "versions": versions,
    "large": large,
    "folders": folders,
    "commits": commits,
    "rows-delete": lambda folder, seed, say: rows("delete", folder, seed, say),
    "rows-wal": lambda folder, seed, say: rows("wal", folder, seed, say),
}


def main(program: str, folder: Path, seed: int) -> None:
    def say(level: str, number: int, word: str = "-") -> None:
        os.write(1, f"{level} {number} {word}\n".encode())

    try:
        folder.mkdir()
        PROGRAMS[program](folder, seed, say)
    except (OSError, sqlite3.Error, AssertionError, subprocess.SubprocessError) as error:
        os.write(2, f"{program}: {error}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
