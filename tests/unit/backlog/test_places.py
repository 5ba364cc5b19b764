"""What becomes of the stored tree where an engine cannot rename: handed over, copied, outdated."""

import pytest

from tests.unit.backlog.test_backlog_changes import ROOT, V1, V2, V3, A, B, C, D, Desk, key
from vaultairefs.backlog import StoredRef
from vaultairefs.backlog import snapshot as snapshots
from vaultairefs.model import changes
from vaultairefs.model.values import Ino, Kind

GHOST = Ino(99)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def stored_folder(desk: Desk) -> None:
    """Container B at ``b`` with file C in it."""
    desk.container(B, b"b")
    desk.file(C, b"c", B)
    desk.flush(B, key(b"b"), V1, content=False)
    desk.flush(C, key(b"c", B), V2)


def test_what_a_container_left_behind_is_nobodys_and_its_entries_are_owed_at_its_new_place(desk: Desk) -> None:
    stored_folder(desk)
    desk.rename(B, b"b", b"x")
    desk.post(changes.ContainerHandedOver(B, GHOST, *key(b"b")))
    log = desk.log
    assert log.stored(key(b"b")) == StoredRef(GHOST, V1) and log.stored(key(b"c", GHOST)) == StoredRef(C, V2)
    assert log.refs_of(B) == [] and log.refs_of(C) == [key(b"c", GHOST)]
    assert log.owed_names[key(b"c", B)] == C and log.owed_names[key(b"c", GHOST)] is None
    assert log.owed_names[key(b"b")] is None and log.owed_names[key(b"x")] == B
    assert log.owed_inos[B].attributes and GHOST in log.containers
    assert not log.owes_content(C), "its bytes are where they were"


def test_a_container_that_comes_to_the_place_takes_over_what_is_there(desk: Desk) -> None:
    stored_folder(desk)
    desk.rename(B, b"b", b"x")
    desk.container(D, b"b")
    desk.file(A, b"c", D)
    desk.post(changes.ContainerHandedOver(B, D, *key(b"b")))
    log = desk.log
    assert log.stored(key(b"b")) == StoredRef(D, V1) and key(b"b") not in log.owed_names
    assert log.stored(key(b"c", D)) == StoredRef(C, V2) and log.owed_names[key(b"c", D)] == A


def test_handing_over_what_is_not_there_any_more_changes_nothing(desk: Desk) -> None:
    stored_folder(desk)
    before = snapshots.take(desk.log)
    desk.post(changes.ContainerHandedOver(D, GHOST, *key(b"b")))
    assert snapshots.take(desk.log) == before


def test_debts_of_a_renamed_container_are_as_old_as_the_rename(desk: Desk) -> None:
    stored_folder(desk)
    desk.now = 7.0
    desk.rename(B, b"b", b"x")
    desk.now = 9.0
    desk.post(changes.ContainerHandedOver(B, GHOST, *key(b"b")))
    assert desk.log.names_since[key(b"c", B)] == desk.log.names_first[key(b"c", GHOST)] == 7.0


def test_a_snapshot_remembers_containers_that_programs_never_saw(desk: Desk) -> None:
    desk.container(B, b"b")
    desk.flush(B, key(b"b"), V1, content=False)
    desk.rename(B, b"b", b"x")
    desk.post(changes.ContainerHandedOver(B, GHOST, *key(b"b")))
    again = Desk()
    again.kinds = desk.kinds
    snapshots.restore(again.log, snapshots.take(desk.log))
    assert again.log.containers == desk.log.containers == {GHOST}
    desk.post(changes.ArtifactDeleted(GHOST, *key(b"b")))
    assert desk.log.containers == set()


def test_a_container_that_is_removed_while_it_is_made_is_known_as_one(desk: Desk) -> None:
    desk.container(B, b"b")
    desk.post(changes.StepBegun(B, *key(b"b"), "create_container"))
    desk.remove(B, b"b")
    desk.flush(B, key(b"b"), V1, content=False)
    assert B in desk.log.containers


def test_a_copy_is_as_good_as_its_source(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.rename(A, b"a", b"x")
    desk.post(changes.StepBegun(A, *key(b"x"), "copy", V1, "token", *key(b"a")))
    assert desk.log.doubts.below(ROOT) and desk.log.doubts.about_inode(A) == key(b"x")
    desk.post(changes.ArtifactCopied(A, *key(b"x"), V2, V1, attributes=True))
    assert desk.log.owed_names == {key(b"a"): None} and not desk.log.doubts.begun
    assert not any(desk.log.stored(at).stale for at in (key(b"a"), key(b"x")))  # type: ignore[union-attr]


def test_a_copy_with_newer_attributes_outdates_the_other_names(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.post(changes.EntryLinked(A, ROOT, b"x", 1))
    desk.post(changes.XattrSet(A, b"user.n", b"v", 1))
    desk.post(changes.ArtifactCopied(A, *key(b"x"), V1, V1, attributes=True))
    assert desk.log.stored(key(b"a")) == StoredRef(A, V1, stale=True)
    assert desk.log.owed_names == {key(b"a"): A} and A not in desk.log.owed_inos


def test_without_links_every_name_that_is_sent_outdates_the_others_even_with_equal_versions(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.post(changes.EntryLinked(A, ROOT, b"x", 1))
    desk.post(changes.ArtifactCopied(A, *key(b"x"), V1, V1, attributes=False))
    desk.post(changes.XattrSet(A, b"user.n", b"v", 1))
    desk.post(changes.ArtifactFlushed(A, *key(b"a"), V1, content=False, attributes=True, alone=True))
    assert desk.log.stored(key(b"x")) == StoredRef(A, V1, stale=True)


def test_whoever_began_from_a_version_that_is_gone_goes_on_from_its_copy(desk: Desk) -> None:
    told: list[tuple[Ino, str, str]] = []
    desk.log.same_in_engine = lambda ino, gone, held: told.append((ino, gone, held))
    desk.stored_file(A, b"a")
    desk.rename(A, b"a", b"x")
    desk.post(changes.ArtifactCopied(A, *key(b"x"), V3, V1, attributes=True))
    desk.post(changes.ArtifactDeleted(A, *key(b"a")))
    assert told == [(A, V1, V3)]


def test_a_container_that_vanishes_takes_along_what_it_held_for_others(desk: Desk) -> None:
    """Containers below it that programs removed, or see elsewhere, were in it as well."""
    desk.container(B, b"b")
    desk.flush(B, key(b"b"), V1, content=False)
    desk.kinds[D] = Kind.CONTAINER
    desk.post(changes.ContainerCreated(D, B, b"d", changes.Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0)))
    desk.file(C, b"c", D)
    desk.flush(D, key(b"d", B), V1, content=False)
    desk.flush(C, key(b"c", D), V2)
    del desk.kinds[D], desk.kinds[C]
    desk.post(changes.EntryRemoved(C, D, b"c", 1))
    desk.post(changes.EntryRemoved(D, B, b"d", 1))
    del desk.kinds[B]
    desk.post(changes.EntryVanished(B, ROOT, b"b"))
    desk.forget_root()
    assert desk.log.tree == {} and desk.log.owed_names == {} and desk.log.containers == set()
