"""What each change does to the tree (POSIX: times, link counts, listings), and which changes are refused."""

import pytest

from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO
from vaultairefs.model.errors import (
    AlreadyExists,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NotAContainer,
    NotFound,
    Stale,
)
from vaultairefs.model.values import ROOT, Attributes, EntryKey, Ino, Kind, Sequence, Version
from vaultairefs.namespace import Namespace
from vaultairefs.namespace import snapshot as snapshots

A, B, C, D = Ino(2), Ino(3), Ino(4), Ino(5)


def born(
    kind: Kind, time_ns: int = 100, *, target: bytes = b"", xattrs: dict[bytes, bytes] | None = None
) -> Attributes:
    return Attributes(kind, 0o640, 10, 20, time_ns, time_ns, time_ns, target=target, xattrs=xattrs or {})


class Tree(Namespace):
    """A namespace that is asked first, as the ledger does, and audited after every change."""

    def post(self, change: changes.Change) -> None:
        self.check(change)
        self.apply(Sequence(1), change)
        assert snapshots.audit(self) == []

    def file(self, ino: Ino, name: bytes, parent: Ino = ROOT) -> None:
        self.post(changes.FileCreated(ino, parent, name, born(Kind.FILE)))

    def container(self, ino: Ino, name: bytes, parent: Ino = ROOT) -> None:
        self.post(changes.ContainerCreated(ino, parent, name, born(Kind.CONTAINER)))

    def rename(
        self, ino: Ino, old: tuple[Ino, bytes], new: tuple[Ino, bytes], replaced: Ino = NO_INO, *, swap: bool = False
    ) -> None:
        self.post(changes.EntryRenamed(ino, *old, *new, replaced, swap, 500))

    def times(self, ino: Ino) -> tuple[int, int, int]:
        inode = self.get(ino)
        return inode.atime_ns, inode.mtime_ns, inode.ctime_ns


@pytest.fixture
def tree() -> Tree:
    return Tree()


def test_a_new_container_counts_itself_and_its_parent_counts_it(tree: Tree) -> None:
    tree.container(A, b"a")
    tree.container(B, b"b", A)
    assert (tree.get(ROOT).nlink, tree.get(A).nlink, tree.get(B).nlink) == (3, 3, 2)
    assert tree.path(B) == b"a/b"
    assert tree.path(ROOT) == b""


def test_creating_moves_the_parents_times_only(tree: Tree) -> None:
    tree.file(A, b"a")
    assert tree.times(ROOT) == (0, 100, 100)
    assert tree.get(A).attributes() == born(Kind.FILE)
    assert tree.get(A).st_mode == 0o100640


def test_a_symlink_is_as_long_as_its_target(tree: Tree) -> None:
    tree.post(changes.SymlinkCreated(A, ROOT, b"a", born(Kind.SYMLINK, target=b"over there")))
    assert (tree.get(A).size, tree.get(A).target) == (10, b"over there")


def test_a_second_name_counts_and_moves_ctime(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.EntryLinked(A, ROOT, b"b", 300))
    assert tree.get(A).nlink == 2
    assert tree.get(A).refs == ((ROOT, b"a"), (ROOT, b"b"))
    assert tree.times(A) == (100, 100, 300)
    assert tree.times(ROOT) == (0, 300, 300)


def test_an_inode_outlives_its_last_name_until_it_is_forgotten(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.EntryLinked(A, ROOT, b"b", 300))
    tree.post(changes.EntryRemoved(A, ROOT, b"a", 400))
    assert tree.get(A).nlink == 1
    assert tree.path(A) == b"b"
    tree.forget(A)
    assert tree.find(A) is not None, "it has a name"
    tree.post(changes.EntryRemoved(A, ROOT, b"b", 500))
    assert tree.get(A).nlink == 0
    assert tree.times(A)[2] == 500
    with pytest.raises(Stale):
        tree.path(A)
    tree.forget(A)
    assert tree.find(A) is None
    with pytest.raises(Stale):
        tree.get(A)


def test_a_removed_container_has_no_links_and_takes_no_entries(tree: Tree) -> None:
    tree.container(A, b"a")
    tree.post(changes.EntryRemoved(A, ROOT, b"a", 400))
    assert (tree.get(A).nlink, tree.get(ROOT).nlink) == (0, 2)
    with pytest.raises(NotFound):
        tree.file(B, b"b", A)


def test_rename_moves_containers_with_what_they_hold(tree: Tree) -> None:
    tree.container(A, b"a")
    tree.container(B, b"b")
    tree.file(C, b"c", A)
    tree.rename(A, (ROOT, b"a"), (B, b"x"))
    assert tree.path(C) == b"b/x/c"
    assert (tree.get(ROOT).nlink, tree.get(B).nlink) == (3, 3)
    assert tree.times(ROOT)[1:] == tree.times(B)[1:] == (500, 500)
    assert tree.times(A) == (100, 100, 500)


def test_rename_over_a_file_orphans_it_and_keeps_the_place_in_listings(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.file(B, b"b")
    place = tree.entries(ROOT)[1][2]
    tree.rename(A, (ROOT, b"a"), (ROOT, b"b"), B)
    assert tree.get(B).nlink == 0
    assert tree.times(B)[2] == 500
    assert tree.entries(ROOT) == [(b"b", A, place)]


def test_rename_over_an_empty_container_removes_it(tree: Tree) -> None:
    tree.container(A, b"a")
    tree.container(B, b"b")
    tree.rename(A, (ROOT, b"a"), (ROOT, b"b"), B)
    assert (tree.get(ROOT).nlink, tree.get(A).nlink, tree.get(B).nlink) == (3, 2, 0)


@pytest.mark.parametrize("across", [False, True])
def test_exchange_swaps_a_container_and_a_file(tree: Tree, across: bool) -> None:
    tree.container(A, b"a")
    tree.container(B, b"b")
    home = A if across else ROOT
    tree.file(C, b"c", home)
    tree.rename(B, (ROOT, b"b"), (home, b"c"), C, swap=True)
    assert tree.child(ROOT, b"b") is tree.get(C)
    assert tree.child(home, b"c") is tree.get(B)
    assert tree.get(B).parent == home
    assert (tree.get(ROOT).nlink, tree.get(A).nlink) == ((3, 3) if across else (4, 2))
    assert tree.times(B)[2] == tree.times(C)[2] == 500


def test_listings_continue_behind_a_cookie_whatever_changed(tree: Tree) -> None:
    for number in range(5):
        tree.file(Ino(10 + number), b"%d" % number)
    first = tree.entries(ROOT)[:2]
    tree.post(changes.EntryRemoved(Ino(10), ROOT, b"0", 1))
    tree.post(changes.EntryRemoved(Ino(12), ROOT, b"2", 1))
    tree.file(Ino(20), b"0")
    rest = tree.entries(ROOT, first[-1][2])
    assert [name for name, _, _ in rest] == [b"3", b"4", b"0"]
    assert first[0][2] > 2, "1 and 2 are . and .."
    assert first[0][2] not in [cookie for _, _, cookie in rest], "a cookie is never used again"


def test_each_name_has_a_place_of_its_own_whatever_leads_where(tree: Tree) -> None:
    """Hard links beside each other, exchanged names, and an inode that comes back to a place it lost."""

    def places() -> dict[bytes, int]:
        assert snapshots.audit(tree) == []
        return {name: cookie for name, _, cookie in tree.entries(ROOT)}

    tree.file(A, b"a")
    tree.file(B, b"b")
    tree.container(C, b"c")
    before = places()
    tree.post(changes.EntryLinked(A, ROOT, b"a2", 1))
    linked = places()
    assert linked.items() > before.items()
    tree.post(changes.EntryRenamed(A, ROOT, b"a", ROOT, b"b", B, True, 2))
    assert places() == linked, "an exchange leaves both names where they stand"
    tree.rename(B, (ROOT, b"a"), (C, b"x"))
    tree.post(changes.EntryRemoved(A, ROOT, b"b", 3))
    tree.rename(B, (C, b"x"), (ROOT, b"b"))
    assert places()[b"a2"] == linked[b"a2"]
    tree.rename(A, (ROOT, b"a2"), (ROOT, b"b"), B)
    assert places().keys() == {b"b", b"c"}


def test_attributes_and_xattrs_are_replaced_whole(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.AttributesSet(A, 0o755, 1, 2, 3, 4, 5))
    tree.post(changes.XattrSet(A, b"user.x", b"1", 6))
    before = tree.get(A).attributes()
    tree.post(changes.XattrSet(A, b"user.y", b"2", 7))
    tree.post(changes.XattrSet(A, b"user.x", None, 8))
    assert before.xattrs == {b"user.x": b"1"}, "a copy handed out does not change"
    assert tree.get(A).attributes() == Attributes(Kind.FILE, 0o755, 1, 2, 3, 4, 8, xattrs={b"user.y": b"2"})
    tree.post(changes.XattrSet(A, b"user.y", None, 9))
    assert tree.get(A).xattrs is None


def test_changes_of_bytes_move_size_times_and_generation(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.ExtentsWritten(A, 10, 5, 0, 200))
    assert (tree.get(A).size, tree.times(A), tree.get(A).content_generation) == (15, (100, 200, 200), 1)
    tree.post(changes.ExtentsWritten(A, 0, 5, 0, 210))
    tree.post(changes.Truncated(A, 7, 220))
    assert (tree.get(A).size, tree.times(A), tree.get(A).content_generation) == (7, (100, 220, 220), 3)
    tree.post(changes.BodyClosed(A, 9, 230, 240))
    assert (tree.get(A).size, tree.times(A), tree.get(A).content_generation) == (9, (100, 230, 240), 3)


def test_discovery_leaves_the_containers_times_alone(tree: Tree) -> None:
    discovered = changes.ArtifactDiscovered(A, ROOT, b"a", born(Kind.FILE), 12, Version("v"), links=2, link_id="x")
    tree.post(discovered)
    assert (tree.get(A).size, tree.get(A).nlink) == (12, 2), "the engine knows of a name that we do not"
    assert tree.times(ROOT) == (0, 0, 0)
    assert tree.by_link_id("x") == A
    tree.post(changes.ArtifactDiscovered(A, ROOT, b"b", born(Kind.FILE), 12, Version("v"), links=2, link_id="x"))
    assert tree.get(A).nlink == 2
    tree.post(changes.EntryRemoved(A, ROOT, b"a", 1))
    tree.post(changes.EntryRemoved(A, ROOT, b"b", 1))
    tree.forget(A)
    assert tree.by_link_id("x") is None


def test_names_that_only_the_engine_knows_do_not_keep_an_inode(tree: Tree) -> None:
    tree.post(changes.ArtifactDiscovered(A, ROOT, b"a", born(Kind.FILE), 12, Version("v"), links=3, link_id="x"))
    tree.post(changes.EntryRemoved(A, ROOT, b"a", 1))
    assert tree.get(A).nlink == 0


def test_the_root_is_discovered_once_for_its_attributes(tree: Tree) -> None:
    found = Attributes(Kind.CONTAINER, 0o700, 7, 8, 1, 2, 3, xattrs={b"user.x": b"y"})
    tree.post(changes.ArtifactDiscovered(ROOT, ROOT, b"", found, 0, Version("c1")))
    assert tree.get(ROOT).attributes() == found
    assert (tree.get(ROOT).nlink, tree.entries(ROOT)) == (2, [])


def test_what_vanished_takes_along_what_it_held_however_deep(tree: Tree) -> None:
    parent = ROOT
    for number in range(2000):
        ino = Ino(10 + number)
        tree.apply(Sequence(1), changes.ContainerCreated(ino, parent, b"d", born(Kind.CONTAINER)))
        parent = ino
    tree.file(A, b"file", parent)
    tree.post(changes.EntryVanished(Ino(10), ROOT, b"d"))
    assert tree.entries(ROOT) == []
    assert all(tree.get(Ino(10 + number)).nlink == 0 for number in range(2000))
    assert (tree.get(A).nlink, tree.get(ROOT).nlink) == (0, 2)


def test_a_vanished_name_that_leads_elsewhere_by_now_is_left_alone(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.EntryVanished(B, ROOT, b"a"))
    tree.post(changes.EntryVanished(A, ROOT, b"other"))
    assert tree.child(ROOT, b"a") is tree.get(A)


def test_a_conflict_moves_our_entry_beside_the_other(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.ArtifactConflicted(A, ROOT, b"a", b"a.conflict", 300))
    assert tree.child(ROOT, b"a") is None
    assert tree.child(ROOT, b"a.conflict") is tree.get(A)


def test_numbers_of_known_inodes_are_never_given_again(tree: Tree) -> None:
    assert tree.allocate() == A
    tree.file(Ino(40), b"a")
    assert tree.allocate() == 41


def test_a_snapshot_is_the_tree(tree: Tree) -> None:
    tree.container(A, b"a")
    tree.file(B, b"b", A)
    tree.post(changes.EntryLinked(B, ROOT, b"l", 1))
    tree.post(changes.ArtifactDiscovered(C, ROOT, b"c", born(Kind.FILE), 1, Version("v"), link_id="x"))
    tree.file(D, b"gone")
    tree.post(changes.EntryRemoved(D, ROOT, b"gone", 1))
    again = snapshots.restore(snapshots.take(tree))
    assert snapshots.audit(again) == []
    assert again.entries(ROOT) == tree.entries(ROOT)
    assert again.by_link_id("x") == C
    assert again.get(D).nlink == 0, "it may be open still"
    assert again.allocate() == tree.allocate()
    assert len(again) == len(tree) == 5


REFUSED = [
    (changes.FileCreated(D, ROOT, b"f", born(Kind.FILE)), AlreadyExists),
    (changes.FileCreated(D, B, b"x", born(Kind.FILE)), NotAContainer),
    (changes.FileCreated(D, Ino(99), b"x", born(Kind.FILE)), Stale),
    (changes.FileCreated(B, ROOT, b"x", born(Kind.FILE)), InvalidRequest),
    (changes.EntryLinked(A, ROOT, b"x", 1), IsAContainer),
    (changes.EntryLinked(B, ROOT, b"d", 1), AlreadyExists),
    (changes.EntryRemoved(A, ROOT, b"d", 1), ContainerNotEmpty),
    (changes.EntryRemoved(B, ROOT, b"x", 1), NotFound),
    (changes.EntryRemoved(C, ROOT, b"f", 1), Stale),
    (changes.EntryRenamed(B, ROOT, b"f", ROOT, b"d", NO_INO, False, 1), AlreadyExists),
    (changes.EntryRenamed(B, ROOT, b"f", ROOT, b"d", A, False, 1), ContainerNotEmpty),
    (changes.EntryRenamed(B, ROOT, b"f", ROOT, b"f", B, False, 1), InvalidRequest),
    (changes.EntryRenamed(B, ROOT, b"f", ROOT, b"x", NO_INO, True, 1), InvalidRequest),
    (changes.EntryRenamed(A, ROOT, b"d", A, b"x", NO_INO, False, 1), InvalidRequest),
    (changes.EntryRenamed(C, A, b"inside", ROOT, b"d", A, True, 1), InvalidRequest),
    (changes.AttributesSet(Ino(99), 0, 0, 0, 0, 0, 0), Stale),
    (changes.ArtifactDiscovered(D, ROOT, b"f", born(Kind.FILE), 0, Version("v")), AlreadyExists),
    (changes.ArtifactConflicted(B, ROOT, b"f", b"d", 1), AlreadyExists),
    (changes.ArtifactConflicted(B, ROOT, b"d", b"x", 1), Stale),
]


@pytest.mark.parametrize(("change", "error"), REFUSED, ids=[f"{type(c).__name__}-{e.__name__}" for c, e in REFUSED])
def test_a_change_that_does_not_fit_is_refused_and_changes_nothing(
    tree: Tree, change: changes.Change, error: type[Exception]
) -> None:
    tree.container(A, b"d")
    tree.file(B, b"f")
    tree.container(C, b"inside", A)
    before = [repr(inode) for inode in tree.inodes.values()]
    with pytest.raises(error):
        tree.check(change)
    assert [repr(inode) for inode in tree.inodes.values()] == before
    assert tree.get(A).refs == (EntryKey(ROOT, b"d"),)


def test_an_orphan_cannot_be_linked_again(tree: Tree) -> None:
    tree.file(A, b"a")
    tree.post(changes.EntryRemoved(A, ROOT, b"a", 1))
    with pytest.raises(NotFound):
        tree.check(changes.EntryLinked(A, ROOT, b"b", 2))


def test_the_audit_sees_what_is_broken(tree: Tree) -> None:
    tree.container(A, b"a")
    tree.file(B, b"b", A)
    tree.get(A).nlink = 7
    tree.get(B).refs = ()
    assert len(snapshots.audit(tree)) == 2
