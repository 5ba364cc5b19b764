"""The event log: dense across crashes, compressed and dropped without losing or repeating anything."""

import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.killing import acknowledged_before_kill
from tests.support.small_disk import fill, small_disk
from vaultairefs.events import EventLog, EventReader, EventRecord
from vaultairefs.events.record import encode
from vaultairefs.model.errors import OutOfSpace

Opener = Callable[..., EventLog]


@pytest.fixture
def kept() -> list[tuple[str, bytes, str]]:
    return []


@pytest.fixture
def open_log(tmp_path: Path, kept: list[tuple[str, bytes, str]]) -> Opener:
    def open_it(directory: Path = tmp_path, **named: Any) -> EventLog:
        return EventLog(
            directory,
            **{
                "tenant": "acme",
                "mount": "a1b2c3d4",
                "boot": "boot",
                "segment_bytes": 4096,
                "quarantine": lambda *thing: kept.append(thing),
                **named,
            },
        )

    return open_it


def record_some(log: EventLog, count: int) -> None:
    for _ in range(count):
        number = log.next_sequence
        log.record(
            time_ns=number * 10,
            operation="create",
            operation_id=number * 2,
            artifact=b"name %d " % number + random.Random(number).randbytes(40),
        )


def numbers(log: EventLog | EventReader, start: int = 1) -> list[int]:
    return [record.sequence for record in log.read(start)]


def upto(last: int, first: int = 1) -> list[int]:
    return list(range(first, last + 1))


def test_an_event_comes_back_with_every_field(open_log: Opener) -> None:
    fields: dict[str, Any] = {
        "time_ns": 1,
        "operation": "release",
        "operation_id": 2,
        "pid": 3,
        "uid": 4,
        "comm": "cat",
        "container": b"a/b\xff",
        "artifact": b"\xfe",
        "inode": 5,
        "size": 6,
        "offset": 7,
        "length": 8,
        "duration_ns": 9,
        "outcome": "EIO",
        "durability": "journaled",
        "cache_hit": True,
        "requests": 10,
        "reads": 11,
        "writes": 12,
        "bytes_read": 13,
        "bytes_written": 14,
        "sequential_share": 0.5,
    }
    log = open_log()
    assert log.record(**fields) == 1
    (record,) = log.read()
    assert {name: getattr(record, name) for name in fields} == fields
    assert (record.sequence, record.tenant, record.mount) == (1, "acme", "a1b2c3d4")


def test_the_format_has_exactly_the_fields_of_the_contract() -> None:
    names = (
        "sequence time_ns tenant mount operation_id pid uid comm operation container artifact inode size offset length "
        "duration_ns outcome durability cache_hit requests "
        "reads writes bytes_read bytes_written sequential_share target_container target_artifact"
    )
    assert " ".join(EventRecord.__struct_fields__) == names


def test_text_that_is_no_unicode_is_recorded_all_the_same(open_log: Opener) -> None:
    log = open_log(mount=os.fsdecode(b"/mnt/\xff"))
    log.record(time_ns=1, operation="open", comm=os.fsdecode(b"pro\xffgram"))
    (record,) = log.read()
    assert (record.comm, record.mount) == ("pro\\udcffgram", "/mnt/\\udcff")


def test_the_sequence_is_dense_over_segments_and_lives(open_log: Opener) -> None:
    log = open_log()
    record_some(log, 200)
    log.close()
    log = open_log()
    assert log.next_sequence == 201
    record_some(log, 50)
    unclosed = open_log()
    record_some(unclosed, 50)
    assert numbers(unclosed) == upto(300)
    assert next(unclosed.read(7)).artifact == b"name 7 " + random.Random(7).randbytes(40)


def test_an_event_torn_at_any_byte_leaves_its_sequence_to_the_next(
    tmp_path: Path, open_log: Opener, kept: list[tuple[str, bytes, str]]
) -> None:
    record_some(open_log(), 5)
    path = tmp_path / "events-0000000000000001.log"
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    last = next(iter(EventReader(tmp_path).read(5)))
    start = end - len(encode(last)) - 8
    for cut in range(start + 1, end):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        kept.clear()
        log = open_log()
        assert log.next_sequence == 5
        assert "record 5 is torn" in log.damage[0]
        assert kept == [("events-0000000000000001.log.tail", whole[start:cut].rstrip(b"\0"), log.damage[0])]
        record_some(log, 1)
        assert numbers(log) == upto(5)
        assert open_log().damage == []
        log.close()
        os.unlink(tmp_path / "events-0000000000000005.log")


def test_without_a_quarantine_the_unreadable_tail_stays_beside_the_log(tmp_path: Path) -> None:
    for _ in range(2):
        log = EventLog(tmp_path, tenant="", mount="m", boot="b")
        log.record(time_ns=1, operation="open")
        log.close()
        with max(tmp_path.glob("events-*.log")).open("ab") as file:
            file.write(b"\xffgarbage")
    EventLog(tmp_path, tenant="", mount="m", boot="b")
    found = sorted(tmp_path.glob("damaged-*"))
    assert [path.read_bytes() for path in found] == [b"\xffgarbage"] * 2
    assert numbers(EventReader(tmp_path)) == [1, 2]


def test_rotated_segments_are_compressed_and_read_the_same(tmp_path: Path, open_log: Opener) -> None:
    log = open_log()
    record_some(log, 300)
    before = list(log.read())
    log.compact()
    assert len(list(tmp_path.glob("*.log.gz"))) >= 5
    assert len(list(tmp_path.glob("*.log"))) == 1
    assert list(log.read()) == before
    assert numbers(log, 150) == upto(300, first=150)
    log.compact()
    assert list(log.read()) == before


def test_a_compaction_holds_a_small_piece_of_a_segment_at_a_time(tmp_path: Path, open_log: Opener) -> None:
    """What a worker thread allocates at once stays with it: a mount grew by 6.5 MiB with each segment of its log."""
    log = open_log(segment_bytes=4 << 20)
    record_some(log, 100)
    while len(list(tmp_path.glob("*.log"))) == 1:
        record_some(log, 1000)
    tracemalloc.start()
    try:
        log.compact()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert numbers(log, log.next_sequence - 5) == upto(log.next_sequence - 1, first=log.next_sequence - 5)


def test_the_sequence_goes_on_after_a_compaction(open_log: Opener) -> None:
    log = open_log()
    record_some(log, 300)
    log.compact()
    record_some(log, 100)
    log.compact()
    log.close()
    log = open_log()
    record_some(log, 10)
    assert numbers(log) == upto(410)


def test_the_sequence_goes_on_when_only_compressed_segments_are_left(tmp_path: Path, open_log: Opener) -> None:
    log = open_log()
    record_some(log, 300)
    log.compact()
    log.close()
    for path in tmp_path.glob("*.log"):
        path.unlink()
    last = max(numbers(EventReader(tmp_path)))
    assert open_log().next_sequence == last + 1


def test_the_oldest_are_dropped_beyond_the_limit_and_the_first_kept_is_known(tmp_path: Path, open_log: Opener) -> None:
    log = open_log(keep_bytes=12_000)
    record_some(log, 600)
    log.compact()
    found = numbers(log)
    assert found[0] == log.first_sequence > 1
    assert found == upto(600, first=found[0])
    assert sum(path.stat().st_size for path in tmp_path.glob("*.gz")) <= 12_000
    record_some(log, 1)
    assert numbers(log)[-1] == 601


def test_the_newest_segment_is_never_dropped(open_log: Opener) -> None:
    log = open_log(keep_bytes=0)
    record_some(log, 300)
    log.compact()
    assert numbers(log)[-1] == 300
    log.close()
    assert open_log(keep_bytes=0).next_sequence == 301


def test_the_newest_segment_is_durable_before_an_older_one_is_replaced(
    tmp_path: Path, open_log: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the place of the next event: after power loss the log would go on at the wrong one."""
    log = open_log()
    record_some(log, 100)
    newest = str(max(tmp_path.glob("*.log")))
    descriptors = len(os.listdir("/proc/self/fd"))
    calls: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: calls.append(os.readlink(f"/proc/self/fd/{fd}")))
    rename = os.rename

    def watched_rename(old: Path, new: Path) -> None:
        calls.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "rename", watched_rename)
    log.compact()
    before = calls[: calls.index("rename")]
    assert before.index(newest) < before.index(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) < descriptors, "rotated segments do not stay open"


def test_a_crash_at_any_step_of_a_compaction_loses_and_repeats_nothing(
    tmp_path: Path, open_log: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every durable step of ``compact`` is made to fail once, as if the process had died there."""

    class Died(BaseException):
        pass

    steps = 0
    while True:
        directory = tmp_path / str(steps)
        directory.mkdir()
        log = open_log(directory)
        record_some(log, 120)
        left = steps

        def die_in_turn(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Died
                left -= 1
                return original(*arguments, **named)

            return call

        with monkeypatch.context() as patch:
            for name in ("pwrite", "fsync", "fdatasync", "rename"):
                patch.setattr(os, name, die_in_turn(getattr(os, name)))
            unlink = os.unlink
            patch.setattr(os, "unlink", lambda *a, **n: unlink(*a, **n) if left else None)  # noqa: B023
            try:
                log.compact()
                survived = True
            except Died:
                survived = False
        again = open_log(directory)
        assert numbers(again) == upto(120)
        record_some(again, 1)
        again.compact()
        assert numbers(again) == upto(121)
        assert not list(directory.glob("*.tmp"))
        assert len(list(directory.glob("*.log"))) == 1
        if survived:
            break
        steps += 1
    assert steps > 8


def test_a_full_disk_refuses_an_event_and_its_sequence_stays_free(tmp_path: Path, open_log: Opener) -> None:
    with small_disk(tmp_path / "small", 64 << 10) as directory:
        log = open_log(directory, segment_bytes=8192)
        record_some(log, 3)
        filler = fill(directory)
        with pytest.raises(OutOfSpace):
            record_some(log, 1000)
        refused = log.next_sequence
        filler.unlink()
        record_some(log, 1)
        assert numbers(log) == upto(refused)
        log.close()


def test_operation_ids_of_the_tail_hold_the_newest(open_log: Opener) -> None:
    log = open_log()
    assert log.operation_ids_tail() == set()
    record_some(log, 3)
    assert log.operation_ids_tail() == {2, 4, 6}
    record_some(log, 297)
    assert log.operation_ids_tail() >= {2 * number for number in upto(300, first=270)}
    assert log.recorded_operations(298) == {596, 598, 600}
    log.close()
    assert 600 in open_log().operation_ids_tail()


RECORDER = """
import sys
from vaultairefs.events import EventLog
log = EventLog(sys.argv[1], tenant="t", mount="m", boot="child", segment_bytes=8192, keep_bytes=1 << 30)
while True:
    sequence = log.record(time_ns=1, operation="open", artifact=b"x" * (log.next_sequence % 150))
    sys.stdout.write(f"{sequence}\\n")
    sys.stdout.flush()
    if sequence % 100 == 0:
        log.compact()
"""


def test_after_kill_9_every_recorded_event_is_there_and_the_sequence_goes_on(tmp_path: Path) -> None:
    expected = 1
    for life in range(4):
        heard = acknowledged_before_kill(RECORDER, tmp_path, lines=250 + 61 * life)
        assert [int(line) for line in heard] == upto(expected + len(heard) - 1, first=expected)
        reader = EventReader(tmp_path)
        found = numbers(reader)
        assert found == upto(len(found))
        assert len(found) >= int(heard[-1])
        assert reader.damage == []
        expected = len(found) + 1
