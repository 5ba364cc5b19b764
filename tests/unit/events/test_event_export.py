"""Events as text: valid for every reader, and no byte of a name is lost."""

import csv
import io
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.events.export import FIELDS, name_text, to_csv, to_jsonl
from vaultairefs.events.record import EventRecord

RECORD = EventRecord(
    sequence=1,
    time_ns=1_700_000_000_000_000_001,
    tenant="acme",
    mount="a1b2c3d4",
    operation="create",
    container=b"caf\xc3\xa9/\xff",
    artifact=b'a,"b"\n\\',
    size=7,
    cache_hit=False,
)


def name_bytes(text: str) -> bytes:
    """The inverse of ``name_text``, as a reader would write it."""
    return re.sub(
        rb"\\(\\|x[0-9a-f]{2})",
        lambda found: b"\\" if found[1] == b"\\" else bytes([int(found[1][1:], 16)]),
        text.encode(),
    )


@given(st.binary())
def test_a_name_of_any_bytes_is_text_and_can_be_had_back(name: bytes) -> None:
    assert name_bytes(name_text(name)) == name


def test_json_lines_hold_every_field_by_name_in_order() -> None:
    stream = io.StringIO()
    assert to_jsonl([RECORD, RECORD], stream) == 2
    first, second = stream.getvalue().splitlines()
    assert first == second
    row = json.loads(first)
    assert tuple(row) == FIELDS
    assert row["container"] == "café/\\xff"
    assert row["artifact"] == 'a,"b"\n\\\\'
    assert (row["time_ns"], row["size"], row["offset"], row["cache_hit"]) == (1_700_000_000_000_000_001, 7, None, False)


def test_csv_has_a_header_and_keeps_odd_names_in_their_column() -> None:
    stream = io.StringIO()
    assert to_csv([RECORD], stream) == 1
    (row,) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert tuple(row) == FIELDS
    assert row["artifact"] == 'a,"b"\n\\\\'
    assert (row["size"], row["offset"], row["cache_hit"]) == ("7", "", "False")


def test_nothing_to_export_is_an_empty_file_with_a_header_for_csv() -> None:
    lines, table = io.StringIO(), io.StringIO()
    assert (to_jsonl([], lines), to_csv([], table)) == (0, 0)
    assert lines.getvalue() == ""
    assert table.getvalue().strip() == ",".join(FIELDS)
