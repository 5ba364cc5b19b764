"""Another process reads the log while it is written, rotated, compressed and dropped."""

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.killing import ROOT
from vaultairefs.events import EventLog, EventReader, files, reader
from vaultairefs.events import log as log_module
from vaultairefs.events.record import EventRecord, decode, encode
from vaultairefs.model.errors import BadInput


def open_log(directory: Path, keep_bytes: int = 1 << 30) -> EventLog:
    return EventLog(directory, tenant="t", mount="m", boot="b", segment_bytes=4096, keep_bytes=keep_bytes)


def record_some(log: EventLog, count: int) -> None:
    for _ in range(count):
        log.record(time_ns=1, operation="open", artifact=b"n" * (log.next_sequence % 100))


def numbers(source: EventReader, start: int = 1) -> list[int]:
    return [record.sequence for record in source.read(start)]


def test_an_empty_log_has_nothing_and_begins_with_one(tmp_path: Path) -> None:
    reader_ = EventReader(tmp_path)
    assert (numbers(reader_), reader_.first_sequence, reader_.next_sequence) == ([], 1, 1)


def test_reading_from_the_middle_from_the_end_and_from_before_what_is_kept(tmp_path: Path) -> None:
    log = open_log(tmp_path, keep_bytes=0)
    record_some(log, 200)
    log.compact()
    source = EventReader(tmp_path)
    first = source.first_sequence
    assert first > 1
    assert numbers(source) == list(range(first, 201))
    assert numbers(source, 195) == list(range(195, 201))
    assert numbers(source, 201) == numbers(source, 5000) == []
    assert source.next_sequence == 201


def test_following_sees_each_event_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    source = EventReader(tmp_path)
    seen: list[int] = []
    for step in range(60):
        record_some(log, step % 7)
        if step % 10 == 9:
            log.compact()
        seen += numbers(source, seen[-1] + 1 if seen else 1)
    assert seen == list(range(1, log.next_sequence))
    assert source.damage == []


def test_following_decodes_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    record_some(log, 20)
    source = EventReader(tmp_path)
    assert len(numbers(source)) == 20
    decoded: list[int] = []

    def counting(data: bytes) -> EventRecord:
        record = decode(data)
        decoded.append(record.sequence)
        return record

    monkeypatch.setattr(reader, "decode", counting)
    record_some(log, 2)
    assert numbers(source, 21) == [21, 22]
    assert decoded == [21, 22]


def test_an_event_that_is_being_written_is_left_for_the_next_call(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    record_some(log, 5)
    path = files.plain_path(tmp_path, 1)
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    source = EventReader(tmp_path)
    size = 8 + len(encode(next(source.read(5))))
    source = EventReader(tmp_path)
    for written in range(size):
        path.write_bytes(whole[: end - size + written] + bytes(len(whole) - end + size - written))
        assert numbers(source, 4) == [4]
    path.write_bytes(whole)
    assert numbers(source, 5) == [5]
    assert source.damage == []


def test_damage_in_an_old_segment_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    record_some(log, 200)
    second, third = files.list_segments(tmp_path)[1:3]
    path = files.plain_path(tmp_path, second)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    source = EventReader(tmp_path)
    found = numbers(source)
    lost = sorted(set(range(1, 201)) - set(found))
    assert lost and lost == list(range(lost[0], third))
    assert found == sorted(set(found))
    assert len(source.damage) == 1 and source.damage[0].startswith(f"events {lost[0]} to {third - 1}:")


@pytest.mark.parametrize("damage", ["cut", "flip", "garbage"])
def test_a_damaged_compressed_segment_is_said_and_the_rest_is_read(tmp_path: Path, damage: str) -> None:
    log = open_log(tmp_path)
    record_some(log, 200)
    log.compact()
    second, third = files.list_segments(tmp_path)[1:3]
    path = files.packed_path(tmp_path, second)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes({"cut": bytes(data[:-20]), "flip": bytes(data), "garbage": b"garbage"}[damage])
    source = EventReader(tmp_path)
    assert numbers(source) == [n for n in range(1, 201) if not second <= n < third]
    assert len(source.damage) == 1 and str(second) in source.damage[0]


def test_a_segment_that_disappears_while_reading_is_no_error(tmp_path: Path) -> None:
    log = open_log(tmp_path, keep_bytes=0)
    record_some(log, 200)
    source = EventReader(tmp_path)
    reading = source.read()
    assert next(reading).sequence == 1
    log.compact()
    rest = [record.sequence for record in reading]
    assert rest[-1] == 200
    assert rest == sorted(set(rest))
    assert source.damage == []


def test_a_segment_compressed_between_two_reads_is_found(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    record_some(log, 200)
    reading = EventReader(tmp_path).read()
    first = [next(reading).sequence for _ in range(10)]
    log.compact()
    assert first + [record.sequence for record in reading] == list(range(1, 201))


def test_a_log_of_a_newer_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_some(open_log(tmp_path), 3)
    monkeypatch.setattr(reader, "FORMAT_VERSION", 0)
    with pytest.raises(BadInput):
        numbers(EventReader(tmp_path))


FOLLOWER = """
import sys
from vaultairefs.events import EventReader
reader, position, end = EventReader(sys.argv[1]), 1, int(sys.argv[2])
print("ready", flush=True)
while position <= end:
    for record in reader.read(position):
        assert record.sequence == position, (record.sequence, position)
        assert record.artifact == b"n" * (position % 100)
        position += 1
assert not reader.damage, reader.damage
"""


def test_another_process_follows_a_log_that_is_written_and_compacted(tmp_path: Path) -> None:
    total = 6000
    log = open_log(tmp_path)
    follower = subprocess.Popen(
        [sys.executable, "-c", FOLLOWER, str(tmp_path), str(total)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    done = threading.Event()

    def keep_compacting() -> None:
        while not done.is_set():
            log.compact()

    with follower:
        assert follower.stdout is not None and follower.stderr is not None
        assert follower.stdout.readline() == b"ready\n"
        thread = threading.Thread(target=keep_compacting)
        thread.start()
        record_some(log, total)
        done.set()
        thread.join()
        assert (follower.wait(), follower.stderr.read()) == (0, b"")


def test_compressed_segments_are_plain_gzip_of_the_segment(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    record_some(log, 100)
    plain = files.plain_path(tmp_path, 1).read_bytes()
    log.compact()
    assert gzip.decompress(files.packed_path(tmp_path, 1).read_bytes()) == plain
    assert os.stat(files.packed_path(tmp_path, 1)).st_mode & 0o077 == 0


def test_a_log_of_version_1_reads_with_defaults_beside_a_newer_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields are only ever appended: an older program's record is a shorter array."""
    fields = EventRecord.__struct_fields__
    shorter = fields.index("target_container")

    def encode_1(record: EventRecord) -> bytes:
        return msgspec.msgpack.encode([getattr(record, field) for field in fields[:shorter]])

    with monkeypatch.context() as older:
        older.setattr(log_module, "FORMAT_VERSION", 1)
        older.setattr(log_module, "encode", encode_1)
        log = open_log(tmp_path)
        log.record(time_ns=1, operation="rename", container=b"d", artifact=b"a")
        log.close()
    log = open_log(tmp_path)
    log.record(time_ns=2, operation="rename", artifact=b"b", target_container=b"d", target_artifact=b"c")
    one, two = EventReader(tmp_path).read()
    assert (one.operation, one.artifact, one.target_artifact) == ("rename", b"a", None)
    assert (two.artifact, two.target_container, two.target_artifact) == (b"b", b"d", b"c")
