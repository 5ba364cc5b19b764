"""A change is posted exactly when it is in the journal."""

import os
from pathlib import Path

import pytest
import trio

from tests.support.ledgers import Lab
from tests.support.small_disk import fill, small_disk
from tests.unit.ledger.conftest import OpenLab
from vaultairefs.buffer import Phase
from vaultairefs.model import changes, context
from vaultairefs.model.errors import AlreadyExists, DeviceFailed, OutOfSpace, ReadOnly, Stale
from vaultairefs.model.values import ROOT, Ino, Kind, Sequence, Version


def test_sequences_are_dense(lab: Lab) -> None:
    first = lab.commit(changes.AttributesSet(ROOT, 0o700, 0, 0, 0, 0, 0))
    assert lab.commit(changes.AttributesSet(ROOT, 0o700, 0, 0, 0, 0, 0)) == first + 1


def test_a_change_that_does_not_fit_is_neither_journalled_nor_posted(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    lab.file(b"a")
    before = lab.ledger.fingerprint()
    with pytest.raises(AlreadyExists):
        lab.file(b"a")
    with pytest.raises(Stale):
        lab.commit(changes.ExtentsFetched(Ino(99), ((0, 1),), Version("v"), 5))
    assert lab.ledger.fingerprint() == before
    assert open_lab(lab.copy(base / "copy")).ledger.recovered.changes_replayed == 1


def test_a_journal_without_room_refuses_the_change_and_takes_a_later_one(base: Path) -> None:
    with small_disk(base / "disk", 16 << 20) as disk:
        lab = Lab(disk / "state")
        filler = fill(disk)
        before = lab.ledger.fingerprint()
        with pytest.raises(OutOfSpace):
            for number in range(1 << 20):
                lab.commit(changes.XattrSet(ROOT, b"user.%d" % (number % 10), bytes(8000), number))
                before = lab.ledger.fingerprint()
        assert lab.ledger.fingerprint() == before
        filler.unlink()
        lab.file(b"a")
        copy = Lab(lab.copy(base / "copy"))
        assert copy.ledger.fingerprint() == lab.ledger.fingerprint()
        copy.abandon()
        lab.abandon()


def test_a_change_that_cannot_be_posted_makes_the_volume_read_only(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, base: Path, open_lab: OpenLab
) -> None:
    ino = lab.file(b"a", opened=True)
    with monkeypatch.context() as patch:
        patch.setattr(lab.ledger.backlog, "apply", lambda sequence, change: 1 // 0)
        with pytest.raises(ReadOnly):
            lab.commit(changes.AttributesSet(ROOT, 0o700, 0, 0, 0, 0, 0))
    with pytest.raises(ReadOnly):
        lab.file(b"b")
    with pytest.raises(ReadOnly):
        lab.ledger.note_write(ino, 0, 1, 1)
    assert open_lab(lab.copy(base / "copy")).child(b"a").ino == ino, "the next life goes on"


def test_the_journal_says_who_asked(lab: Lab) -> None:
    token = context.enter(context.OperationContext(operation_id=77, operation="mkdir", pid=5, uid=6))
    lab.container(b"a")
    context.leave(token)
    lab.ledger._journal.close()
    [entry] = lab.ledger._journal.entries(Sequence(0))
    assert (entry.operation_id, entry.operation, entry.pid, entry.uid) == (77, "mkdir", 5, 6)


def test_a_noted_write_moves_size_times_and_debt_without_a_record(lab: Lab) -> None:
    ino = lab.file(b"a", opened=True)
    lab.flush(ino)
    sequence = lab.ledger._sequence
    generation = lab.child(b"a").content_generation
    lab.ledger.buffer.write(ino, 10, b"x" * 5)
    lab.ledger.note_write(ino, 10, 5, 12345)
    inode, body = lab.child(b"a"), lab.body(ino)
    assert (inode.size, inode.mtime_ns, inode.ctime_ns) == (15, 12345, 12345)
    assert inode.content_generation > generation
    assert (body.size, list(body.dirty), body.unflushed) == (15, [(0, 15)], True)
    assert lab.ledger.backlog.owes_content(ino)
    assert lab.ledger._sequence == sequence


def test_a_noted_write_to_an_unlinked_file_owes_nothing(lab: Lab) -> None:
    ino = lab.file(b"a", opened=True)
    lab.remove(b"a")
    lab.write(ino, 0, b"x")
    assert not lab.ledger.backlog.owes_content(ino)
    assert lab.ledger.buffer.read(ino, 0, 1) == b"x"


def test_the_change_that_closes_a_body_says_whether_it_is_owed(lab: Lab) -> None:
    ino = lab.file(b"a", opened=True)
    lab.write(ino, 0, b"x")
    assert lab.ledger.body_closed(ino).changed
    lab.flush(ino)
    closed = lab.ledger.body_closed(ino)
    assert (closed.changed, closed.size) == (False, 1)


def test_opening_a_body_gives_its_file_the_mtime_that_programs_see(lab: Lab) -> None:
    ino = lab.write_whole(b"a", b"x")
    lab.commit(changes.AttributesSet(ino, 0o600, 0, 0, 5, 6, 7))
    lab.commit(changes.BodyOpened(ino))
    status = lab.ledger.buffer.stat(ino)
    assert status is not None
    assert status.st_mtime_ns == 6


def test_an_absent_body_begins_from_the_version_the_engine_holds(lab: Lab) -> None:
    ino = lab.discover(b"a", b"hello")
    body = lab.ledger.begin_body(ino)
    assert (body.base_version, body.base_size, body.partial) == ("d0", 5, True)
    assert lab.ledger.begin_body(ino) is body


def test_a_body_that_exists_nowhere_cannot_begin(lab: Lab) -> None:
    ino = lab.discover(b"a", b"hello")
    lab.commit(changes.ArtifactDeleted(ino, ROOT, b"a"))
    with pytest.raises(Stale):
        lab.ledger.begin_body(ino)


def test_truncation_of_an_absent_body_keeps_the_engines_bytes_in_front(lab: Lab) -> None:
    ino = lab.discover(b"a", b"hello")
    lab.truncate(ino, 3)
    assert lab.content(ino) == b"hel"
    lab.truncate(ino, 6)
    assert lab.content(ino) == b"hel\0\0\0"
    assert lab.body(ino).partial


def test_an_inode_is_dropped_only_when_nothing_needs_it(lab: Lab, base: Path) -> None:
    ino = lab.file(b"a", opened=True)
    lab.write(ino, 0, b"x")
    lab.ledger.drop(ino)
    assert lab.child(b"a").ino == ino, "it has a name"
    lab.remove(b"a")
    assert lab.ledger.namespace.find(ino) is not None, "it is open"
    lab.ledger.buffer.let_go(ino, writing=True)
    lab.ledger.drop(ino)
    lab.ledger.drop(ino)
    assert lab.ledger.namespace.find(ino) is None
    lab.sync()
    assert [path for path in (base / "state/bodies").rglob("*") if path.is_file()] == []


def test_operation_ids_grow_across_lives(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    first = lab.ledger.next_operation_id()
    token = context.enter(context.OperationContext(operation_id=first + 40, operation="mkdir"))
    lab.container(b"a")
    context.leave(token)
    second = open_lab(lab.copy(base / "copy"))
    assert second.ledger.next_operation_id() > first + 40
    second.checkpoint()
    third = open_lab(second.copy(base / "third"))
    assert third.ledger.next_operation_id() > first + 41


def test_a_new_root_belongs_to_whoever_mounts(base: Path, open_lab: OpenLab) -> None:
    lab = open_lab(base / "mine", root_owner=(os.getuid() + 7, 8))
    root = lab.ledger.namespace.get(ROOT)
    assert (root.uid, root.gid, root.mode, root.kind) == (os.getuid() + 7, 8, 0o755, Kind.CONTAINER)
    again = open_lab(lab.copy(base / "copy"), root_owner=(0, 0))
    assert again.ledger.namespace.get(ROOT).uid == os.getuid() + 7


def test_a_file_of_the_engine_without_bytes_needs_no_body_file(lab: Lab) -> None:
    ino = lab.discover(b"a", b"")
    lab.ledger.begin_body(ino)
    assert lab.body(ino).complete
    assert lab.body(ino).phase is Phase.CLOSED
    assert lab.ledger.buffer.stat(ino) is None


def test_nothing_is_committed_after_close(lab: Lab) -> None:
    trio.run(lab.ledger.close)
    with pytest.raises(ReadOnly):
        lab.file(b"a")
    assert not isinstance(lab.ledger.refusal, DeviceFailed)
