"""git works on the mount: clone, commit, rebase, gc and fsck, and its own checks agree."""

import random
from pathlib import Path

import pytest

from tests.support.programs import run


def write_files(repository: Path, seed: int, count: int) -> None:
    """``count`` text files in nested folders; the same seed writes the same bytes."""
    source = random.Random(seed)
    for number in range(count):
        folder = repository / f"part{number % 7}" / f"piece{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{source.getrandbits(64):016x} line {line}\n" for line in range(source.randint(1, 60))]
        (folder / f"file{number}.txt").write_text("".join(lines))


def commit_all(repository: Path, message: str) -> None:
    run("git", "add", "--all", cwd=repository)
    run("git", "commit", "-q", "-m", message, cwd=repository)


@pytest.fixture
def origin(place: Path) -> Path:
    repository = place / "origin"
    run("git", "init", "-q", "-b", "main", repository)
    for round_number in range(3):
        write_files(repository, round_number, 60)
        commit_all(repository, f"round {round_number}")
    return repository


def test_git_rebases_collects_and_finds_its_repository_whole(origin: Path, place: Path) -> None:
    clone = place / "clone"
    run("git", "clone", "-q", "--no-hardlinks", origin, clone)
    run("git", "checkout", "-q", "-b", "topic", "HEAD~1", cwd=clone)
    for number in range(5):
        (clone / f"topic{number}.txt").write_text(f"topic {number}\n")
        commit_all(clone, f"topic {number}")
    run("git", "rebase", "-q", "main", cwd=clone)
    run("git", "gc", "-q", "--aggressive", "--prune=now", cwd=clone)
    run("git", "fsck", "--full", "--strict", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""
    assert run("git", "rev-list", "--count", "HEAD", cwd=clone).strip() == "8"
    run("git", "push", "-q", "origin", "topic", cwd=clone)
    run("git", "fsck", "--full", "--strict", cwd=origin)


def test_a_fresh_checkout_equals_the_tree_that_was_committed(origin: Path, place: Path) -> None:
    copy = place / "copy"
    run("git", "clone", "-q", f"file://{origin}", copy)
    run("diff", "-r", "--exclude=.git", origin, copy)
