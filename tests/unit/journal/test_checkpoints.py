"""A checkpoint is there whole or not at all, and a damaged one makes way for the one before it."""

import hashlib
import os
import struct
from pathlib import Path

import pytest

from tests.support.killing import acknowledged_before_kill
from tests.support.small_disk import small_disk
from vaultairefs.journal import Journal
from vaultairefs.model.errors import BadInput, DeviceFailed, OutOfSpace
from vaultairefs.model.values import Sequence


class Kept:
    """A quarantine directory beside the journal."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory

    def __call__(self, name: str, content: bytes | str | os.PathLike[str], reason: str) -> None:
        assert not isinstance(content, bytes)
        Path(content).rename(self.directory / name)

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "quarantine")


@pytest.fixture
def journal_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "journal"
    directory.mkdir()
    return directory


def open_journal(directory: Path, kept: Kept) -> Journal:
    return Journal(directory, boot="boot", quarantine=kept)


def test_the_newest_checkpoint_is_read(journal_directory: Path, kept: Kept) -> None:
    journal = open_journal(journal_directory, kept)
    assert journal.read_checkpoint() is None
    for sequence in (5, 300, 70_000):
        journal.write_checkpoint(Sequence(sequence), b"state %d" % sequence)
    assert open_journal(journal_directory, kept).read_checkpoint() == (70_000, b"state 70000")


def test_the_two_newest_are_kept(journal_directory: Path, kept: Kept) -> None:
    journal = open_journal(journal_directory, kept)
    for sequence in (5, 300, 70_000):
        journal.write_checkpoint(Sequence(sequence), b"state")
    assert sorted(os.listdir(journal_directory)) == ["checkpoint-000000000000012c", "checkpoint-0000000000011170"]


def test_an_empty_state_is_a_state(journal_directory: Path, kept: Kept) -> None:
    open_journal(journal_directory, kept).write_checkpoint(Sequence(0), b"")
    assert open_journal(journal_directory, kept).read_checkpoint() == (0, b"")


def two_checkpoints(directory: Path, kept: Kept) -> Path:
    journal = open_journal(directory, kept)
    journal.write_checkpoint(Sequence(10), b"older state")
    journal.write_checkpoint(Sequence(20), b"newer state")
    return directory / "checkpoint-0000000000000014"


def test_damage_in_any_byte_makes_way_for_the_one_before(journal_directory: Path, kept: Kept) -> None:
    path = two_checkpoints(journal_directory, kept)
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :]
        path.write_bytes(damaged)
        journal = open_journal(journal_directory, kept)
        assert journal.read_checkpoint() == (10, b"older state")
        assert len(journal.damage) == 1 and path.name in journal.damage[0]
        assert kept.contents() == {path.name: damaged}


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.99])
def test_a_cut_off_checkpoint_makes_way_for_the_one_before(journal_directory: Path, kept: Kept, share: float) -> None:
    path = two_checkpoints(journal_directory, kept)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert open_journal(journal_directory, kept).read_checkpoint() == (10, b"older state")


def test_when_all_are_damaged_there_is_none_and_all_are_kept_aside(journal_directory: Path, kept: Kept) -> None:
    two_checkpoints(journal_directory, kept)
    for path in journal_directory.iterdir():
        path.write_bytes(b"garbage")
    journal = open_journal(journal_directory, kept)
    assert journal.read_checkpoint() is None
    assert len(journal.damage) == len(kept.contents()) == 2
    assert os.listdir(journal_directory) == []


def test_a_checkpoint_under_the_name_of_another_is_damage(journal_directory: Path, kept: Kept) -> None:
    path = two_checkpoints(journal_directory, kept)
    path.rename(journal_directory / "checkpoint-0000000000000fff")
    assert open_journal(journal_directory, kept).read_checkpoint() == (10, b"older state")


def test_a_newer_checkpoint_is_refused_untouched(journal_directory: Path, kept: Kept) -> None:
    path = two_checkpoints(journal_directory, kept)
    head = struct.pack("<8sIQQ", b"VAULTCKP", 2, 20, 5)
    newer = head + hashlib.blake2b(head + b"state", digest_size=32).digest() + b"state"
    path.write_bytes(newer)
    with pytest.raises(BadInput):
        open_journal(journal_directory, kept).read_checkpoint()
    assert path.read_bytes() == newer
    assert kept.contents() == {}


def test_a_checkpoint_that_does_not_fit_leaves_the_older_ones(tmp_path: Path, kept: Kept) -> None:
    with small_disk(tmp_path / "small", 64 << 10) as directory:
        journal = open_journal(directory, kept)
        journal.write_checkpoint(Sequence(10), b"older state")
        with pytest.raises(OutOfSpace):
            journal.write_checkpoint(Sequence(20), b"x" * (1 << 20))
        assert os.listdir(directory) == ["checkpoint-000000000000000a"]
        assert open_journal(directory, kept).read_checkpoint() == (10, b"older state")


def test_a_checkpoint_never_runs_ahead_of_its_journal(
    journal_directory: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(journal_directory, kept)
    journal.mark(Sequence(0))

    def fail(_: int) -> None:
        raise OSError(5, "gone")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(DeviceFailed):
        journal.write_checkpoint(Sequence(10), b"state")
    assert open_journal(journal_directory, kept).read_checkpoint() is None


WRITER = """
import sys
from vaultairefs.journal import Journal
journal = Journal(sys.argv[1], boot="child", quarantine=None)
sequence, state = journal.read_checkpoint() or (0, b"")
assert not journal.damage and state == b"%d " % sequence * sequence, "a checkpoint must be whole"
while True:
    sequence += 1
    journal.write_checkpoint(sequence, b"%d " % sequence * sequence)
    print(sequence, flush=True)
"""


def test_after_kill_9_the_newest_written_checkpoint_is_whole(journal_directory: Path, kept: Kept) -> None:
    for lines in (1, 3, 7, 11):
        heard = acknowledged_before_kill(WRITER, journal_directory, lines=lines)
        journal = open_journal(journal_directory, kept)
        found = journal.read_checkpoint()
        assert found is not None
        sequence, state = found
        assert sequence >= int(heard[-1])
        assert state == b"%d " % sequence * sequence
        assert journal.damage == []
        assert not list(journal_directory.glob("*.tmp"))
