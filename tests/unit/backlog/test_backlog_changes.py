"""The backlog is at any time the difference between the live and the stored tree."""

import pytest
import trio

from vaultairefs.backlog import Backlog, StoredRef
from vaultairefs.backlog import snapshot as snapshots
from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO
from vaultairefs.model.errors import Busy
from vaultairefs.model.values import ROOT, STAGING, Attributes, EntryKey, Ino, Kind, Sequence, Version

A, B, C, D = Ino(2), Ino(3), Ino(4), Ino(5)
V1, V2, V3 = Version("1"), Version("2"), Version("3")
BORN = Attributes(Kind.FILE, 0o644, 0, 0, 0, 0, 0)


def key(name: bytes, container: Ino = ROOT) -> EntryKey:
    return EntryKey(container, name)


class Desk:
    """A backlog, with the namespace's answers given by hand."""

    def __init__(self) -> None:
        self.kinds: dict[Ino, Kind] = {ROOT: Kind.CONTAINER}
        self.now = 0.0
        self.lost: list[tuple[Ino, set[Version]]] = []
        self.log = Backlog(
            clock=lambda: self.now,
            kind_of_named=lambda ino: self.kinds.get(ino),
            names_of=lambda ino: 1,
            left_in_engine=lambda ino, versions: self.lost.append((ino, versions)),
        )

    def post(self, change: changes.Change) -> None:
        self.log.apply(Sequence(1), change)
        assert snapshots.audit(self.log) == []

    def file(self, ino: Ino, name: bytes, container: Ino = ROOT) -> None:
        self.kinds[ino] = Kind.FILE
        self.post(changes.FileCreated(ino, container, name, BORN))

    def container(self, ino: Ino, name: bytes, container: Ino = ROOT) -> None:
        self.kinds[ino] = Kind.CONTAINER
        self.post(changes.ContainerCreated(ino, container, name, BORN))

    def flush(
        self, ino: Ino, where: EntryKey, version: Version = V1, *, content: bool = True, attributes: bool = True
    ) -> None:
        self.post(changes.ArtifactFlushed(ino, *where, version, content, attributes))

    def stored_file(self, ino: Ino, name: bytes, version: Version = V1) -> None:
        self.kinds[ino] = Kind.FILE
        self.post(changes.ArtifactDiscovered(ino, ROOT, name, BORN, 5, version))

    def remove(self, ino: Ino, name: bytes, *, last: bool = True) -> None:
        if last:
            del self.kinds[ino]
        self.post(changes.EntryRemoved(ino, ROOT, name, 1))

    def rename(self, ino: Ino, old: bytes, new: bytes, replaced: Ino = NO_INO, *, swap: bool = False) -> None:
        if replaced and not swap:
            del self.kinds[replaced]
        self.post(changes.EntryRenamed(ino, ROOT, old, ROOT, new, replaced, swap, 1))

    def forget_root(self) -> None:
        """The root's own times are owed after each change inside; most tests are not about that."""
        self.log.owed_inos.pop(ROOT, None)

    def debts(self) -> dict[Ino, tuple[bool, bool]]:
        return {ino: (owed.content, owed.attributes) for ino, owed in self.log.owed_inos.items() if ino != ROOT}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_new_file_is_owed_whole_and_its_container_owes_its_times(desk: Desk) -> None:
    desk.file(A, b"a")
    assert desk.log.owed_names == {key(b"a"): A}
    assert desk.debts() == {A: (True, True)}
    assert desk.log.owed_inos[ROOT].attributes
    assert not desk.log.owed_inos[ROOT].content


def test_a_new_container_owes_attributes_only(desk: Desk) -> None:
    desk.container(A, b"a")
    assert (desk.log.owed_names, desk.debts()) == ({key(b"a"): A}, {A: (False, True)})


def test_flushed_whole_owes_nothing(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.flush(A, key(b"a"))
    assert (desk.log.owed_names, desk.debts()) == ({}, {})
    assert desk.log.stored(key(b"a")) == StoredRef(A, V1)
    assert desk.log.fresh_ref(A) == key(b"a")


def test_bytes_written_since_stay_owed(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.flush(A, key(b"a"), content=False, attributes=False)
    assert (desk.log.owed_names, desk.debts()) == ({}, {A: (True, True)})


def test_removing_what_was_never_stored_leaves_nothing(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.remove(A, b"a")
    assert (desk.log.owed_names, desk.debts()) == ({}, {})


def test_removing_what_is_stored_owes_its_absence(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.remove(A, b"a")
    assert desk.log.owed_names == {key(b"a"): None}
    desk.post(changes.ArtifactDeleted(A, *key(b"a")))
    assert desk.log.owed_names == {}
    assert desk.log.stored(key(b"a")) is None


def test_an_inode_without_a_name_owes_nothing_whatever_is_written_to_it(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.remove(A, b"a")
    desk.post(changes.BodyClosed(A, 5, 1, 1))
    desk.post(changes.AttributesSet(A, 0, 0, 0, 0, 0, 0))
    desk.post(changes.Truncated(A, 1, 1))
    assert desk.debts() == {}


def test_a_flush_that_ends_after_the_removal_owes_the_deletion(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.remove(A, b"a")
    desk.flush(A, key(b"a"))
    assert (desk.log.owed_names, desk.debts()) == ({key(b"a"): None}, {})


def test_rename_and_back_owes_nothing(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.rename(A, b"a", b"b")
    assert desk.log.owed_names == {key(b"a"): None, key(b"b"): A}
    desk.rename(A, b"b", b"a")
    assert desk.log.owed_names == {}


def test_exchange_owes_both_names(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.stored_file(B, b"b")
    desk.rename(A, b"a", b"b", B, swap=True)
    assert desk.log.owed_names == {key(b"a"): B, key(b"b"): A}
    desk.rename(B, b"a", b"b", A, swap=True)
    assert desk.log.owed_names == {}


def test_the_content_of_a_replaced_file_is_owed_no_more(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.stored_file(B, b"b")
    desk.post(changes.Truncated(B, 0, 1))
    desk.rename(A, b"a", b"b", B)
    assert desk.log.owed_names == {key(b"b"): A}
    assert desk.debts() == {A: (True, True)}


def test_a_container_rename_changes_one_row(desk: Desk) -> None:
    desk.container(A, b"a")
    desk.flush(A, key(b"a"))
    desk.file(B, b"b", A)
    desk.flush(B, key(b"b", A))
    desk.rename(A, b"a", b"x")
    assert desk.log.owed_names == {key(b"a"): None, key(b"x"): A}
    assert desk.log.stored_path(A) == b"a"
    desk.post(changes.ArtifactMoved(A, *key(b"a"), *key(b"x")))
    assert desk.log.owed_names == {}
    assert desk.log.stored_path(A) == b"x"
    assert desk.log.stored_children(A) == {b"b": StoredRef(B, V1)}


def test_a_parked_entry_is_owed_at_its_place_and_away_from_staging(desk: Desk) -> None:
    desk.container(A, b"a")
    desk.flush(A, key(b"a"))
    desk.post(changes.ArtifactMoved(A, *key(b"a"), *key(b"tmp", STAGING)))
    assert desk.log.owed_names == {key(b"a"): A, key(b"tmp", STAGING): None}
    assert desk.log.stored_path(A) is None
    desk.post(changes.ArtifactMoved(A, *key(b"tmp", STAGING), *key(b"a")))
    assert desk.log.owed_names == {}


def test_a_move_onto_a_stored_name_replaces_it(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.stored_file(B, b"b")
    desk.rename(A, b"a", b"b", B)
    desk.post(changes.ArtifactMoved(A, *key(b"a"), *key(b"b")))
    assert desk.log.owed_names == {}
    assert desk.log.refs_of(B) == []


def test_flushed_content_makes_the_other_names_stale(desk: Desk) -> None:
    desk.file(A, b"a")
    desk.flush(A, key(b"a"), V1)
    desk.post(changes.EntryLinked(A, *key(b"b"), 1))
    assert desk.log.owed_names == {key(b"b"): A}
    desk.flush(A, key(b"b"), V1, content=False, attributes=False)
    assert desk.log.owed_names == {}, "a native link holds the same version"
    desk.post(changes.BodyClosed(A, 5, 1, 1))
    desk.flush(A, key(b"b"), V2)
    assert desk.log.stored(key(b"a")) == StoredRef(A, V1, stale=True)
    assert desk.log.owed_names == {key(b"a"): A}
    assert desk.log.fresh_ref(A) == key(b"b")
    assert desk.log.refs_of(A) == [key(b"b"), key(b"a")]
    desk.flush(A, key(b"a"), V2, content=False, attributes=False)
    assert desk.log.owed_names == {}


def test_flushed_attributes_give_native_names_the_new_version(desk: Desk) -> None:
    desk.stored_file(A, b"a", V1)
    desk.post(changes.ArtifactDiscovered(A, ROOT, b"b", BORN, 5, V1))
    desk.post(changes.AttributesSet(A, 0, 0, 0, 0, 0, 0))
    desk.flush(A, key(b"a"), V2, content=False, attributes=True)
    assert desk.log.stored(key(b"b")) == StoredRef(A, V2)
    assert (desk.log.owed_names, desk.debts()) == ({}, {})


def test_what_the_engine_holds_nowhere_is_owed_whole_again(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.post(changes.EntryLinked(A, *key(b"b"), 1))
    desk.flush(A, key(b"b"), V1, content=False, attributes=False)
    desk.post(changes.ArtifactDeleted(A, *key(b"a")))
    assert desk.debts() == {}
    assert desk.lost == [(A, {V1})]
    desk.post(changes.ArtifactDeleted(A, *key(b"b")))
    assert desk.debts() == {A: (True, True)}
    assert desk.log.owed_names == {key(b"a"): A, key(b"b"): A}
    assert desk.lost[-1] == (A, set())


def test_what_the_engine_holds_only_in_an_older_version_is_owed_whole_again(desk: Desk) -> None:
    desk.stored_file(A, b"a", V1)
    desk.post(changes.EntryLinked(A, *key(b"b"), 1))
    desk.flush(A, key(b"b"), V2)
    assert desk.debts() == {}
    desk.post(changes.ArtifactDeleted(A, *key(b"b")))
    assert desk.debts() == {A: (True, True)}
    assert desk.lost[-1] == (A, {V1})


def test_overwriting_the_only_copy_of_another_is_noticed(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.rename(A, b"a", b"moved")
    desk.file(B, b"a")
    desk.flush(B, key(b"a"), V2)
    assert desk.log.owed_names == {key(b"moved"): A}
    assert desk.debts() == {A: (True, True)}


def test_a_deletion_that_speaks_of_somebody_else_is_ignored(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.post(changes.ArtifactDeleted(B, *key(b"a")))
    assert desk.log.stored(key(b"a")) == StoredRef(A, V1)


def test_a_conflict_gives_the_name_up_and_owes_ours_beside_it(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.post(changes.BodyClosed(A, 5, 1, 1))
    desk.post(changes.ArtifactConflicted(A, ROOT, b"a", b"a.conflict", 1))
    assert desk.log.stored(key(b"a")) is None
    assert desk.log.owed_names == {key(b"a.conflict"): A}
    assert desk.debts() == {A: (True, True)}


def test_a_vanished_entry_owes_nothing(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    del desk.kinds[A]
    desk.post(changes.EntryVanished(A, ROOT, b"a"))
    assert (desk.log.owed_names, desk.log.stored(key(b"a")), desk.debts()) == ({}, None, {})


def test_a_vanished_container_takes_along_rows_and_debts_below(desk: Desk) -> None:
    desk.container(A, b"a")
    desk.flush(A, key(b"a"))
    desk.container(B, b"b", A)
    desk.flush(B, key(b"b", A))
    desk.file(C, b"c", B)
    desk.flush(C, key(b"c", B))
    desk.file(D, b"d", B)
    desk.kinds = {ROOT: Kind.CONTAINER}
    desk.post(changes.EntryVanished(A, ROOT, b"a"))
    assert (desk.log.owed_names, desk.debts(), desk.log.tree) == ({}, {}, {})


def test_what_was_moved_out_of_a_vanished_container_is_owed_whole(desk: Desk) -> None:
    desk.container(A, b"a")
    desk.flush(A, key(b"a"))
    desk.file(B, b"b", A)
    desk.flush(B, key(b"b", A))
    desk.post(changes.EntryRenamed(B, A, b"b", ROOT, b"b", NO_INO, False, 1))
    del desk.kinds[A]
    desk.post(changes.EntryVanished(A, ROOT, b"a"))
    assert desk.log.owed_names == {key(b"b"): B}
    assert desk.debts() == {B: (True, True)}


def test_the_root_owes_attributes_but_never_a_name(desk: Desk) -> None:
    desk.post(changes.AttributesSet(ROOT, 0, 0, 0, 0, 0, 0))
    desk.post(changes.ArtifactFlushed(ROOT, ROOT, b"", V1, False, True))
    assert (desk.log.owed_names, desk.log.owed_inos) == ({}, {})
    desk.post(changes.ArtifactDiscovered(ROOT, ROOT, b"", BORN, 0, V2))
    assert desk.log.owed_names == {}
    assert desk.log.stored_children(ROOT) == {}
    assert desk.log.stored_path(ROOT) == b""
    assert desk.log.refs_of(ROOT) == [key(b"")]


def test_ages_say_when_a_debt_began_and_when_it_last_grew(desk: Desk) -> None:
    assert desk.log.oldest_since is None
    desk.now = 10.0
    desk.file(A, b"a")
    desk.forget_root()
    desk.now = 20.0
    desk.log.note_content(A)
    owed = desk.log.owed_inos[A]
    assert (owed.first, owed.since, desk.log.names_since[key(b"a")]) == (10.0, 20.0, 10.0)
    desk.flush(A, key(b"a"), content=False)
    assert desk.log.oldest_since == 10.0
    assert desk.log.dirty_artifacts == 1


def test_a_row_keeps_its_age_when_only_the_stored_side_changes(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.now = 10.0
    desk.rename(A, b"a", b"b")
    desk.now = 20.0
    desk.post(changes.ArtifactMoved(A, *key(b"a"), *key(b"tmp", STAGING)))
    assert desk.log.names_since[key(b"b")] == 10.0


def test_dirty_artifacts_counts_things_not_rows(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.stored_file(B, b"b")
    desk.file(C, b"c")
    desk.rename(B, b"b", b"x")
    desk.remove(A, b"a")
    desk.forget_root()
    assert desk.log.owed_names == {key(b"c"): C, key(b"b"): None, key(b"x"): B, key(b"a"): None}
    assert desk.log.dirty_artifacts == 4


def test_a_snapshot_is_the_backlog(desk: Desk) -> None:
    desk.stored_file(A, b"a")
    desk.container(B, b"b")
    desk.file(C, b"c", B)
    desk.post(changes.StepBegun(C, B, b"c", "put"))
    desk.rename(A, b"a", b"x")
    again = Desk()
    again.kinds = desk.kinds
    again.now = 50.0
    snapshots.restore(again.log, snapshots.take(desk.log))
    assert snapshots.audit(again.log) == []
    assert snapshots.take(again.log) == snapshots.take(desk.log)
    assert again.log.refs_of(A) == [key(b"a")]
    assert again.log.doubts.begun == desk.log.doubts.begun
    assert again.log.oldest_since == 50.0, "debts count from the restart"


async def test_waiting_for_work_ends_when_something_more_is_owed(desk: Desk, autojump_clock: object) -> None:
    desk.file(A, b"a")
    with trio.move_on_after(1) as scope:
        await desk.log.wait_for_work()
    assert scope.cancelled_caught, "what was owed before does not count"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.log.wait_for_work)
        nursery.start_soon(desk.log.wait_for_work)
        await trio.testing.wait_all_tasks_blocked()
        desk.post(changes.XattrSet(A, b"user.x", b"y", 1))


def test_a_name_is_worked_on_by_one_at_a_time(desk: Desk) -> None:
    desk.log.begin(key(b"a"))
    with pytest.raises(Busy):
        desk.log.begin(key(b"a"))
    assert desk.log.is_busy(key(b"a"))
    desk.log.end(key(b"a"))
    assert not desk.log.is_busy(key(b"a"))


def test_a_watcher_learns_what_the_engine_was_asked_to_change_meanwhile(desk: Desk) -> None:
    desk.stored_file(A, b"moved")
    desk.stored_file(B, b"deleted")
    desk.log.begin(key(b"flying before"))
    with desk.log.watch(ROOT) as touched, desk.log.watch(ROOT) as same, desk.log.watch(C) as other:
        desk.log.begin(key(b"flying"))
        desk.log.end(key(b"flying"))
        desk.post(changes.ArtifactMoved(A, *key(b"moved"), *key(b"new")))
        desk.remove(B, b"deleted")
        desk.file(D, b"local")
        desk.post(changes.ArtifactDeleted(B, *key(b"deleted")))
    assert touched == same == {b"flying before", b"flying", b"moved", b"new", b"deleted"}
    assert other == set()
    desk.log.begin(key(b"later"))
    assert b"later" not in touched


def test_a_watcher_learns_of_work_on_a_linked_file_by_its_name_in_another_container(desk: Desk) -> None:
    desk.container(C, b"c")
    desk.kinds[A] = Kind.FILE
    for where in (key(b"a"), key(b"linked", C), key(b"again", C)):
        desk.post(changes.ArtifactDiscovered(A, *where, BORN, 5, V1))
    with desk.log.watch(C) as touched:
        desk.log.begin(key(b"a"))
        with desk.log.watch(C) as later:
            desk.log.end(key(b"a"))
    assert touched == later == {b"linked", b"again"}


def test_a_name_that_is_found_says_nothing_against_the_others_of_its_file(desk: Desk) -> None:
    """One listing shows them all, so it may go on to tell what others changed."""
    desk.stored_file(A, b"a")
    with desk.log.watch(ROOT) as touched:
        desk.stored_file(A, b"b")
    assert touched == {b"b"}
