"""What is fetched for a read, and what reads foretell: patterns and bounds."""

import random

import pytest

from vaultairefs.fetch.windows import (
    AHEAD_BYTES_MAX,
    AHEAD_BYTES_MIN,
    FIRST_BYTES,
    JUMPS_AHEAD_MAX,
    RANGE_BYTES_MAX,
    RANGE_BYTES_MIN,
    SMALL_BYTES,
    Reading,
)
from vaultairefs.model.values import Extent

KIB = 1 << 10
MIB = 1 << 20
SIZE = 1024 * MIB


def scan(reading: Reading, offsets: list[int], length: int, size: int = SIZE) -> list[Extent]:
    return [extent for offset in offsets for extent in reading.follow(offset, length, size)]


def covers_once(extents: list[Extent], start: int, end: int) -> bool:
    """Whether together they are that range, without a byte twice."""
    place = start
    for extent in sorted(extents):
        if extent.offset != place:
            return False
        place = extent.end
    return place == end


@pytest.mark.parametrize("length", [4 * KIB, 128 * KIB, MIB])
def test_a_scan_is_foretold_to_the_end_of_the_file_each_byte_once(length: int) -> None:
    size = 100 * MIB + 5
    found = scan(Reading(), list(range(0, size, length)), length, size)
    assert covers_once(found, found[0].offset, size)
    assert found[0].offset == length
    assert max(extent.length for extent in found) <= RANGE_BYTES_MAX
    assert len(found) <= 40


def test_nothing_is_foretold_further_than_twice_what_was_read_in_a_row() -> None:
    reading, asked = Reading(), 0
    for offset in range(0, SIZE, 128 * KIB):
        asked = max([asked, *(extent.end for extent in reading.follow(offset, 128 * KIB, SIZE))])
        front = offset + 128 * KIB
        assert asked - front <= min(max(2 * front, AHEAD_BYTES_MIN), AHEAD_BYTES_MAX)


def test_a_long_scan_has_several_of_the_largest_ranges_ahead() -> None:
    reading = Reading()
    found = scan(reading, list(range(0, 200 * MIB, MIB)), MIB)
    last = [extent for extent in found if extent.end > 200 * MIB]
    assert last[-1].end - 200 * MIB > AHEAD_BYTES_MAX - RANGE_BYTES_MAX
    assert {extent.length for extent in last} == {RANGE_BYTES_MAX}


def test_a_scan_whose_reads_come_out_of_order_is_one() -> None:
    numbers = list(range(64))
    for place in range(0, 64, 2):
        numbers[place], numbers[place + 1] = numbers[place + 1], numbers[place]
    found = scan(Reading(), [number * 128 * KIB for number in numbers], 128 * KIB)
    assert covers_once(found, found[0].offset, found[-1].end)
    assert found[-1].end >= 16 * MIB


def test_random_reads_foretell_nothing_and_fetch_little() -> None:
    generator, reading = random.Random(1), Reading()
    for _ in range(1000):
        offset = generator.randrange(1, SIZE // (4 * KIB)) * 4 * KIB
        before = reading._front
        found = reading.follow(offset, 4 * KIB, SIZE)
        assert not found or abs(offset - before) <= FIRST_BYTES, "but what lies beside the last read"
        assert reading.end_of(offset, offset + 4 * KIB, SIZE) - offset <= FIRST_BYTES


def test_the_first_read_of_a_file_foretells_a_little_at_its_beginning_and_nothing_elsewhere() -> None:
    assert sum(extent.length for extent in Reading().follow(0, 4 * KIB, SIZE)) <= AHEAD_BYTES_MIN
    assert Reading().follow(300 * MIB, 4 * KIB, SIZE) == []


@pytest.mark.parametrize("length", [4 * KIB, 128 * KIB, MIB])
def test_a_scan_backwards_is_foretold_to_the_beginning(length: int) -> None:
    found = scan(Reading(), list(range(64 * MIB - length, -1, -length)), length)
    assert covers_once(found, 0, max(extent.end for extent in found))
    assert found[0].end >= 64 * MIB - 4 * length
    assert len(found) <= 40


def test_a_scan_backwards_is_not_foretold_further_than_twice_its_length() -> None:
    reading, lowest = Reading(), SIZE
    for number in range(1, 2000):
        offset = SIZE - number * 128 * KIB
        lowest = min([lowest, *(extent.offset for extent in reading.follow(offset, 128 * KIB, SIZE))])
        assert offset - lowest <= min(max(2 * (SIZE - offset), AHEAD_BYTES_MIN), AHEAD_BYTES_MAX)


@pytest.mark.parametrize("stride", [MIB, 10 * MIB, -3 * MIB])
def test_reads_with_equal_holes_foretell_the_next_of_them_without_the_holes(stride: int) -> None:
    first = 0 if stride > 0 else SIZE - MIB
    offsets = [first + number * stride for number in range(60)]
    reading, seen = Reading(), set[int]()
    for number, offset in enumerate(offsets):
        found = [extent for extent in reading.follow(offset, 4 * KIB, SIZE) if extent.length == 4 * KIB]
        assert all(extent.offset in offsets or number > 60 - 2 - JUMPS_AHEAD_MAX for extent in found)
        assert len(found) <= JUMPS_AHEAD_MAX
        if number >= 4:
            assert offset in seen
        seen.update(extent.offset for extent in found)


def test_what_could_not_be_fetched_is_foretold_again() -> None:
    reading = Reading()
    (first, *_) = reading.follow(0, 128 * KIB, SIZE)
    reading.take_back(first)
    (again, *_) = reading.follow(128 * KIB, 128 * KIB, SIZE)
    assert again.offset == 256 * KIB, "from where the reader is now"
    reading.take_back(again)
    assert reading.follow(256 * KIB, 128 * KIB, SIZE)[0].offset == 384 * KIB


def test_small_files_come_whole_and_foretell_nothing() -> None:
    assert Reading().end_of(0, 1, SMALL_BYTES) == SMALL_BYTES
    assert Reading().follow(0, 4 * KIB, SMALL_BYTES) == []


def test_a_fetch_ends_at_the_end_of_the_file_and_takes_no_more_than_a_range() -> None:
    assert Reading().end_of(0, 1 << 40, 1 << 41) == RANGE_BYTES_MAX
    assert Reading().end_of(SIZE - 5, SIZE - 4, SIZE) == SIZE


def test_where_nothing_is_fetched_ahead_a_scan_asks_for_more_and_more() -> None:
    reading, offset, lengths = Reading(), 0, []
    while offset < 64 * MIB:
        reading.follow(offset, 4 * KIB, 64 * MIB)
        end = reading.end_of(offset, offset + 4 * KIB, 64 * MIB)
        for place in range(offset, end, 4 * KIB):
            reading.follow(place, 4 * KIB, 64 * MIB)
        lengths.append(end - offset)
        offset = end
    assert len(lengths) <= 20 and max(lengths) == RANGE_BYTES_MAX


def test_ranges_are_never_tiny() -> None:
    found = scan(Reading(), list(range(0, 64 * MIB, 4 * KIB)), 4 * KIB, 256 * MIB)
    assert min(extent.length for extent in found) >= RANGE_BYTES_MIN
