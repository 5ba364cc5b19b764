"""The journal: entries come back in order without a gap, and what is unreadable is kept and said."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.killing import acknowledged_before_kill
from tests.support.small_disk import fill, small_disk
from vaultairefs.disk import frames
from vaultairefs.journal import Journal, JournalEntry
from vaultairefs.journal.entry import encode
from vaultairefs.model.changes import EntryRemoved, FileCreated
from vaultairefs.model.errors import BadInput, DeviceFailed, OutOfSpace
from vaultairefs.model.values import ROOT, Attributes, Ino, Kind, Sequence

START = Sequence(0)
FIRST_SEGMENT = "journal-0000000000000001.log"


class Kept:
    """A quarantine in memory."""

    def __init__(self) -> None:
        self.things: list[tuple[str, bytes, str]] = []

    def __call__(self, name: str, content: bytes | str | os.PathLike[str], reason: str) -> None:
        if not isinstance(content, bytes):
            path = Path(content)
            content = path.read_bytes()
            path.unlink()
        self.things.append((name, content, reason))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def open_journal(tmp_path: Path, kept: Kept) -> Callable[[], Journal]:
    return lambda: Journal(tmp_path, boot="boot", quarantine=kept, segment_bytes=4096)


Opener = Callable[[], Journal]


def entry(number: int) -> JournalEntry:
    name = b"name-%d" % number * (number % 5 + 1)
    return JournalEntry(
        Sequence(number),
        1_000_000 + number,
        number * 2,
        "unlink",
        77,
        1000,
        EntryRemoved(Ino(number), ROOT, name, number),
    )


def fill_journal(journal: Journal, first: int, last: int) -> None:
    for number in range(first, last + 1):
        journal.append(entry(number))


def sequences(journal: Journal, after: int = 0) -> list[int]:
    return [found.sequence for found in journal.entries(Sequence(after))]


def upto(last: int, first: int = 1) -> list[int]:
    return list(range(first, last + 1))


def test_entries_come_back_as_they_were_over_many_segments_and_lives(open_journal: Opener) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 120)
    journal.close()
    journal = open_journal()
    assert sequences(journal) == upto(120)
    fill_journal(journal, 121, 200)
    assert list(open_journal().entries(START)) == [entry(number) for number in upto(200)]
    assert journal.damage == []


def test_every_kind_of_field_survives_the_encoding(open_journal: Opener) -> None:
    attributes = Attributes(Kind.FILE, 0o4755, 1, 2, -5, 6, 7, 8, b"t\xff", {b"user.x": b"\0\xff"})
    one = JournalEntry(Sequence(1), 5, 6, "create", 7, 8, FileCreated(Ino(9), ROOT, b"\xff/", attributes, True))
    open_journal().append(one)
    assert list(open_journal().entries(START)) == [one]


def test_what_a_checkpoint_covers_is_skipped(open_journal: Opener) -> None:
    fill_journal(open_journal(), 1, 100)
    assert sequences(open_journal(), after=40) == upto(100, first=41)
    assert sequences(open_journal(), after=100) == []
    assert sequences(open_journal(), after=500) == []


def test_sync_marks_are_yielded_in_their_place_as_entries_without_a_change(open_journal: Opener) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 3)
    journal.mark(Sequence(3), 99)
    fill_journal(journal, 4, 5)
    journal.mark(Sequence(4))
    found = list(open_journal().entries(Sequence(2)))
    assert [(one.sequence, one.change is None) for one in found] == [
        (3, False),
        (3, True),
        (4, False),
        (5, False),
        (4, True),
    ]
    assert found[1].time_ns == 99


def test_a_last_entry_torn_at_any_byte_is_quarantined_and_its_sequence_used_again(
    tmp_path: Path, open_journal: Opener, kept: Kept
) -> None:
    fill_journal(open_journal(), 1, 4)
    path = tmp_path / FIRST_SEGMENT
    whole = path.read_bytes()
    start = len(whole.rstrip(b"\0")) - len(encode(entry(4))) - frames.FRAME_BYTES
    for cut in range(start + 1, len(whole.rstrip(b"\0"))):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        kept.things.clear()
        journal = open_journal()
        assert sequences(journal) == upto(3)
        assert len(journal.damage) == 1 and "torn" in journal.damage[0]
        assert kept.things == [(f"{FIRST_SEGMENT}.tail", whole[start:cut].rstrip(b"\0"), journal.damage[0])]
        journal.append(entry(4))
        again = open_journal()
        assert sequences(again) == upto(4)
        assert again.damage == []
        journal.close()
        os.unlink(tmp_path / "journal-0000000000000004.log")


def test_a_flipped_bit_in_the_middle_is_said_and_everything_behind_it_is_kept_aside(
    tmp_path: Path, open_journal: Opener, kept: Kept
) -> None:
    fill_journal(open_journal(), 1, 200)
    path = tmp_path / FIRST_SEGMENT
    others = [other.read_bytes().rstrip(b"\0") for other in sorted(tmp_path.iterdir())[1:]]
    whole = bytearray(path.read_bytes())
    at = whole.index(encode(entry(30)))
    whole[at + 5] ^= 0x04
    path.write_bytes(whole)
    journal = open_journal()
    assert sequences(journal) == upto(29)
    assert journal.damage == [f"journal: record 30 is damaged (segment 1, byte {at - frames.FRAME_BYTES})"]
    first, *rest = [content for _, content, _ in kept.things]
    assert first == bytes(whole[at - frames.FRAME_BYTES :]).rstrip(b"\0")
    assert rest == others and len(others) >= 2
    fill_journal(journal, 30, 35)
    again = open_journal()
    assert sequences(again) == upto(35)
    assert again.damage == []


def test_damage_among_old_entries_costs_nothing_that_the_checkpoint_does_not_cover(
    tmp_path: Path, open_journal: Opener, kept: Kept
) -> None:
    fill_journal(open_journal(), 1, 200)
    path = tmp_path / FIRST_SEGMENT
    whole = bytearray(path.read_bytes())
    whole[500] ^= 0x04
    path.write_bytes(whole)
    journal = open_journal()
    assert sequences(journal, after=150) == upto(200, first=151)
    assert (journal.damage, kept.things) == ([], [])


def test_a_gap_is_damage(tmp_path: Path, open_journal: Opener, kept: Kept) -> None:
    fill_journal(open_journal(), 1, 10)
    journal = open_journal()
    fill_journal(journal, 12, 14)
    journal = open_journal()
    assert sequences(journal) == upto(10)
    assert journal.damage == ["journal: entry 11 is missing before 12"]
    assert b"name-12" in kept.things[0][1]
    assert sequences(open_journal()) == upto(10)


def test_a_gap_that_the_checkpoint_covers_is_none(open_journal: Opener) -> None:
    fill_journal(open_journal(), 1, 10)
    journal = open_journal()
    fill_journal(journal, 21, 25)
    journal = open_journal()
    assert sequences(journal, after=20) == upto(25, first=21)
    assert journal.damage == []


def test_a_journal_that_begins_too_late_is_damage(open_journal: Opener, kept: Kept) -> None:
    fill_journal(open_journal(), 5, 9)
    journal = open_journal()
    assert sequences(journal) == []
    assert journal.damage == ["journal: entry 1 is missing before 5"]
    assert len(kept.things) == 1


def test_a_repeated_sequence_is_damage(open_journal: Opener) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 5)
    journal.append(entry(4))
    journal = open_journal()
    assert sequences(journal) == upto(5)
    assert journal.damage == ["journal: entry 4 stands behind 5"]


def test_an_entry_that_cannot_be_decoded_is_damage(open_journal: Opener, kept: Kept) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 5)
    journal._log.append(msgspec.msgpack.encode([6, 0, 0, "", 0, 0, [250, 1]]))
    fill_journal(journal, 7, 8)
    journal = open_journal()
    assert sequences(journal) == upto(5)
    assert "record 6 cannot be decoded" in journal.damage[0]
    assert b"name-8" in kept.things[0][1]


def test_nothing_is_cut_when_quarantine_has_no_room(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OutOfSpace

    fill_journal(Journal(tmp_path, boot="boot", quarantine=refuse), 1, 20)
    path = tmp_path / FIRST_SEGMENT
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(OutOfSpace):
        sequences(Journal(tmp_path, boot="boot", quarantine=refuse))
    assert path.read_bytes() == damaged


def test_a_recovery_that_ends_early_cuts_what_it_did_not_want(open_journal: Opener, kept: Kept) -> None:
    fill_journal(open_journal(), 1, 200)
    journal = open_journal()
    for found in journal.entries(START):
        if found.sequence == 57:
            break
    journal.truncate_after(Sequence(57), "rename-over of a lost body")
    assert b"name-58" in kept.things[0][1] and kept.things[0][2] == "rename-over of a lost body"
    journal.append(entry(58))
    again = open_journal()
    assert sequences(again) == upto(58)
    assert again.damage == []


def test_truncating_behind_the_end_changes_nothing(open_journal: Opener, kept: Kept) -> None:
    journal = open_journal()
    journal.truncate_after(START, "nothing there")
    fill_journal(journal, 1, 30)
    journal = open_journal()
    journal.truncate_after(Sequence(30), "nothing behind")
    assert sequences(journal) == upto(30)
    assert kept.things == []


def test_a_newer_journal_is_refused_untouched(tmp_path: Path, open_journal: Opener, kept: Kept) -> None:
    newer = frames.pack_header(1, "boot", 99) + b"whatever"
    (tmp_path / FIRST_SEGMENT).write_bytes(newer)
    with pytest.raises(BadInput):
        sequences(open_journal())
    assert (tmp_path / FIRST_SEGMENT).read_bytes() == newer
    assert kept.things == []


def test_size_is_what_a_recovery_would_replay(open_journal: Opener) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 100)
    size = journal.size_bytes
    assert size == sum(len(encode(entry(number))) for number in upto(100))
    again = open_journal()
    assert (sequences(again, after=60), again.size_bytes) == (
        upto(100, first=61),
        sum(len(encode(entry(number))) for number in upto(100, first=61)),
    )
    journal.write_checkpoint(Sequence(100), b"state")
    assert journal.size_bytes == 0
    journal.append(entry(101))
    assert journal.size_bytes == len(encode(entry(101)))


def test_segments_go_only_when_both_kept_checkpoints_cover_them(tmp_path: Path, open_journal: Opener) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 100)
    journal.write_checkpoint(Sequence(100), b"one")
    journal.drop_through(Sequence(100))
    assert sequences(open_journal()) == upto(100), "the only checkpoint may turn out to be damaged"
    fill_journal(journal, 101, 200)
    journal.write_checkpoint(Sequence(200), b"two")
    before = len(list(tmp_path.iterdir()))
    journal.drop_through(Sequence(200))
    assert len(list(tmp_path.iterdir())) < before
    assert sequences(open_journal(), after=100) == upto(200, first=101), "the older checkpoint can still be used"
    fill_journal(journal, 201, 210)
    assert sequences(open_journal(), after=200) == upto(210, first=201)


def test_a_limit_below_the_checkpoints_is_kept_to(open_journal: Opener) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 200)
    journal.write_checkpoint(Sequence(150), b"one")
    journal.write_checkpoint(Sequence(200), b"two")
    journal.drop_through(Sequence(20))
    assert sequences(open_journal(), after=20) == upto(200, first=21)


def test_a_full_disk_refuses_an_entry_whole(tmp_path: Path, kept: Kept) -> None:
    with small_disk(tmp_path / "small", 128 << 10) as directory:
        journal = Journal(directory, boot="boot", quarantine=kept, segment_bytes=16 << 10)
        number = 1
        journal.append(entry(number))
        fill(directory).unlink()
        filler = fill(directory)
        with pytest.raises(OutOfSpace):
            while True:
                journal.append(entry(number + 1))
                number += 1
        size = journal.size_bytes
        assert sequences(Journal(directory, boot="boot", quarantine=kept)) == upto(number)
        filler.unlink()
        journal.append(entry(number + 1))
        assert journal.size_bytes > size
        again = Journal(directory, boot="boot", quarantine=kept)
        assert sequences(again) == upto(number + 1)
        assert again.damage == []
        journal.close()


def test_a_failed_sync_is_final(open_journal: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal()
    fill_journal(journal, 1, 3)

    def fail(_: int) -> None:
        raise OSError(5, "gone")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(DeviceFailed):
            journal.sync()
    with pytest.raises(DeviceFailed):
        journal.sync()
    with pytest.raises(DeviceFailed):
        journal.append(entry(4))
    with pytest.raises(DeviceFailed):
        journal.write_checkpoint(Sequence(3), b"state")


APPENDER = """
import sys
from vaultairefs.journal import Journal, JournalEntry
from vaultairefs.model.changes import EntryRemoved
journal = Journal(sys.argv[1], boot="child", quarantine=None, segment_bytes=8192)
number = sum(1 for _ in journal.entries(0)) + 1
assert not journal.damage
while True:
    change = EntryRemoved(number, 1, b"x" * (number % 200), number)
    journal.append(JournalEntry(number, number, number, "unlink", 1, 1, change))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_after_kill_9_every_entry_whose_append_returned_is_there(tmp_path: Path, kept: Kept) -> None:
    for life in range(3):
        heard = acknowledged_before_kill(APPENDER, tmp_path, lines=300 + 41 * life)
        journal = Journal(tmp_path, boot="boot", quarantine=kept)
        found = list(journal.entries(START))
        assert [one.sequence for one in found] == upto(len(found))
        assert len(found) >= int(heard[-1])
        assert all(isinstance(one.change, EntryRemoved) and one.change.time_ns == one.time_ns for one in found)
        assert journal.damage == []
