"""Syncs are shared, in order and final when they fail; checkpoints may be interrupted anywhere."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from structlog.testing import capture_logs

from tests.support.ledgers import Lab
from tests.unit.ledger.conftest import OpenLab
from vaultairefs.ledger import checkpoint, compaction, durability
from vaultairefs.ledger.chores import RETRY_SECONDS_MAX, Chore
from vaultairefs.ledger.compaction import Orders
from vaultairefs.ledger.durability import OBJECTS_MAX, SYNC_SECONDS
from vaultairefs.ledger.group_commit import GroupCommit
from vaultairefs.model import changes
from vaultairefs.model.errors import DeviceFailed, OutOfSpace
from vaultairefs.model.values import ROOT


class Slow:
    """A sync that takes as long as the test wants."""

    def __init__(self) -> None:
        self.newest = 0
        self.began: list[int] = []
        self.gate = trio.Event()
        self.group = GroupCommit(lambda: self.newest, self.sync_once)

    async def sync_once(self) -> int:
        through = self.newest
        self.began.append(through)
        await self.gate.wait()
        return through


async def test_callers_that_come_during_a_sync_share_the_next_one() -> None:
    slow = Slow()
    slow.newest = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow.group.wait)
        await trio.testing.wait_all_tasks_blocked()
        slow.newest = 5
        for _ in range(10):
            nursery.start_soon(slow.group.wait)
        await trio.testing.wait_all_tasks_blocked()
        assert slow.began == [1], "what was appended later needs a sync of its own"
        slow.gate.set()
    assert slow.began == [1, 5]


async def test_what_is_safe_already_needs_no_sync() -> None:
    slow = Slow()
    slow.gate.set()
    slow.newest = 3
    await slow.group.wait()
    await slow.group.wait()
    assert slow.began == [3]


async def test_a_cancelled_caller_leaves_the_others_their_sync() -> None:
    slow = Slow()
    slow.newest = 1
    with trio.CancelScope() as first:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slow.group.wait)
            await trio.testing.wait_all_tasks_blocked()
            first.cancel()
            slow.gate.set()
    await slow.group.wait()
    assert slow.group.through == 1


async def test_everybody_who_waits_learns_of_a_failure() -> None:
    async def fail() -> int:
        await trio.lowlevel.checkpoint()
        raise DeviceFailed

    group = GroupCommit(lambda: 1, fail)
    failures = []

    async def wait() -> None:
        try:
            await group.wait()
        except DeviceFailed:
            failures.append(1)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
    assert len(failures) == 3


class Order:
    """Records bodies synced and logs synced, in order."""

    def __init__(self, lab: Lab, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        real = os.fdatasync

        def watched(fd: int) -> None:
            path = os.readlink(f"/proc/self/fd/{fd}")
            self.seen.append(os.path.relpath(path, lab.directory))
            real(fd)

        patch.setattr(os, "fdatasync", watched)

    def bodies(self) -> list[str]:
        return [path for path in self.seen if path.startswith("bodies")]


def test_a_body_that_was_renamed_over_a_name_is_synced_before_the_journal(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write_whole(b"old", b"old")
    new = lab.write_whole(b"new", b"new")
    lab.write_whole(b"other", b"other")
    lab.rename(b"new", b"old")
    order = Order(lab, monkeypatch)
    lab.sync()
    [body] = order.bodies()
    assert body.endswith(f"/{new:x}-{lab.body(new).body_id:x}"), "only that one: not a storm"
    assert order.seen.index(body) < min(at for at, path in enumerate(order.seen) if path.startswith("journal"))
    lab.file(b"more")
    lab.sync()
    assert len(order.bodies()) == 1, "it is synced now"


def test_both_bodies_of_an_exchange_are_synced(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_whole(b"a", b"a")
    lab.write_whole(b"b", b"b")
    lab.rename(b"a", b"b", swap=True)
    order = Order(lab, monkeypatch)
    lab.sync()
    assert len(order.bodies()) == 2


def test_a_file_freed_by_a_change_is_unlinked_only_after_its_sync(lab: Lab) -> None:
    ino = lab.write_whole(b"a", b"a")
    path = Path(lab.ledger.buffer.files.path(ino, lab.body(ino).body_id))
    lab.remove(b"a")
    assert path.exists()
    lab.sync()
    assert not path.exists()


def failing(error: type[Exception]) -> Callable[..., None]:
    def fail(*_: Any) -> None:
        raise error

    return fail


def test_a_failed_journal_sync_makes_the_volume_read_only_for_ever(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ino = lab.file(b"a", opened=True)
    with monkeypatch.context() as patch:
        patch.setattr(lab.ledger._journal, "sync", failing(DeviceFailed))
        with pytest.raises(DeviceFailed):
            lab.sync()
    with pytest.raises(DeviceFailed):
        lab.sync()
    with pytest.raises(DeviceFailed):
        lab.file(b"b")
    with pytest.raises(DeviceFailed):
        lab.ledger.note_write(ino, 0, 1, 1)


def test_a_failed_sync_of_a_body_behind_a_rename_fails_the_sync(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_whole(b"old", b"old")
    lab.write_whole(b"new", b"new")
    lab.rename(b"new", b"old")
    monkeypatch.setattr("vaultairefs.buffer.files.sync_data", failing(DeviceFailed))
    with pytest.raises(DeviceFailed):
        lab.sync()
    assert lab.ledger.refusal is not None


def test_no_room_for_the_sync_mark_is_not_the_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_whole(b"old", b"old")
    new = lab.write_whole(b"new", b"new")
    lab.rename(b"new", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(lab.ledger._journal, "mark", failing(OutOfSpace))
        with pytest.raises(OutOfSpace):
            lab.sync()
    order = Order(lab, monkeypatch)
    lab.sync()
    assert [body.rpartition("/")[2].partition("-")[0] for body in order.bodies()] == [f"{new:x}"]


def test_a_failed_fdatasync_is_an_error_in_later_lives_too(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, base: Path, open_lab: OpenLab
) -> None:
    ino = lab.write_whole(b"a", b"a")
    with monkeypatch.context() as patch:
        patch.setattr("vaultairefs.buffer.files.sync_data", failing(DeviceFailed))
        with pytest.raises(DeviceFailed):
            trio.run(lab.ledger.sync_body, ino)
    assert lab.ledger.refusal is None, "other files go on"
    [report] = lab.state.quarantined()
    assert f"inode {ino}" in report.reason
    lives = [open_lab(lab.copy(base / "killed")), open_lab(lab.copy(base / "power", power_cut=True))]
    lab.checkpoint()
    lives.append(open_lab(lab.copy(base / "checkpointed")))
    for life in lives:
        with pytest.raises(DeviceFailed):
            life.ledger.buffer.read(ino, 0, 1)


def test_a_checkpoint_replaces_the_journal(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    for number in range(50):
        lab.write_whole(b"%d" % number, b"x" * number)
    lab.checkpoint()
    lab.file(b"later")
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.recovered.changes_replayed == 1
    assert again.ledger.fingerprint() == lab.ledger.fingerprint()


@pytest.mark.parametrize("write_down", [Lab.checkpoint, Lab.compact], ids=["here", "elsewhere"])
def test_a_checkpoint_may_be_interrupted_at_any_system_call(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    base: Path,
    open_lab: OpenLab,
    write_down: Callable[[Lab], None],
) -> None:
    lab.write_whole(b"old", b"old")
    lab.checkpoint()
    lab.write_whole(b"new", b"new")
    lab.rename(b"new", b"old")
    opened = lab.file(b"open", opened=True)
    lab.write(opened, 0, b"bytes")
    before = lab.ledger.fingerprint()
    copies: list[Path] = []
    copying = False

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            nonlocal copying
            if not copying:
                copying = True
                copies.append(lab.copy(base / f"at-{len(copies)}"))
                copying = False
            return real(*arguments, **options)

        patch.setattr(os, name, watched)

    with monkeypatch.context() as patch:
        for name in ("fsync", "fdatasync", "rename", "unlink", "ftruncate", "pwrite"):
            watch(name)
        write_down(lab)
    copies.append(lab.copy(base / "after"))
    assert len(copies) > 8
    for copy in copies:
        life = open_lab(copy)
        assert life.ledger.fingerprint() == before
        assert life.ledger.recovered.damage == []


def test_a_checkpoint_from_the_journal_is_the_state_of_its_moment(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    """A process writes it, and what was committed meanwhile is replayed behind it."""
    lab.write_whole(b"old", b"old")
    gone = lab.file(b"gone", opened=True)
    lab.remove(b"gone")
    kept = lab.file(b"kept", opened=True)
    lab.remove(b"kept")
    lab.ledger.buffer.let_go(gone, writing=True)
    lab.ledger.drop(gone)

    def compact(orders: Orders) -> None:
        lab.file(b"later")
        compaction.compact_elsewhere(orders)

    trio.run(lab.ledger.checkpoint_elsewhere, compact)
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.recovered.changes_replayed == 1
    assert again.ledger.fingerprint() == lab.ledger.fingerprint()
    saved = checkpoint.decode(newest_checkpoint(lab))
    assert {inode.ino for inode in saved.namespace.inodes if not inode.nlink} == {kept}


def newest_checkpoint(lab: Lab) -> bytes:
    found = lab.ledger._journal.read_checkpoint()
    assert found is not None
    return found[1]


def test_a_checkpoint_that_fails_elsewhere_changes_nothing(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    lab.write_whole(b"a", b"a")
    before = newest_checkpoint(lab)

    def compact(orders: Orders) -> None:
        """It is told to go further than the journal does."""
        compaction.compact_elsewhere(msgspec.structs.replace(orders, sequence=orders.sequence + 1))

    with pytest.raises(DeviceFailed, match="the journal ends at"):
        trio.run(lab.ledger.checkpoint_elsewhere, compact)
    assert newest_checkpoint(lab) == before
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.fingerprint() == lab.ledger.fingerprint()


async def test_the_ledger_syncs_itself(lab: Lab, autojump_clock: object) -> None:
    lab.file(b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lab.ledger.run)
        await trio.sleep(SYNC_SECONDS * 1.5)
        while lab.ledger._group.through < lab.ledger._sequence:
            await trio.sleep(SYNC_SECONDS)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("objects", [0, OBJECTS_MAX])
async def test_a_long_journal_is_checkpointed(
    lab: Lab, autojump_clock: object, monkeypatch: pytest.MonkeyPatch, objects: int
) -> None:
    """A large state by another process."""
    asked: list[Orders] = []
    monkeypatch.setattr(durability, "OBJECTS_MAX", objects)
    monkeypatch.setattr(lab.ledger, "checkpoint_elsewhere", partial(lab.ledger.checkpoint_elsewhere, asked.append))
    lab.ledger._checkpoint_bytes = 1000
    for number in range(100):
        lab.commit(changes.AttributesSet(ROOT, 0o700, 0, 0, 0, 0, number))
    assert lab.ledger._journal.size_bytes > 1000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lab.ledger.run)
        while lab.ledger._journal.size_bytes > 1000:
            await trio.sleep(SYNC_SECONDS)
        nursery.cancel_scope.cancel()
    assert bool(asked) is (objects == 0)


async def test_the_background_work_survives_a_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    lab.file(b"a")
    with monkeypatch.context() as patch:
        patch.setattr(lab.ledger._journal, "mark", failing(OutOfSpace))
        with trio.move_on_after(SYNC_SECONDS * 3):
            await lab.ledger.run()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lab.ledger.run)
        while lab.ledger._group.through < lab.ledger._sequence:
            await trio.sleep(SYNC_SECONDS)
        nursery.cancel_scope.cancel()


async def test_a_disk_that_stays_full_costs_little_and_is_told_once(autojump_clock: object) -> None:
    """Compressing a segment for nothing every five seconds took a tenth of a processor and filled the log."""
    tries = 0

    async def compact() -> None:
        nonlocal tries
        tries += 1
        await trio.lowlevel.checkpoint()
        raise OutOfSpace

    chore = Chore("events", compact, patient=True)
    with capture_logs() as lines, trio.move_on_after(3600):
        while True:
            await trio.sleep(SYNC_SECONDS)
            await chore.attempt()
    assert 3600 / RETRY_SECONDS_MAX < tries < 20
    assert [line["work"] for line in lines] == ["events"]


async def test_another_failure_and_the_end_of_it_are_told() -> None:
    async def work() -> None:
        await trio.lowlevel.checkpoint()
        kind = next(outcomes)
        if kind is not None:
            raise kind

    outcomes = iter([OutOfSpace, OutOfSpace, DeviceFailed, None, None, OutOfSpace])
    chore = Chore("sync", work, patient=False)
    with capture_logs() as lines:
        for _ in range(6):
            await chore.attempt()
    assert [line["log_level"] for line in lines] == ["error", "error", "info", "error"]


async def test_a_failure_of_one_kind_of_work_does_not_hold_up_the_others(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    synced = trio.Event()
    monkeypatch.setattr(lab.ledger._journal, "mark", failing(OutOfSpace))
    monkeypatch.setattr(lab.ledger.events, "compact", lambda: trio.from_thread.run_sync(synced.set))
    lab.file(b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lab.ledger.run)
        await synced.wait()
        nursery.cancel_scope.cancel()


def test_close_leaves_nothing_to_replay(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    lab.write_whole(b"a", b"bytes")
    before = lab.ledger.fingerprint()
    trio.run(lab.ledger.close)
    shutil.copytree(lab.directory, base / "copy")
    again = open_lab(base / "copy")
    assert again.ledger.recovered.changes_replayed == 0
    assert again.ledger.fingerprint() == before


def test_a_body_whose_version_the_engine_lost_is_synced_before_the_journal(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ino = lab.write_whole(b"a", b"bytes")
    lab.flush(ino)
    lab.sync()
    order = Order(lab, monkeypatch)
    lab.commit(changes.ArtifactConflicted(ino, ROOT, b"a", b"a.conflict", 1))
    lab.sync()
    assert len(order.bodies()) == 1


def test_a_body_that_is_refused_already_does_not_stop_the_volume(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write_whole(b"old", b"old")
    new = lab.write_whole(b"new", b"new")
    with monkeypatch.context() as patch:
        patch.setattr("vaultairefs.buffer.files.sync_data", failing(DeviceFailed))
        with pytest.raises(DeviceFailed):
            trio.run(lab.ledger.sync_body, new)
    lab.rename(b"new", b"old")
    lab.sync()
    lab.file(b"goes on")
