"""Looking at a state directory shows what its daemon left, and leaves it as it was."""

import hashlib
from pathlib import Path

from tests.support.ledgers import Lab
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.ledger import fingerprint
from vaultairefs.ledger.inspection import inspect
from vaultairefs.model.values import ROOT


def digests(directory: Path) -> dict[str, str]:
    """Every file but the lock, which says who looked last."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_rooms_are_those_of_the_last_daemon_and_nothing_is_changed(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "state")
    folder = lab.container(b"d")
    flushed = lab.write_whole(b"a", b"stored", folder)
    lab.flush(flushed)
    lab.checkpoint()
    lab.write_whole(b"b", b"owed")
    lab.rename(b"b", b"c", ROOT, folder)
    lab.remove(b"a", folder)
    live = lab.ledger.fingerprint()
    lab.abandon()
    before = digests(tmp_path / "state")
    state = StateDirectory.reopen(tmp_path / "state")
    rooms, damage = inspect(state)
    assert damage == []
    assert fingerprint.fingerprint(rooms) == live
    rooms.buffer.files.close()
    state.close(clean=state.was_clean)
    assert digests(tmp_path / "state") == before


def test_an_unreadable_end_is_told_of_and_left_in_place(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "state")
    lab.write_whole(b"a", b"1")
    lab.abandon()
    segment = max((tmp_path / "state" / "journal").glob("journal-*"))
    with segment.open("ab") as file:
        file.write(b"\x07\0\0\0 not a frame")
    before = segment.read_bytes()
    state = StateDirectory.reopen(tmp_path / "state")
    rooms, damage = inspect(state)
    assert len(damage) == 1 and rooms.namespace.child(ROOT, b"a") is not None
    assert segment.read_bytes() == before
    state.close(clean=False)
