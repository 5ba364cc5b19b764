"""What must be in a folder after a crash, by what the program of ``labour.py`` that worked there had been told.

Steps come one after the other, so those that are there must be the first so many, each whole; the step that was under
way may be there, in part, or not.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.crash import labour
from tests.support.programs import run


class Said(NamedTuple):
    """What a program had said: how many steps it had been told are done, at a level, and the words of those."""

    steps: int
    words: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """``found`` of the ``acknowledged`` things are there; and what else is wrong."""

    acknowledged: int
    found: int
    complaints: list[str]


def judge(program: str, folder: Path, seed: int, said: Said) -> Verdict:
    """Look at the folder that the program worked in; what cannot be read or is not whole at all counts for nothing."""
    if not said.steps:
        return Verdict(0, 0, [])
    try:
        return JUDGES[program](folder, seed, said)
    except (OSError, sqlite3.Error, AssertionError) as error:
        return Verdict(said.steps, 0, [f"{error}"])


def lines(folder: Path, seed: int, said: Said) -> Verdict:
    """Lines."""
    content, number = (folder / "log").read_bytes(), 0
    while content.startswith(following := labour.line(seed, number + 1)):
        content, number = content[len(following) :], number + 1
    complaints = [] if following.startswith(content) else [f"after line {number} comes {content[:40]!r}"]
    return Verdict(said.steps, min(number, said.steps), complaints)


def versions(folder: Path, seed: int, said: Said) -> Verdict:
    """Names: each shows the version that it was last given, or a later one."""
    last = {step % labour.NAMES: step for step in range(1, said.steps + 1)}
    found, complaints = 0, []
    for index, step in last.items():
        content = _bytes_of(folder / f"file{index}")
        shown = int(content.partition(b"\n")[0] or b"0") if content[:1].isdigit() or not content else 0
        if content and content != labour.version(seed, shown):
            complaints.append(f"file{index} is no version that was written")
        elif shown >= step:
            found += 1
    return Verdict(len(last), found, complaints)


def large(folder: Path, seed: int, said: Said) -> Verdict:
    """Pieces of files."""
    found, size = 0, labour.PIECE_BYTES
    for number in range(1, said.steps + 1):
        file, at = divmod(number - 1, labour.PIECES_OF_A_FILE)
        content = _bytes_of(folder / f"large{file}")[at * size : (at + 1) * size]
        found += content == labour.made(seed, "piece", number, size=size)
    return Verdict(said.steps, found, [])


def folders(folder: Path, seed: int, said: Said) -> Verdict:
    """Folders, each at the last place that it was moved to; only the step under way may have moved the last one on."""
    found, complaints = 0, []
    for number in range(1, said.steps + 1):
        here, archived = folder / f"done{number}", folder / "archive" / f"done{number}"
        if here.exists() and archived.exists():
            complaints.append(f"done{number} is in two places")
        place = archived if archived.exists() or number < said.steps else here
        contents = [_bytes_of(place / f"{index}") for index in range(labour.FILES_OF_A_FOLDER)]
        first = number * labour.FILES_OF_A_FOLDER
        found += contents == [labour.version(seed, first + index) for index in range(len(contents))]
    return Verdict(said.steps, found, complaints)


def commits(folder: Path, seed: int, said: Said) -> Verdict:
    """Commits that the branch leads to, with their files.

    Locks of a git that died are in the way, and git says that its user shall remove them.
    """
    for lock in folder.glob(".git/**/*.lock"):
        lock.unlink()
    run("git", "fsck", "--full", "--strict", cwd=folder)
    reached = set(run("git", "rev-list", "HEAD", cwd=folder).split())
    changed = run("git", "status", "--porcelain", cwd=folder).splitlines()
    complaints = [f"git status: {changed}"] if len(changed) > 1 else []
    found = 0
    for number, word in enumerate(said.words, 1):
        content = _bytes_of(folder / f"part{number % 3}" / f"file{number}")
        found += word in reached and content == labour.line(seed, number)
    return Verdict(said.steps, found, complaints)


def rows(folder: Path, seed: int, said: Said) -> Verdict:
    """Commits of rows; a database that is not whole holds nothing."""
    database = sqlite3.connect(folder / "data.sqlite", isolation_level=None)
    try:
        checked = database.execute("pragma integrity_check").fetchall()
        rows = database.execute("select number, words from line order by number").fetchall()
    finally:
        database.close()
    if checked != [("ok",)]:
        return Verdict(said.steps, 0, [f"integrity_check: {checked}"])
    complaints = []
    if rows != [labour.row(number) for number in range(len(rows))] or len(rows) % labour.ROWS_OF_A_COMMIT:
        complaints = ["the rows are not those of whole commits"]
    return Verdict(said.steps, min(len(rows) // labour.ROWS_OF_A_COMMIT, said.steps), complaints)


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


JUDGES: dict[str, Callable[[Path, int, Said], Verdict]] = {
    "lines": lines,
    "versions": versions,
    "large": large,
    "folders": folders,
    "commits": commits,
    "rows-delete": rows,
    "rows-wal": rows,
}
