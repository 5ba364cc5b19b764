"""Bytes that reached a body file, and not the journal, before a crash are nobody's bytes."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.ledgers import Lab
from vaultairefs.model import changes
from vaultairefs.model.errors import OutOfSpace


@pytest.mark.parametrize("power_cut", [False, True])
def test_they_do_not_show_up_in_a_hole_that_is_made_later(base: Path, power_cut: bool) -> None:
    lab = Lab(base / "1")
    ino = lab.discover(b"f", b"0123456789")
    lab.write(ino, 2, b"x")
    lab.fsync(ino)
    lab.ledger.buffer.write(ino, 20, b"unrecorded")
    lab.abandon()
    again = Lab(lab.copy(base / "2", power_cut=power_cut))
    again.engine = lab.engine
    assert again.child(b"f").size == 10
    again.write(ino, 40, b"y")
    assert again.ledger.buffer.read(ino, 10, 31) == bytes(30) + b"y"
    again.commit(changes.Truncated(ino, 50, again.now()))
    again.ledger.buffer.truncate_file(ino, 50)
    assert again.ledger.buffer.read(ino, 10, 40) == bytes(30) + b"y" + bytes(9)
    again.abandon()


def test_they_do_not_show_up_when_the_file_grows(base: Path) -> None:
    lab = Lab(base / "1")
    ino = lab.discover(b"f", b"0123456789")
    lab.write(ino, 2, b"x")
    lab.ledger.buffer.write(ino, 20, b"unrecorded")
    lab.abandon()
    again = Lab(lab.copy(base / "2"))
    again.truncate(ino, 40)
    assert again.ledger.buffer.read(ino, 10, 30) == bytes(30)
    again.abandon()


def test_bytes_whose_record_found_no_room_are_taken_back(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(entry: Any, *, is_urgent: bool = False) -> None:
        raise OutOfSpace

    lab = Lab(base / "1")
    ino = lab.discover(b"f", b"0123456789")
    lab.write(ino, 2, b"x")
    with monkeypatch.context() as patch:
        patch.setattr(lab.ledger._journal, "append", full)
        with pytest.raises(OutOfSpace):
            lab.write(ino, 20, b"unrecorded")
    lab.truncate(ino, 40)
    assert lab.ledger.buffer.read(ino, 10, 30) == bytes(30)
    lab.abandon()
