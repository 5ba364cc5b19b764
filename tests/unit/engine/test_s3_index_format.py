"""What an index says is what was written, or nothing."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.engine.s3_index_format import ROW_BYTES_MAX, SHARD_ROWS_MAX, Shard, pack, split, unpack
from vaultairefs.engine.s3_known import SETTLED_SECONDS, UNKNOWN, Known
from vaultairefs.engine.s3_objects import Listed
from vaultairefs.model.values import Attributes, Kind, Version

ROWS = st.dictionaries(st.binary(max_size=30), st.binary(max_size=60), max_size=20)
FILE = Attributes(Kind.FILE, 0o644, 1, 2, 3, 4, 5)


@given(ROWS, st.binary(max_size=20))
def test_a_shard_is_read_as_it_was_written(rows: dict[bytes, bytes], container: bytes) -> None:
    shard = Shard(container, 1, 0, rows)
    read = unpack(pack(shard), container)
    assert read is not None and msgspec.structs.asdict(read) == msgspec.structs.asdict(shard)


@given(ROWS, st.data())
def test_a_shard_with_any_byte_changed_is_not_read(rows: dict[bytes, bytes], data: st.DataObject) -> None:
    packed = bytearray(pack(Shard(b"c", 1, 0, rows)))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    assert unpack(bytes(packed), b"c") is None


@given(st.binary(max_size=200))
def test_anything_else_is_not_read(data: bytes) -> None:
    assert unpack(data, b"c") is None


def test_another_containers_shard_is_not_read() -> None:
    assert unpack(pack(Shard(b"theirs", 1, 0, {})), b"ours") is None


def test_shards_double_until_they_hold_few_enough_and_lose_nothing() -> None:
    rows = {b"%d" % number: b"row" for number in range(3 * SHARD_ROWS_MAX)}
    shards = split(b"c", rows, 1)
    assert len(shards) == 4 and {shard.shards for shard in shards} == {4}
    assert {name: row for shard in shards for name, row in shard.rows.items()} == rows


def test_a_row_that_is_too_long_stays_out() -> None:
    (shard,) = split(b"c", {b"long": b"x" * (ROW_BYTES_MAX + 1), b"short": b"x"}, 1)
    assert shard.rows == {b"short": b"x"}


def line(etag: str = "e", size: int = 1, modified_s: int = 100) -> Listed:
    return Listed(b"key", Version(etag), size, modified_s)


def test_a_row_stands_only_for_the_very_same_line() -> None:
    known = Known("e", 1, 100, 100 + SETTLED_SECONDS, FILE)
    assert known.fits(line())
    assert not known.fits(line(etag="f"))
    assert not known.fits(line(size=2))
    assert not known.fits(line(modified_s=101))


def test_a_row_counts_only_when_its_second_was_over() -> None:
    assert not Known("e", 1, 100, 100 + SETTLED_SECONDS - 1, FILE).fits(line())


def test_what_we_wrote_stands_for_a_line_that_is_no_newer() -> None:
    known = Known("e", 1, UNKNOWN, 100, FILE)
    assert known.fits(line(modified_s=99)) and known.fits(line(modified_s=101))
    assert not known.fits(line(modified_s=102))
