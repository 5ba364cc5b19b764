"""The segmented log: what was appended comes back, dense and in order; what is damaged is said and never skipped."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.killing import acknowledged_before_kill
from tests.support.small_disk import fill, small_disk
from vaultairefs.disk import frames
from vaultairefs.disk.segments import Position, SegmentLog
from vaultairefs.model.errors import BadInput, Corrupt, DeviceFailed, OutOfSpace

SEGMENT_BYTES = 4096


def open_log(directory: Path, *, boot: str = "boot-1", segment_bytes: int = SEGMENT_BYTES, **named: Any) -> SegmentLog:
    return SegmentLog(directory, "log", segment_bytes=segment_bytes, boot=boot, **named)


def record(number: int) -> bytes:
    return b"record %d " % number + bytes([number % 251 + 1]) * (number * 7 % 90)


def write_records(directory: Path, count: int, **named: Any) -> SegmentLog:
    log = open_log(directory, **named)
    for number in range(1, count + 1):
        log.append(record(number))
    return log


def records_in(directory: Path) -> tuple[list[bytes], list[str]]:
    log = open_log(directory)
    return [frame.payload for frame in log.scan()], log.damage


def cut_where_scan_ends(directory: Path) -> list[tuple[str, bytes]]:
    """What an owner does with a damaged log: keep the rest elsewhere, then end the log."""
    log = open_log(directory)
    end = Position(log.segments[0], 0)
    for frame in log.scan():
        end = frame.position
    lost = list(log.bytes_after(end))
    log.truncate_after(end)
    return lost


def test_records_come_back_in_order_over_many_segments_and_lives(tmp_path: Path) -> None:
    write_records(tmp_path, 200, boot="boot-1").close()
    second = open_log(tmp_path, boot="boot-2")
    for number in range(201, 301):
        second.append(record(number))
    frames_read = list(open_log(tmp_path).scan())
    assert [frame.payload for frame in frames_read] == [record(number) for number in range(1, 301)]
    assert [frame.ordinal for frame in frames_read] == list(range(1, 301))
    assert [frame.boot for frame in frames_read] == ["boot-1"] * 200 + ["boot-2"] * 100
    assert len(second.segments) > 3


def test_a_log_that_was_not_closed_is_as_good(tmp_path: Path) -> None:
    write_records(tmp_path, 50)
    write_after = open_log(tmp_path)
    assert write_after.next_ordinal == 51
    write_after.append(record(51))
    assert records_in(tmp_path) == ([record(number) for number in range(1, 52)], [])


def test_an_empty_log_and_one_that_never_got_a_record_are_empty(tmp_path: Path) -> None:
    assert records_in(tmp_path) == ([], [])
    for left in (b"", bytes(SEGMENT_BYTES), frames.pack_header(1, "boot", 1)[:20], frames.pack_header(1, "boot", 1)):
        (tmp_path / "log-0000000000000001.log").write_bytes(left)
        assert records_in(tmp_path) == ([], [])
        log = open_log(tmp_path)
        log.append(b"first")
        assert records_in(tmp_path) == ([b"first"], [])
        os.unlink(tmp_path / "log-0000000000000001.log")


def test_a_record_torn_at_any_byte_is_left_out_and_said(tmp_path: Path) -> None:
    write_records(tmp_path, 9)
    path = tmp_path / "log-0000000000000001.log"
    whole = path.read_bytes()
    end = [frame.position.offset for frame in open_log(tmp_path).scan()]
    for cut in range(end[7] + 1, end[8]):
        torn = whole[:cut] + bytes(len(whole) - cut)
        path.write_bytes(torn)
        payloads, damage = records_in(tmp_path)
        assert payloads == [record(number) for number in range(1, 9)]
        assert damage == [f"log: record 9 is torn (segment 1, byte {end[7]})"]
        assert cut_where_scan_ends(tmp_path) == [(path.name, torn[end[7] :].rstrip(b"\0"))]
        after = open_log(tmp_path)
        after.append(b"next")
        assert records_in(tmp_path) == ([*payloads, b"next"], [])
        after.close()
        for other in after.segments[1:]:
            os.unlink(tmp_path / f"log-{other:016x}.log")


def test_a_segment_cut_short_at_any_byte_yields_its_whole_records(tmp_path: Path) -> None:
    """A file that is shorter than it was: not preallocated space, but the end of the file ends the last record."""
    write_records(tmp_path, 9)
    path = tmp_path / "log-0000000000000001.log"
    whole = path.read_bytes()
    ends = [frame.position.offset for frame in open_log(tmp_path).scan()]
    for cut in range(frames.HEADER_BYTES, ends[-1]):
        path.write_bytes(whole[:cut])
        payloads, damage = records_in(tmp_path)
        assert payloads == [record(number + 1) for number, end in enumerate(ends) if end <= cut]
        assert bool(damage) == (cut not in (frames.HEADER_BYTES, *ends))


def test_a_flipped_bit_anywhere_stops_the_scan_there_and_is_said(tmp_path: Path) -> None:
    write_records(tmp_path, 9)
    path = tmp_path / "log-0000000000000001.log"
    whole = path.read_bytes()
    ends = [frames.HEADER_BYTES, *(frame.position.offset for frame in open_log(tmp_path).scan())]
    for at in range(ends[4], ends[5]):
        for bit in (0x01, 0x80):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            payloads, damage = records_in(tmp_path)
            assert payloads == [record(number) for number in range(1, 5)]
            assert len(damage) == 1
            assert f"record 5 is damaged (segment 1, byte {ends[4]})" in damage[0]


def test_a_flipped_bit_in_a_header_hides_nothing(tmp_path: Path) -> None:
    write_records(tmp_path, 3)
    path = tmp_path / "log-0000000000000001.log"
    whole = path.read_bytes()
    for at in range(frames.HEADER_BYTES):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert records_in(tmp_path) == ([], ["log: the header of segment 1 is damaged"])
        assert b"record 3" in next(iter(open_log(tmp_path).bytes_after(Position(1, 0))))[1]


def test_a_page_that_was_lost_before_later_ones_is_damage(tmp_path: Path) -> None:
    """After power loss zeros may stand where a record was, with good records behind them."""
    write_records(tmp_path, 9)
    path = tmp_path / "log-0000000000000001.log"
    whole = path.read_bytes()
    ends = [frame.position.offset for frame in open_log(tmp_path).scan()]
    path.write_bytes(whole[: ends[2]] + bytes(ends[4] - ends[2]) + whole[ends[4] :])
    payloads, damage = records_in(tmp_path)
    assert payloads == [record(1), record(2), record(3)]
    assert "record 4 is damaged" in damage[0]
    assert b"record 9" in cut_where_scan_ends(tmp_path)[0][1]


def test_a_missing_segment_ends_the_scan_before_the_gap(tmp_path: Path) -> None:
    log = write_records(tmp_path, 200)
    first, second, third = log.segments[:3]
    os.unlink(tmp_path / f"log-{second:016x}.log")
    payloads, damage = records_in(tmp_path)
    assert payloads == [record(number) for number in range(first, second)]
    assert damage == [f"log: record {second} is missing: the next segment begins with {third}"]


def test_records_lost_at_the_end_of_a_rotated_segment_are_missed(tmp_path: Path) -> None:
    write_records(tmp_path, 200).close()
    path = tmp_path / "log-0000000000000001.log"
    last = max(frame.position.offset for frame in open_log(tmp_path).scan() if frame.position.segment == 1)
    with path.open("r+b") as file:
        file.truncate(last - 100)
    payloads, damage = records_in(tmp_path)
    assert payloads == [record(number) for number in range(1, len(payloads) + 1)]
    assert len(damage) == 1


def test_a_whole_segment_from_elsewhere_is_not_believed(tmp_path: Path) -> None:
    log = write_records(tmp_path, 200)
    first, second = log.segments[:2]
    os.replace(tmp_path / f"log-{first:016x}.log", tmp_path / f"log-{second:016x}.log")
    assert records_in(tmp_path) == ([], [f"log: the header of segment {second} is damaged"])


def test_nothing_is_appended_behind_damage(tmp_path: Path) -> None:
    write_records(tmp_path, 9)
    path = tmp_path / "log-0000000000000001.log"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" + whole[101:])
    log = open_log(tmp_path)
    with pytest.raises(Corrupt):
        log.append(b"behind")
    assert path.read_bytes() == whole[:100] + b"\xff" + whole[101:]


def test_the_log_of_a_newer_program_is_refused_untouched(tmp_path: Path) -> None:
    write_records(tmp_path, 3, content_version=2)
    before = (tmp_path / "log-0000000000000001.log").read_bytes()
    with pytest.raises(BadInput):
        records_in(tmp_path)
    with pytest.raises(BadInput):
        open_log(tmp_path).append(b"x")
    assert (tmp_path / "log-0000000000000001.log").read_bytes() == before


def test_truncation_ends_the_log_behind_a_record_in_an_older_segment(tmp_path: Path) -> None:
    write_records(tmp_path, 200).close()
    log = open_log(tmp_path)
    log.truncate_after(next(frame.position for frame in log.scan() if frame.ordinal == 70))
    assert log.next_ordinal == 71
    log.append(b"new 71")
    assert records_in(tmp_path) == ([*(record(number) for number in range(1, 71)), b"new 71"], [])


def test_truncating_everything_keeps_the_numbering(tmp_path: Path) -> None:
    log = write_records(tmp_path, 200)
    log.delete_before(log.segments[2])
    log.close()
    log = open_log(tmp_path)
    first = log.segments[0]
    log.truncate_after(Position(first, 0))
    assert (log.segments, log.next_ordinal) == ([], first)
    log.append(b"again")
    assert records_in(tmp_path) == ([b"again"], [])


def test_deleting_old_segments_keeps_the_rest_and_never_the_last(tmp_path: Path) -> None:
    log = write_records(tmp_path, 200)
    before = log.size_bytes
    kept = log.segments[2]
    log.delete_before(kept)
    assert log.size_bytes < before
    assert next(open_log(tmp_path).scan()).payload == record(kept)
    log.delete_before(10**9)
    assert len(log.segments) == 1
    log.append(record(201))
    assert records_in(tmp_path)[0][-1] == record(201)


def test_size_counts_what_is_used_and_space_is_reserved_ahead(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=1 << 20)
    log.append(b"x" * 100)
    assert log.size_bytes == frames.HEADER_BYTES + frames.FRAME_BYTES + 100
    path = tmp_path / "log-0000000000000001.log"
    assert path.stat().st_blocks * 512 >= 1 << 20
    log.close()
    assert path.stat().st_size == log.size_bytes == frames.HEADER_BYTES + frames.FRAME_BYTES + 100


def test_a_record_larger_than_a_segment_gets_its_own(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    payloads = [b"a" * 10_000, b"small", b"b" * 20_000, b"end"]
    for payload in payloads:
        log.append(payload)
    assert records_in(tmp_path) == (payloads, [])


def test_appends_into_reserved_space_go_on_when_the_disk_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 256 << 10) as directory:
        log = open_log(directory, segment_bytes=64 << 10)
        log.append(b"first")
        fill(directory)
        for number in range(300):
            log.append(b"%150d" % number)
        assert len(log.segments) == 1
        assert len(records_in(directory)[0]) == 301


def test_a_full_disk_refuses_a_record_whole_and_takes_it_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 256 << 10) as directory:
        log = open_log(directory, segment_bytes=64 << 10)
        log.append(b"first")
        filler = fill(directory)
        accepted = 1
        with pytest.raises(OutOfSpace):
            while True:
                log.append(b"%1000d" % accepted)
                accepted += 1
        with pytest.raises(OutOfSpace):
            log.append(bytes(1) * 1000)
        assert len(records_in(directory)[0]) == accepted
        log.sync()
        filler.unlink()
        log.append(b"%1000d" % accepted)
        payloads, damage = records_in(directory)
        assert (len(payloads), damage) == (accepted + 1, [])
        log.close()


def test_on_a_nearly_full_disk_a_small_segment_is_enough(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 256 << 10) as directory:
        log = open_log(directory, segment_bytes=1 << 20)
        log.append(b"first")
        assert records_in(directory) == ([b"first"], [])
        log.close()


class ShortDisk:
    """``os.pwrite`` that takes only some bytes of a large write and then fails, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number: int | None = None
        self.zeros_fail = False
        self._write = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        data = bytes(data)
        if self.number is None or (not self.zeros_fail and not any(data)):
            return self._write(fd, data, offset)
        if len(data) > 50:
            return self._write(fd, data[:30], offset)
        raise OSError(self.number, os.strerror(self.number))


def test_an_append_that_fails_halfway_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write_records(tmp_path, 3)
    disk = ShortDisk(monkeypatch)
    disk.number = errno.ENOSPC
    with pytest.raises(OutOfSpace):
        log.append(b"x" * 60)
    assert records_in(tmp_path) == ([record(1), record(2), record(3)], [])
    disk.number = None
    log.append(b"short")
    assert records_in(tmp_path) == ([record(1), record(2), record(3), b"short"], [])


def test_a_half_record_that_cannot_be_taken_back_ends_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a shorter record over it would be followed by its remains."""
    log = write_records(tmp_path, 3)
    disk = ShortDisk(monkeypatch)
    disk.number, disk.zeros_fail = errno.EIO, True
    with pytest.raises(DeviceFailed):
        log.append(b"x" * 60)
    disk.number = None
    with pytest.raises(DeviceFailed):
        log.append(b"y")
    with pytest.raises(DeviceFailed):
        log.sync()
    assert records_in(tmp_path)[0] == [record(1), record(2), record(3)]


def test_a_failed_sync_is_never_followed_by_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write_records(tmp_path, 3)
    good = os.fdatasync

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(DeviceFailed):
        log.sync()
    monkeypatch.setattr(os, "fdatasync", good)
    with pytest.raises(DeviceFailed):
        log.sync()
    with pytest.raises(DeviceFailed):
        log.append(b"x")


def test_sync_covers_rotated_segments_and_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write_records(tmp_path, 200)
    synced: list[str] = []
    for name in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, name, lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    log.sync()
    paths = [str(tmp_path / f"log-{segment:016x}.log") for segment in log.segments]
    assert synced == [*paths, str(tmp_path)]
    synced.clear()
    log.append(b"one more")
    log.sync()
    assert synced == paths[-1:]


def test_sync_covers_what_earlier_lives_left_unsynced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_records(tmp_path, 100, boot="boot-1").close()
    log = open_log(tmp_path, boot="boot-1")
    older = {os.stat(log._path(segment)).st_ino for segment in log.segments}
    log.append(record(101))
    synced: set[int] = set()
    real = os.fdatasync

    def watched(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", watched)
    log.sync()
    assert len(older) > 1 and older < synced
    log.close()


def test_syncing_in_a_thread_while_appending_loses_no_record_and_no_descriptor(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    done = threading.Event()

    def keep_syncing() -> None:
        while not done.is_set():
            log.sync()

    descriptors = len(os.listdir("/proc/self/fd"))
    thread = threading.Thread(target=keep_syncing)
    thread.start()
    for number in range(1, 2001):
        log.append(record(number))
    done.set()
    thread.join()
    log.sync()
    assert len(os.listdir("/proc/self/fd")) == descriptors + 1
    assert records_in(tmp_path) == ([record(number) for number in range(1, 2001)], [])
    log.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors


APPENDER = """
import sys
from vaultairefs.disk.segments import SegmentLog
log = SegmentLog(sys.argv[1], "log", segment_bytes=4096, boot="child")
number = log.next_ordinal
while True:
    log.append(b"record %d " % number + b"x" * (number % 100))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    number += 1
"""


def test_after_kill_9_every_record_whose_append_returned_is_there(tmp_path: Path) -> None:
    expected = 0
    for life in range(3):
        heard = acknowledged_before_kill(APPENDER, tmp_path, lines=200 + 37 * life)
        assert int(heard[0]) == expected + 1
        payloads, damage = records_in(tmp_path)
        assert len(payloads) >= int(heard[-1])
        assert all(payload.startswith(b"record %d " % (i + 1)) for i, payload in enumerate(payloads))
        assert damage == []
        expected = len(payloads)
