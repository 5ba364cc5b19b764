"""``vaultairefs events``: read the log files of a volume, mounted or not.

The daemon is not asked: its files can be read while it writes them, and after it is gone.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vaultairefs.cli import locating
from vaultairefs.config.units import parse_duration
from vaultairefs.events import export
from vaultairefs.events.reader import EventReader
from vaultairefs.events.record import EventRecord
from vaultairefs.model.errors import BadInput

_TAIL_EVENTS: Final = 10
_LOOK_SECONDS: Final = 0.2
_EXPORTS: Final = {"jsonl": export.to_jsonl, "csv": export.to_csv}


def tail_events(directory: Path, *, from_sequence: int | None, follow: bool, as_json: bool) -> None:
    """Print records from ``from_sequence`` (else the last ten) on; with ``follow`` until interrupted."""
    reader = EventReader(locating.state_directory_of(directory) / "events")
    position = max(reader.next_sequence - _TAIL_EVENTS, 1) if from_sequence is None else from_sequence
    while True:
        for record in reader.read(position):
            position = record.sequence + 1
            print(export.to_json(record) if as_json else _line(record))
        sys.stdout.flush()
        if not follow:
            break
        time.sleep(_LOOK_SECONDS)
    _tell_damage(reader)


def export_events(
    directory: Path, export_format: str, output: Path | None, *, since: str | None, until: str | None
) -> None:
    """Write all records that began in [since, until) to ``output`` or stdout."""
    write = _EXPORTS.get(export_format)
    if write is None:
        raise BadInput(f"--format {export_format}: must be one of {', '.join(_EXPORTS)}")
    first = parse_time(since, "--since") if since is not None else None
    end = parse_time(until, "--until") if until is not None else None
    reader = EventReader(locating.state_directory_of(directory) / "events")
    try:
        stream = nullcontext(sys.stdout) if output is None else output.open("w", encoding="utf-8", newline="")
        with stream as target:
            write(_between(reader, first, end), target)
    except OSError as error:
        raise BadInput(f"{output or 'stdout'}: {error.strerror}") from error
    _tell_damage(reader)


def parse_time(text: str, option: str) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time (UTC unless it names a zone), a number of seconds since 1970, or
    a duration before now such as ``2h``."""
    try:
        return int(float(text) * 1e9)
    except ValueError:
        pass
    try:
        return time.time_ns() - int(parse_duration(text) * 1e9)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"{option} {text}: must be like 2026-01-31T12:00, seconds since 1970, or 2h for two hours ago"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e9)


def _between(reader: EventReader, first: int | None, end: int | None) -> Iterator[EventRecord]:
    for record in reader.read():
        if (first is None or record.time_ns >= first) and (end is None or record.time_ns < end):
            yield record


def _line(record: EventRecord) -> str:
    moment = datetime.fromtimestamp(record.time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    path = export.name_text(b"/".join(filter(None, (record.container, record.artifact))))
    who = f"{record.comm or '-'}[{record.pid}]"
    took = f"{record.duration_ns / 1e6:.2f}ms"
    return f"{record.sequence:>8}  {moment}  {record.operation:<10} {record.outcome:<8} {took:>10}  {who:<22} /{path}"


def _tell_damage(reader: EventReader) -> None:
    for damage in reader.damage:
        print(f"vaultairefs: the event log is damaged: {damage}", file=sys.stderr)
