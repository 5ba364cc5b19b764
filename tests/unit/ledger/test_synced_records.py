"""P2 where the journal is full for a moment."""

from pathlib import Path

import pytest
import trio

from tests.support.ledgers import Lab
from vaultairefs.journal import JournalEntry
from vaultairefs.model.changes import BodySynced
from vaultairefs.model.errors import OutOfSpace


def test_a_sync_that_finds_no_room_takes_nothing_from_the_next(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files reach the disk; the first fsync cannot say so, the second must not forget."""
    lab = Lab(base / "1")
    inos = [lab.write_whole(name, b"old") for name in (b"a", b"b")]
    for ino in inos:
        lab.flush(ino)
        lab.open(ino)
        lab.write(ino, 0, b"new")
        trio.run(lab.ledger.sync_body, ino)
    append = lab.ledger._journal.append

    def full(entry: JournalEntry, *, is_urgent: bool = False) -> None:
        if isinstance(entry.change, BodySynced):
            raise OutOfSpace("no room")
        append(entry)

    with monkeypatch.context() as patch:
        patch.setattr(lab.ledger._journal, "append", full)
        with pytest.raises(OutOfSpace):
            lab.sync()
    lab.sync()
    cut = Lab(lab.copy(base / "2", power_cut=True))
    assert [cut.ledger.buffer.read(ino, 0, 3) for ino in inos] == [b"new", b"new"]
    cut.abandon()
    lab.abandon()
