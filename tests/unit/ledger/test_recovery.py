"""What a new life makes of what the last one left: killed, cut off from power, or damaged."""

import os
import shutil
from pathlib import Path

import pytest
import trio

from tests.support.ledgers import Lab
from tests.unit.ledger.conftest import OpenLab
from vaultairefs.buffer import Phase
from vaultairefs.ledger import checkpoint
from vaultairefs.model import changes
from vaultairefs.model.errors import BadInput, Corrupt
from vaultairefs.model.values import ROOT, Ino


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def body_path(lab: Lab, copy: Path, ino: Ino) -> Path:
    """The file in ``copy`` of a body of ``lab``."""
    path = Path(lab.ledger.buffer.files.path(ino, lab.body(ino).body_id))
    return copy / path.relative_to(lab.directory)


# Killed


def test_an_open_file_counts_as_changed_with_the_size_and_time_of_its_body(
    lab: Lab, base: Path, open_lab: OpenLab
) -> None:
    ino = lab.file(b"a", opened=True)
    lab.flush(ino)
    lab.write(ino, 0, b"hello")
    status = lab.ledger.buffer.stat(ino)
    again = open_lab(lab.copy(base / "copy"))
    inode = again.child(b"a")
    assert status is not None
    assert (inode.size, inode.mtime_ns) == (5, status.st_mtime_ns)
    assert again.content(ino) == b"hello"
    assert again.ledger.backlog.owes_content(ino)
    assert again.body(ino).phase is Phase.CLOSED
    assert (again.ledger.recovered.bodies_reopened, again.ledger.recovered.changes_replayed) == (1, 2)
    third = open_lab(again.copy(base / "third"))
    assert third.ledger.recovered.bodies_reopened == 0, "that is recorded now"


def test_an_unlinked_open_file_is_gone_with_its_bytes(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.file(b"a", opened=True)
    lab.write(ino, 0, b"x")
    lab.remove(b"a")
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.namespace.find(ino) is None
    again.sync()
    assert files_in(base / "copy/bodies") == []


def test_an_orphan_lives_through_a_checkpoint_that_its_handle_outlives(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.file(b"a", opened=True)
    lab.remove(b"a")
    lab.checkpoint()
    lab.write(ino, 0, b"x")
    lab.commit(lab.ledger.body_closed(ino))
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.recovered.damage == []
    assert again.ledger.namespace.find(ino) is None


@pytest.mark.parametrize("size", [2, 9])
def test_a_kill_between_truncation_and_its_file_completes_it(
    lab: Lab, base: Path, open_lab: OpenLab, size: int
) -> None:
    whole, partial = lab.write_whole(b"whole", b"hello"), lab.discover(b"partial", b"hello")
    lab.fetch(partial, 0, 4)
    for ino in (whole, partial):
        lab.commit(changes.Truncated(ino, size, 1))
    again = open_lab(lab.copy(base / "copy"))
    again.engine = lab.engine
    for ino in (whole, partial):
        assert again.content(ino) == b"hello"[:size].ljust(size, b"\0")
        again.truncate(ino, 12)
        assert again.content(ino) == b"hello"[:size].ljust(12, b"\0"), "nothing comes back"


def test_body_files_that_no_record_speaks_of_are_removed_after_the_next_sync(
    lab: Lab, base: Path, open_lab: OpenLab
) -> None:
    lab.write_whole(b"a", b"x")
    copy = lab.copy(base / "copy")
    (copy / "bodies/77").mkdir()
    (copy / "bodies/77/9-77").write_bytes(b"left over")
    again = open_lab(copy)
    assert again.ledger.recovered.orphans_removed == 1
    assert "9-77" in files_in(copy / "bodies")
    again.sync()
    assert "9-77" not in files_in(copy / "bodies")
    assert len(files_in(copy / "bodies")) == 1


def test_used_bytes_are_measured_again(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    lab.write_whole(b"a", b"x" * 50_000)
    assert open_lab(lab.copy(base / "copy")).ledger.buffer.used_bytes == lab.ledger.buffer.used_bytes > 49_000


# Power


def cut(lab: Lab, target: Path) -> Path:
    return lab.copy(target, power_cut=True)


def test_clean_bodies_are_thrown_away_and_dirty_ones_kept(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    clean, dirty = lab.write_whole(b"clean", b"clean"), lab.write_whole(b"dirty", b"dirty")
    lab.flush(clean)
    lab.sync()
    again = open_lab(cut(lab, base / "copy"))
    again.engine = lab.engine
    assert again.ledger.recovered.power_was_cut
    assert again.ledger.recovered.bodies_discarded == 1
    assert not again.is_local(clean)
    assert (again.content(clean), again.content(dirty)) == (b"clean", b"dirty")
    again.sync()
    assert len(files_in(base / "copy/bodies")) == 1


def test_a_body_whose_version_the_engine_lost_is_not_thrown_away(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.write_whole(b"a", b"bytes")
    lab.flush(ino)
    lab.commit(changes.ArtifactDeleted(ino, ROOT, b"a"))
    lab.sync()
    again = open_lab(cut(lab, base / "copy"))
    assert again.content(ino) == b"bytes"


def test_a_file_that_lost_its_end_is_as_long_as_its_body(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.write_whole(b"a", b"hello")
    gone = lab.write_whole(b"gone", b"hello")
    lab.sync()
    copy = cut(lab, base / "copy")
    os.truncate(body_path(lab, copy, ino), 2)
    body_path(lab, copy, gone).unlink()
    again = open_lab(copy)
    assert (again.content(ino), again.content(gone)) == (b"he", b"")
    third = open_lab(again.copy(base / "third"))
    assert third.ledger.fingerprint() == again.ledger.fingerprint()


def test_what_was_only_fetched_never_replaces_the_engines_copy_with_holes(
    lab: Lab, base: Path, open_lab: OpenLab
) -> None:
    ino = lab.discover(b"a", b"precious")
    lab.fetch(ino)
    lab.open(ino)
    lab.write(ino, 0, b"P")
    lab.sync()
    copy = cut(lab, base / "copy")
    body_path(lab, copy, ino).write_bytes(bytes(8))
    again = open_lab(copy)
    again.engine = lab.engine
    assert again.content(ino) == b"precious"
    assert again.ledger.recovered.bodies_reverted == 1


def test_what_was_only_flushed_never_comes_back_as_holes(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.write_whole(b"a", b"flushed")
    lab.flush(ino)
    lab.open(ino)
    lab.write(ino, 7, b" and more")
    lab.sync()
    copy = cut(lab, base / "copy")
    body_path(lab, copy, ino).unlink()
    again = open_lab(copy)
    again.engine = lab.engine
    assert again.content(ino) == b"flushed"


def test_fsync_of_a_fetched_file_makes_all_of_it_count(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.discover(b"a", b"precious")
    lab.fetch(ino)
    lab.open(ino)
    lab.write(ino, 0, b"PRE")
    lab.fsync(ino)
    again = open_lab(cut(lab, base / "copy"))
    assert again.content(ino) == b"PREcious"
    assert again.ledger.recovered.bodies_reverted == 0


def test_synced_extents_of_a_partial_body_survive_its_completion(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.discover(b"a", b"0123456789")
    lab.open(ino)
    lab.write(ino, 2, b"AB")
    lab.fsync(ino)
    lab.fetch(ino)
    lab.write(ino, 7, b"late")
    lab.sync()
    copy = cut(lab, base / "copy")
    path = body_path(lab, copy, ino)
    path.write_bytes(b"\0\0AB")
    again = open_lab(copy)
    again.engine = lab.engine
    assert again.content(ino) == b"01AB456789"
    assert list(again.body(ino).dirty) == [(2, 2)]


def test_unsynced_extents_count_exactly_when_their_checksum_matches(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.discover(b"a", b"0123456789")
    lab.open(ino)
    lab.write(ino, 0, b"AB")
    lab.write(ino, 4, b"CD")
    lab.write(ino, 20, b"EF")
    copy = cut(lab, base / "copy")
    path = body_path(lab, copy, ino)
    path.write_bytes(b"AB\0\0xD" + b"junkjunkjunk" + bytes(4))
    again = open_lab(copy)
    again.engine = lab.engine
    assert again.content(ino) == b"AB23456789"


def test_bytes_between_the_base_and_a_surviving_write_read_as_zeros(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.discover(b"a", b"0123456789")
    lab.open(ino)
    lab.write(ino, 20, b"EF")
    copy = cut(lab, base / "copy")
    path = body_path(lab, copy, ino)
    path.write_bytes(b"junk" * 5 + b"EF" + b"junk")
    again = open_lab(copy)
    again.engine = lab.engine
    assert again.content(ino) == b"0123456789" + bytes(10) + b"EF"


def rename_over_unsynced(lab: Lab) -> Ino:
    lab.write_whole(b"a", b"old")
    lab.fsync(lab.child(b"a").ino)
    new = lab.write_whole(b"a.tmp", b"new")
    lab.container(b"before")
    lab.rename(b"a.tmp", b"a")
    lab.container(b"after")
    return new


def test_history_ends_before_a_rename_that_puts_unsynced_bytes_over_a_name(
    lab: Lab, base: Path, open_lab: OpenLab
) -> None:
    new = rename_over_unsynced(lab)
    copy = cut(lab, base / "copy")
    os.truncate(body_path(lab, copy, new), 0)
    again = open_lab(copy)
    assert sorted(again.tree()) == [b"/a", b"/a.tmp", b"/before"]
    assert again.content(again.child(b"a").ino) == b"old"
    assert again.ledger.recovered.changes_dropped == 2
    assert any("power was cut" in report.reason for report in again.state.quarantined())
    assert len(again.ledger.recovered.damage) == 1
    again.container(b"goes on")
    third = open_lab(again.copy(base / "third"))
    assert third.ledger.fingerprint() == again.ledger.fingerprint()


def test_the_same_rename_counts_once_it_is_synced(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    rename_over_unsynced(lab)
    lab.sync()
    again = open_lab(cut(lab, base / "copy"))
    assert sorted(again.tree()) == [b"/a", b"/after", b"/before"]
    assert again.content(again.child(b"a").ino) == b"new"


def test_a_rename_over_a_name_of_what_the_engine_has_needs_no_sync(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    lab.write_whole(b"a", b"old")
    new = lab.write_whole(b"a.tmp", b"new")
    lab.flush(new)
    lab.rename(b"a.tmp", b"a")
    again = open_lab(cut(lab, base / "copy"))
    again.engine = lab.engine
    assert again.content(again.child(b"a").ino) == b"new"


def test_kill_alone_keeps_the_rename(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    rename_over_unsynced(lab)
    again = open_lab(lab.copy(base / "copy"))
    assert again.content(again.child(b"a").ino) == b"new"


def test_a_sync_told_behind_the_end_of_history_still_counts(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    ino = lab.discover(b"a", b"precious")
    lab.fetch(ino)
    lab.open(ino)
    lab.write(ino, 0, b"PRE")
    lab.write_whole(b"x", b"old")
    lab.write_whole(b"y", b"new")
    lab.rename(b"y", b"x")
    lab.ledger.buffer.sync(ino)
    lab.ledger._record_synced()
    again = open_lab(cut(lab, base / "copy"))
    assert again.ledger.recovered.changes_dropped > 0
    assert again.content(ino) == b"PREcious"


def test_a_crash_during_recovery_from_a_power_cut_is_as_careful_again(
    lab: Lab, base: Path, open_lab: OpenLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = lab.write_whole(b"clean", b"clean")
    lab.flush(clean)
    copy = cut(lab, base / "copy")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "encode", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            Lab(copy)
    again = open_lab(Path(shutil.copytree(copy, base / "again")))
    assert again.ledger.recovered.power_was_cut
    assert not again.is_local(clean)


def test_a_clean_shutdown_is_no_power_cut(base: Path, open_lab: OpenLab) -> None:
    lab = open_lab(base / "state")
    ino = lab.write_whole(b"a", b"x")
    lab.flush(ino)
    trio.run(lab.ledger.close)
    lab.state.close(clean=True)
    again = open_lab(cut(lab, base / "copy"))
    assert not again.ledger.recovered.power_was_cut
    assert again.is_local(ino)


# Damage


def test_damage_in_the_journal_ends_history_there_and_loses_nothing_silently(
    lab: Lab, base: Path, open_lab: OpenLab
) -> None:
    kept = lab.write_whole(b"kept", b"kept")
    marker = b"user.marker-in-the-journal"
    lab.commit(changes.XattrSet(kept, marker, b"x", 1))
    lost = lab.write_whole(b"lost", b"lost bytes")
    copy = lab.copy(base / "copy")
    [segment] = [path for path in (copy / "journal").iterdir() if marker in path.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(marker, marker.upper()))
    again = open_lab(copy)
    assert sorted(again.tree()) == [b"/kept"]
    assert len(again.ledger.recovered.damage) == 1
    kept_files = {report.name: report for report in again.state.quarantined()}
    assert any(name.startswith("journal") for name in kept_files)
    [body] = [name for name in kept_files if name.startswith(f"body-{lost:x}-")]
    assert (copy / "quarantine" / body).read_bytes() == b"lost bytes"
    again.container(b"goes on")
    third = open_lab(again.copy(base / "third"))
    assert third.ledger.fingerprint() == again.ledger.fingerprint()
    assert third.ledger.recovered.damage == []


def test_a_change_that_cannot_be_posted_ends_history_before_it(
    lab: Lab, base: Path, open_lab: OpenLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.container(b"a")
    before = lab.ledger.fingerprint()
    monkeypatch.setattr(lab.ledger._rooms, "check", lambda change: None)
    monkeypatch.setattr(lab.ledger._rooms, "post", lambda sequence, change: None)
    lab.commit(changes.EntryRemoved(Ino(99), ROOT, b"nothing", 1))
    lab.commit(changes.AttributesSet(ROOT, 0, 0, 0, 0, 0, 0))
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.fingerprint() == before
    assert again.ledger.recovered.changes_dropped == 2
    assert again.ledger.refusal is None


def test_a_damaged_checkpoint_falls_back_to_the_one_before(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    for number in range(3):
        lab.write_whole(b"%d" % number, b"x")
        lab.checkpoint()
    copy = lab.copy(base / "copy")
    newest = max((copy / "journal").glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:-1])
    again = open_lab(copy)
    assert again.ledger.fingerprint() == lab.ledger.fingerprint()
    assert len(again.ledger.recovered.damage) == 1
    assert [report.name for report in again.state.quarantined()] == [newest.name]


def test_a_checkpoint_of_a_newer_version_is_refused_in_one_sentence(lab: Lab) -> None:
    payload = checkpoint.encode(lab.ledger._rooms, operation_id=1, event_sequence=1)
    assert checkpoint.decode(payload).operation_id == 1
    newer = payload.replace(bytes([checkpoint.FORMAT_VERSION]), bytes([checkpoint.FORMAT_VERSION + 1]), 1)
    with pytest.raises(BadInput):
        checkpoint.decode(newer)
    with pytest.raises(Corrupt):
        checkpoint.decode(payload[:-1])
