"""Bytes in and out of body files, descriptors, the budget, and what a failed fdatasync means."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.small_disk import fill, small_disk
from vaultairefs.buffer import Body, Buffer, Phase
from vaultairefs.buffer import buffer as buffer_module
from vaultairefs.model import changes
from vaultairefs.model.errors import DeviceFailed, InvalidRequest, OutOfSpace, VaultaireError
from vaultairefs.model.values import ROOT, Attributes, Ino, Kind, Sequence, Version

A, B = Ino(2), Ino(3)
BORN = Attributes(Kind.FILE, 0o644, 0, 0, 0, 0, 0)


class Store(Buffer):
    """A buffer with a sequence of its own."""

    def __init__(self, directory: Path, *, buffer_size: int = 1 << 30, open_files: int = 512) -> None:
        self.failures: list[Ino] = []
        super().__init__(directory, buffer_size=buffer_size, on_failure=self._fail, open_files=open_files)
        self.sequence = Sequence(0)

    def _fail(self, body: Body, error: VaultaireError) -> None:
        self.failures.append(body.ino)

    def post(self, change: changes.Change) -> Sequence:
        self.check(change)
        self.sequence = Sequence(self.sequence + 1)
        self.apply(self.sequence, change)
        return self.sequence

    def create(self, ino: Ino = A) -> Body:
        self.post(changes.FileCreated(ino, ROOT, b"a", BORN, True))
        return self.known(ino)

    def fill(self, ino: Ino, data: bytes, offset: int = 0) -> None:
        """Write as ``Ledger.note_write`` notes it."""
        self.write(ino, offset, data)
        body = self.known(ino)
        body.size = max(body.size, offset + len(data))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.files.close()


def body_files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*-*"))


def test_a_body_file_is_made_at_the_first_byte_and_named_after_inode_and_body(store: Store, tmp_path: Path) -> None:
    store.create()
    assert store.read(A, 0, 10) == b""
    assert store.stat(A) is None
    assert body_files(tmp_path) == []
    store.fill(A, b"hello")
    assert body_files(tmp_path) == ["01/2-1"]
    assert store.read(A, 1, 3) == b"ell"
    assert store.read(A, 3, 100) == b"lo"
    assert store.read(A, 5, 100) == b""


def test_truncation_to_nothing_leaves_the_old_file_until_its_record_is_durable(store: Store, tmp_path: Path) -> None:
    store.create()
    store.fill(A, b"old")
    sequence = store.post(changes.Truncated(A, 0, 1))
    store.truncate_file(A, 0)
    assert store.read(A, 0, 3) == b""
    store.fill(A, b"new")
    assert body_files(tmp_path) == ["01/2-1", "02/2-2"]
    store.files.unlink(store.take_dead(Sequence(sequence - 1)))
    assert body_files(tmp_path) == ["01/2-1", "02/2-2"]
    store.files.unlink(store.take_dead(sequence))
    assert body_files(tmp_path) == ["02/2-2"]
    assert store.read(A, 0, 3) == b"new"


def test_truncation_sets_the_length_of_the_file(store: Store) -> None:
    store.create()
    store.fill(A, b"hello")
    store.post(changes.Truncated(A, 2, 1))
    store.truncate_file(A, 2)
    store.post(changes.Truncated(A, 4, 1))
    store.truncate_file(A, 4)
    assert store.read(A, 0, 10) == b"he\0\0"


def test_growing_an_empty_body_makes_a_sparse_file(store: Store) -> None:
    store.create()
    store.post(changes.Truncated(A, 1 << 30, 1))
    store.truncate_file(A, 1 << 30)
    status = store.stat(A)
    assert status is not None
    assert status.st_size == 1 << 30
    assert store.used_bytes < 1 << 20, "holes take no budget"
    assert store.read(A, 1 << 29, 3) == b"\0\0\0"


def test_a_body_file_that_is_missing_or_short_is_an_error_and_never_zeros(store: Store, tmp_path: Path) -> None:
    body = store.create()
    body.size = 5
    with pytest.raises(DeviceFailed):
        store.read(A, 0, 5)
    store.fill(A, b"12345")
    os.truncate(tmp_path / "01/2-1", 3)
    assert store.read(A, 0, 3) == b"123"
    with pytest.raises(DeviceFailed):
        store.read(A, 0, 5)


def test_an_absent_body_is_not_read_or_written(store: Store) -> None:
    store.hold(A, writing=True)
    with pytest.raises(InvalidRequest):
        store.read(A, 0, 1)
    with pytest.raises(InvalidRequest):
        store.write(A, 0, b"x")
    store.sync(A)
    assert store.stat(A) is None


def test_a_pinned_descriptor_outlives_its_body(store: Store) -> None:
    body = store.create()
    store.fill(A, b"old")
    with store.pinned(A) as fd:
        pinned_body = body.body_id
        store.post(changes.Truncated(A, 0, 1))
        store.fill(A, b"new")
        store.files.unlink(store.take_dead(store.sequence))
        assert os.pread(fd, 3, 0) == b"old"
        assert body.body_id != pinned_body
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def test_descriptors_are_limited_but_pinned_ones_stay(tmp_path: Path) -> None:
    store = Store(tmp_path, open_files=8)
    store.create(Ino(100))
    store.fill(Ino(100), b"x")
    with store.pinned(Ino(100)) as fd:
        for number in range(40):
            store.create(Ino(number + 200))
            store.fill(Ino(number + 200), b"%d" % number)
        assert len([body for body in store.all() if body.file is not None]) <= 9
        assert os.pread(fd, 1, 0) == b"x"
    assert [store.read(Ino(number + 200), 0, 9) for number in range(40)] == [b"%d" % number for number in range(40)]
    store.files.close()
    assert [body for body in store.all() if body.file is not None] == []


def test_times_go_to_the_body_file(store: Store) -> None:
    store.create()
    store.set_times(A, 5)
    store.fill(A, b"x")
    store.set_times(A, 1_000_000_007)
    status = store.stat(A)
    assert status is not None
    assert status.st_mtime_ns == 1_000_000_007


def test_the_budget_counts_bodies_and_the_graveyard(tmp_path: Path) -> None:
    store = Store(tmp_path, buffer_size=1 << 20)
    store.create()
    assert store.has_room(1 << 20)
    store.fill(A, bytes(700_000))
    assert not store.has_room(400_000)
    assert store.has_room(300_000)
    store.post(changes.Truncated(A, 0, 1))
    assert not store.has_room(400_000), "the file is there until its record is durable"
    store.take_dead(store.sequence)
    assert store.has_room(1 << 20)
    assert store.used_bytes == 0
    store.files.close()


def test_disk_use_is_measured_again_as_a_body_grows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer_module, "_MEASURE_BYTES", 10_000)
    store.create()
    for offset in range(0, 400_000, 40_000):
        store.fill(A, b"x" * 5000, offset)
    status = store.stat(A)
    assert status is not None
    assert abs(store.used_bytes - status.st_blocks * 512) <= 10_000


def test_a_little_room_is_left_on_the_state_filesystem(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    free = os.statvfs(store.files.directory)
    monkeypatch.setattr(buffer_module, "FREE_FLOOR_BYTES", free.f_bavail * free.f_frsize + (1 << 40))
    assert not store.has_room(1)


def test_a_write_that_does_not_fit_leaves_the_length_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        store = Store(disk)
        store.create()
        store.fill(A, b"x" * 10_000)
        filler = fill(disk)
        with pytest.raises(OutOfSpace):
            store.write(A, 10_000, bytes(3 << 20))
        status = store.stat(A)
        assert status is not None
        assert status.st_size == 10_000
        filler.unlink()
        store.fill(A, b"y" * 10_000, 10_000)
        assert store.read(A, 9_999, 2) == b"xy"
        store.files.close()


def test_a_failed_fdatasync_condemns_the_body_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create()
    store.fill(A, b"x")

    def fail(fd: int) -> None:
        raise DeviceFailed

    with monkeypatch.context() as patch:
        patch.setattr("vaultairefs.buffer.files.sync_data", fail)
        with pytest.raises(DeviceFailed):
            store.sync(A)
    assert store.failures == [A]
    for act in (lambda: store.sync(A), lambda: store.read(A, 0, 1), lambda: store.write(A, 0, b"y")):
        with pytest.raises(DeviceFailed):
            act()
    assert store.failures == [A]
    assert A not in store.evictable(1 << 30)


def synced_bodies(store: Store) -> list[tuple[Ino, tuple[tuple[int, int], ...]]]:
    return list(store.take_synced())


def test_a_sync_is_reported_only_where_there_is_a_base_to_fall_back_to(store: Store) -> None:
    store.create()
    store.fill(A, b"x" * 10)
    store.sync(A)
    assert synced_bodies(store) == []
    store.post(changes.ArtifactFlushed(A, ROOT, b"a", Version("1"), True, True, 10))
    store.sync(A)
    assert synced_bodies(store) == [(A, ())]
    store.post(changes.BodySynced(A))
    store.sync(A)
    assert synced_bodies(store) == [], "it is known already"


def test_a_sync_that_raced_with_writes_reports_only_what_it_saw(store: Store) -> None:
    store.post(changes.ExtentsFetched(A, (), Version("1"), 100))
    store.write(A, 0, b"x" * 10)
    store.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    store.sync(A)
    store.write(A, 50, b"x" * 10)
    store.post(changes.ExtentsWritten(A, 50, 10, 0, 1))
    assert synced_bodies(store) == [(A, ((0, 10),))]


def test_what_was_partial_when_it_was_synced_is_not_durable_whole(store: Store) -> None:
    store.post(changes.ExtentsFetched(A, (), Version("1"), 100))
    store.write(A, 0, b"x" * 10)
    store.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    store.sync(A)
    os.pwrite(store.descriptor(A), b"y" * 90, 10)
    store.post(changes.ExtentsFetched(A, ((10, 90),), Version("1"), 100))
    assert store.known(A).complete
    assert synced_bodies(store) == [(A, ((0, 10),))]


def test_a_body_that_was_replaced_after_its_sync_is_not_durable(store: Store) -> None:
    store.post(changes.ExtentsFetched(A, (), Version("1"), 100))
    store.write(A, 0, b"x" * 10)
    store.post(changes.ExtentsWritten(A, 0, 10, 0, 1))
    store.sync(A)
    store.post(changes.Truncated(A, 0, 1))
    assert synced_bodies(store) == []


def test_every_body_file_is_found_again(store: Store) -> None:
    store.create(A)
    store.fill(A, b"x")
    store.create(B)
    store.fill(B, b"y" * 5000)
    (store.files.directory / "stray").write_bytes(b"")
    (store.files.directory / "01" / "not a body").write_bytes(b"")
    assert sorted((ino, body_id) for ino, body_id, *_ in store.files.scan()) == [(A, 1), (B, 2)]
    assert store.known(A).phase is Phase.OPEN
