"""Events as text for other programs: JSON lines and CSV.

Promise: every line is valid UTF-8 whatever bytes a name holds, and the name's bytes can be had back: a byte that is
no UTF-8 is shown as the four characters ``\\xNN``, and a backslash as two.
"""

import csv
from collections.abc import Iterable
from typing import Final, TextIO

import msgspec

from vaultairefs.events.record import EventRecord

FIELDS: Final = EventRecord.__struct_fields__
"""Column names, in the order of the format."""

Value = str | int | float | bool | None


def name_text(name: bytes) -> str:
    """A name as text that survives any encoding; see the module's promise."""
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def as_row(record: EventRecord) -> dict[str, Value]:
    """The record with its fields by name and in order, names as text."""
    row: dict[str, Value] = {field: getattr(record, field) for field in FIELDS}
    row["container"] = name_text(record.container)
    row["artifact"] = name_text(record.artifact)
    if record.target_container is not None and record.target_artifact is not None:
        row["target_container"] = name_text(record.target_container)
        row["target_artifact"] = name_text(record.target_artifact)
    return row


def to_json(record: EventRecord) -> str:
    """One JSON object on one line, without the newline."""
    return msgspec.json.encode(as_row(record)).decode("utf-8")


def to_jsonl(records: Iterable[EventRecord], stream: TextIO) -> int:
    """Write one JSON object per line; returns how many."""
    count = 0
    for record in records:
        stream.write(to_json(record) + "\n")
        count += 1
    return count


def to_csv(records: Iterable[EventRecord], stream: TextIO) -> int:
    """Write RFC 4180 CSV with a header line; None is an empty field; returns how many events."""
    writer = csv.DictWriter(stream, FIELDS)
    writer.writeheader()
    count = 0
    for record in records:
        writer.writerow(as_row(record))
        count += 1
    return count
