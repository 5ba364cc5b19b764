"""What changes do to bodies: phases, extents, bases, and which changes are refused.  No file is touched."""

import pytest

from vaultairefs.buffer import Phase
from vaultairefs.buffer import snapshot as snapshots
from vaultairefs.buffer.bodies import Bodies, Dead
from vaultairefs.buffer.body import WHOLE_END, Body
from vaultairefs.model import changes
from vaultairefs.model.errors import InvalidRequest, Stale
from vaultairefs.model.values import ABSENT, ROOT, Attributes, Extent, Ino, Kind, Sequence, Version

A = Ino(2)
V1, V2 = Version("1"), Version("2")
BORN = Attributes(Kind.FILE, 0o644, 0, 0, 0, 0, 0)


class Shelf(Bodies):
    """Bodies that are asked first, as the ledger does."""

    def __init__(self) -> None:
        super().__init__()
        self.sequence = Sequence(0)

    def post(self, change: changes.Change) -> Body | None:
        self.check(change)
        self.sequence = Sequence(self.sequence + 1)
        self.apply(self.sequence, change)
        return self.find(A)

    def create(self, *, opened: bool = False) -> Body:
        return self.must(changes.FileCreated(A, ROOT, b"a", BORN, opened))

    def begin_partial(self, size: int = 100) -> Body:
        return self.must(changes.ExtentsFetched(A, (), V1, size))

    def must(self, change: changes.Change) -> Body:
        body = self.post(change)
        assert body is not None
        return body


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def flushed(version: Version = V1, *, content: bool = True, attributes: bool = True, size: int = -1) -> changes.Change:
    return changes.ArtifactFlushed(A, ROOT, b"a", version, content, attributes, size)


def test_a_new_file_has_a_complete_empty_body_that_is_owed(shelf: Shelf) -> None:
    body = shelf.create()
    assert (body.phase, body.complete, body.size, body.unflushed) == (Phase.CLOSED, True, 0, True)
    assert (body.body_id, body.base_version) == (1, ABSENT)


def test_a_file_may_be_born_open(shelf: Shelf) -> None:
    assert shelf.create(opened=True).phase is Phase.OPEN


def test_open_and_close_remember_the_size_and_that_it_changed(shelf: Shelf) -> None:
    shelf.create()
    assert shelf.must(changes.BodyOpened(A)).phase is Phase.OPEN
    body = shelf.must(changes.BodyClosed(A, 70, 1, 1))
    assert (body.phase, body.size, list(body.dirty)) == (Phase.CLOSED, 70, [(0, 70)])


def test_closing_without_a_write_leaves_a_flushed_body_clean(shelf: Shelf) -> None:
    shelf.create(opened=True)
    shelf.post(flushed())
    body = shelf.must(changes.BodyClosed(A, 0, 1, 1, changed=False))
    assert not body.unflushed


def test_a_close_during_replay_means_the_whole_body(shelf: Shelf) -> None:
    body = shelf.create(opened=True)
    body.dirty.add(10, 20)
    shelf.replaying = True
    assert list(shelf.must(changes.BodyClosed(A, 70, 1, 1)).dirty) == [(0, 70)]


def test_a_begun_body_is_partial_and_pinned_to_its_version(shelf: Shelf) -> None:
    body = shelf.begin_partial()
    assert body.partial
    assert (body.base_version, body.base_size, body.size) == (V1, 100, 100)
    assert not body.has(0, 1)
    assert body.has(100, 50), "nothing is needed behind the end"


def test_an_empty_artifact_is_complete_when_it_begins(shelf: Shelf) -> None:
    assert shelf.begin_partial(0).complete


def test_fetched_extents_add_up_to_a_complete_clean_body(shelf: Shelf) -> None:
    shelf.begin_partial()
    body = shelf.must(changes.ExtentsFetched(A, ((0, 30), (60, 10)), V1, 100))
    assert body.has(0, 30)
    assert not body.has(0, 31)
    assert list(body.present) == [(0, 30), (60, 10)]
    body = shelf.must(changes.ExtentsFetched(A, ((30, 30), (70, 100)), V1, 100))
    assert body.complete
    assert not body.present
    assert not body.unflushed


def test_a_write_behind_the_end_brings_zeros_along(shelf: Shelf) -> None:
    shelf.begin_partial()
    body = shelf.must(changes.ExtentsWritten(A, 150, 10, 0, 1))
    assert list(body.present) == list(body.dirty) == [(100, 60)]
    assert (body.size, body.base_size, body.unflushed) == (160, 100, True)


def test_writes_can_complete_a_body(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsWritten(A, 0, 50, 0, 1))
    body = shelf.must(changes.ExtentsWritten(A, 50, 50, 0, 1))
    assert body.complete
    assert list(body.dirty) == [(0, 100)]


def test_truncation_to_nothing_begins_a_body_of_its_own(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsWritten(A, 0, 50, 0, 1))
    body = shelf.must(changes.Truncated(A, 0, 1))
    assert (body.body_id, body.complete, body.size, body.phase) == (3, True, 0, Phase.CLOSED)
    assert (body.base_version, body.unflushed, list(body.dirty)) == (ABSENT, True, [])
    assert list(shelf.graveyard) == [Dead(Sequence(3), A, Sequence(1), 0)]


def test_truncation_to_nothing_stays_open_for_writing(shelf: Shelf) -> None:
    shelf.create(opened=True)
    assert shelf.must(changes.Truncated(A, 0, 1)).phase is Phase.OPEN


def test_truncation_of_an_absent_body_to_nothing_needs_no_byte_of_the_engine(shelf: Shelf) -> None:
    body = shelf.must(changes.Truncated(A, 0, 1))
    assert (body.complete, body.base_version) == (True, ABSENT)


def test_what_a_shrunk_partial_body_grows_again_are_zeros_not_the_old_bytes(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsFetched(A, ((20, 40),), V1, 100))
    body = shelf.must(changes.Truncated(A, 30, 1))
    assert (body.size, body.base_size, list(body.present)) == (30, 30, [(20, 10)])
    body = shelf.must(changes.Truncated(A, 90, 1))
    assert (body.size, body.base_size) == (90, 30)
    assert list(body.present) == [(20, 70)]
    assert list(body.dirty) == [(30, 60)]


def test_a_flush_makes_clean_and_gives_the_body_its_base(shelf: Shelf) -> None:
    shelf.create(opened=True)
    shelf.post(changes.BodyClosed(A, 70, 1, 1))
    body = shelf.must(flushed())
    assert (body.unflushed, list(body.dirty), body.base_version, body.base_size) == (False, [], V1, 70)


def test_a_late_flush_gives_a_newer_base_but_owes_the_body(shelf: Shelf) -> None:
    shelf.create(opened=True)
    body = shelf.must(flushed(content=False, attributes=False, size=12))
    assert (body.unflushed, body.base_version, body.base_size) == (True, V1, 12)


def test_flushed_attributes_rename_the_base(shelf: Shelf) -> None:
    shelf.begin_partial()
    body = shelf.must(flushed(V2, content=False, attributes=True))
    assert (body.base_version, body.base_size) == (V2, 100)
    shelf.post(changes.Truncated(A, 0, 1))
    body = shelf.must(flushed(V1, content=False, attributes=True))
    assert body.base_version == ABSENT, "a body that has no base gets none from its attributes"


def test_a_synced_body_is_durable_until_its_base_changes(shelf: Shelf) -> None:
    shelf.create(opened=True)
    shelf.post(changes.BodyClosed(A, 70, 1, 1))
    shelf.post(flushed())
    body = shelf.must(changes.BodySynced(A))
    assert list(body.durable) == [(0, WHOLE_END)]
    body = shelf.must(flushed(V2))
    assert not body.durable


def test_of_a_partial_body_what_is_dirty_becomes_durable(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsFetched(A, ((20, 40),), V1, 100))
    shelf.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    shelf.post(changes.BodySynced(A))
    body = shelf.must(changes.ExtentsWritten(A, 90, 20, 0, 1))
    assert list(body.durable) == [(0, 10)]
    body = shelf.must(changes.BodySynced(A, ((90, 5),)))
    assert list(body.durable) == [(0, 10), (90, 5)]
    body = shelf.must(changes.Truncated(A, 92, 1))
    assert list(body.durable) == [(0, 10), (90, 2)]


def test_a_conflict_owes_the_whole_body(shelf: Shelf) -> None:
    shelf.create(opened=True)
    shelf.post(changes.BodyClosed(A, 70, 1, 1))
    shelf.post(flushed())
    body = shelf.must(changes.ArtifactConflicted(A, ROOT, b"a", b"b", 1))
    assert (body.unflushed, list(body.dirty)) == (True, [(0, 70)])


def test_a_complete_body_stands_for_itself_when_its_base_is_gone(shelf: Shelf) -> None:
    shelf.begin_partial()
    body = shelf.must(changes.ExtentsFetched(A, ((0, 100),), V1, 100))
    shelf.keep_base(A, {V1, V2})
    assert body.base_version == V1
    shelf.keep_base(A, {V2})
    assert (body.base_version, body.base_size) == (ABSENT, 0)
    assert (body.unflushed, list(body.dirty)) == (True, [(0, 100)]), "its bytes are nowhere else"


def test_a_partial_body_keeps_its_base_so_that_missing_bytes_are_an_error_and_never_zeros(shelf: Shelf) -> None:
    body = shelf.begin_partial()
    shelf.keep_base(A, set())
    assert body.base_version == V1


def test_an_evicted_body_is_gone_unless_it_is_open(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.BodyEvicted(A))
    assert shelf.find(A) is None
    shelf.begin_partial()
    shelf.hold(A, writing=False)
    body = shelf.must(changes.BodyEvicted(A))
    assert (body.phase, body.handles) == (Phase.ABSENT, 1)
    shelf.let_go(A, writing=False)
    assert shelf.find(A) is None
    assert [dead.body_id for dead in shelf.graveyard] == [1, 3]


def test_handles_and_writers_are_counted(shelf: Shelf) -> None:
    body = shelf.hold(A, writing=True)
    assert shelf.hold(A, writing=False) is body
    assert (body.handles, body.writers, body.phase) == (2, 1, Phase.ABSENT)
    assert shelf.let_go(A, writing=True).writers == 0
    assert shelf.let_go(A, writing=False).handles == 0
    with pytest.raises(InvalidRequest):
        shelf.let_go(A, writing=False)


def test_only_clean_closed_bodies_may_leave_the_oldest_first(shelf: Shelf) -> None:
    for number in range(6):
        ino = Ino(10 + number)
        shelf.post(changes.ExtentsFetched(ino, (), V1, 0))
        shelf.known(ino).allocated = 10
    shelf.post(changes.BodyOpened(Ino(11)))
    shelf.post(changes.Truncated(Ino(12), 5, 1))
    shelf.hold(Ino(10), writing=False)
    shelf.hold(Ino(13), writing=True)
    assert shelf.evictable(1) == [14]
    assert shelf.evictable(20) == [14, 15]
    assert shelf.evictable(1000) == [14, 15, 10], "open ones last; never what is written, owed or open for writing"


def test_dirty_bytes_are_those_that_the_engine_lacks(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    assert shelf.dirty_bytes == 10


REFUSED = [
    (changes.BodyOpened(A), InvalidRequest),
    (changes.BodyClosed(A, 1, 1, 1), InvalidRequest),
    (changes.ExtentsFetched(A, ((0, 1),), V2, 100), Stale),
    (changes.BodyEvicted(A), InvalidRequest),
]


@pytest.mark.parametrize(("change", "error"), REFUSED, ids=[type(change).__name__ for change, _ in REFUSED])
def test_a_change_that_does_not_fit_a_partial_dirty_body_is_refused(
    shelf: Shelf, change: changes.Change, error: type[Exception]
) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    with pytest.raises(error):
        shelf.check(change)


def test_writes_are_journalled_only_for_partial_bodies(shelf: Shelf) -> None:
    with pytest.raises(InvalidRequest):
        shelf.check(changes.ExtentsWritten(A, 0, 10, 0, 1))
    shelf.create()
    with pytest.raises(InvalidRequest):
        shelf.check(changes.ExtentsWritten(A, 0, 10, 0, 1))


def test_bytes_fetched_for_a_body_that_was_replaced_meanwhile_are_refused(shelf: Shelf) -> None:
    with pytest.raises(Stale):
        shelf.check(changes.ExtentsFetched(A, ((0, 1),), V1, 100))
    shelf.begin_partial()
    shelf.post(changes.Truncated(A, 0, 1))
    with pytest.raises(Stale):
        shelf.check(changes.ExtentsFetched(A, ((0, 1),), V1, 100))


def test_a_snapshot_is_the_bodies(shelf: Shelf) -> None:
    shelf.begin_partial()
    shelf.post(changes.ExtentsFetched(A, ((20, 40),), V1, 100))
    shelf.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    shelf.post(changes.BodySynced(A))
    shelf.hold(Ino(9), writing=False)
    rows = snapshots.take(shelf)
    assert [row.ino for row in rows] == [A]
    again = Shelf()
    snapshots.restore(again, rows)
    assert snapshots.take(again) == rows
    assert rows[0].present == [Extent(0, 10), Extent(20, 40)]
