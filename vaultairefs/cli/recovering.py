"""``vaultairefs recover``: what a crash or a failure left, listed, exported, dropped.

A running volume is asked through its control socket; a state directory without a daemon is held while it is looked at.
Conflict copies are named by the event log, which can be read in both cases.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from vaultairefs.app import findings
from vaultairefs.app.findings import Finding
from vaultairefs.cli import exporting, locating
from vaultairefs.cli.text import size_text
from vaultairefs.control import client
from vaultairefs.control.protocol import Message
from vaultairefs.disk.state_directory import StateDirectory, is_locked
from vaultairefs.events.reader import EventReader
from vaultairefs.ledger.inspection import inspect
from vaultairefs.model.errors import BadInput

_CONFLICT_MARK: Final = b".conflict-"


class Seen(NamedTuple):
    """``mount`` is empty without a daemon; ``recovered`` what its last mount replayed, None where nobody knows."""

    state: Path
    mount: str
    found: list[Finding]
    recovered: Message | None
    damage: list[str]


class Wish(NamedTuple):
    """What to do with what is found; listing it when there is nothing else."""

    ids: list[str]
    export: Path | None
    drop: list[str]
    as_json: bool


def recover(directory: Path | None, state: Path | None, wish: Wish) -> None:
    """List, export or drop; ``BadInput`` for an id that is not there, or for what cannot be dropped."""
    if (directory is None) == (state is None):
        raise BadInput("say either a mounted directory or --state and a state directory")
    if wish.drop and (wish.export is not None or wish.ids):
        raise BadInput("--drop stands alone: export first, and look at what you have")
    place = state if directory is None else locating.state_directory_of(directory)
    assert place is not None
    if is_locked(place):
        _fulfil(wish, _ask(place), lambda finding: client.ask(place, "drop", id=finding.id))
    else:
        with _held(place) as held:
            _fulfil(wish, _look(held), lambda finding: _drop(held, finding))


def _fulfil(wish: Wish, seen: Seen, drop: Callable[[Finding], object]) -> None:
    if wish.drop:
        for finding in _named(seen, wish.drop, droppable=True):
            drop(finding)
            print(f"{finding.id} is dropped")
    elif wish.export is not None:
        exporting.export(_named(seen, wish.ids) if wish.ids else seen.found, wish.export, seen.mount)
    else:
        shown = seen._replace(found=_named(seen, wish.ids)) if wish.ids else seen
        print(_json(shown) if wish.as_json else _text(shown))


def _ask(place: Path) -> Seen:
    """A running daemon's own findings."""
    found: list[Finding] = []
    last: Message = {}
    for last in client.converse(place, "recover"):
        if "finding" in last:
            found.append(msgspec.convert(last["finding"], Finding))
    mount = str(last.get("mount", ""))
    return Seen(place, mount, [*found, *_conflicts(place, mount)], last.get("recovered"), [])


@contextmanager
def _held(place: Path) -> Iterator[StateDirectory]:
    """The state directory, locked, and afterwards as it was."""
    held = StateDirectory.reopen(place)
    try:
        yield held
    finally:
        held.close(clean=held.was_clean)


def _look(held: StateDirectory) -> Seen:
    rooms, damage = inspect(held)
    found = [
        *findings.of_quarantine(held),
        *findings.of_changed_files(rooms, is_live=False),
        *findings.of_nameless(rooms),
        *_conflicts(held.path, ""),
    ]
    rooms.buffer.files.close()
    return Seen(held.path, "", found, None, damage)


def _conflicts(place: Path, mount: str) -> Iterator[Finding]:
    """Copies that were kept beside others' versions, the last event of each; gone ones are left out of a mount."""
    told: dict[bytes, int] = {}
    for record in EventReader(place / "events").read():
        if record.operation == "conflict" and _CONFLICT_MARK in record.artifact:
            told[b"/".join(filter(None, (record.container, record.artifact)))] = record.sequence
    for path, sequence in told.items():
        text = path.decode(errors="surrogateescape")
        target = Path(mount) / text if mount else None
        if target is not None and not target.is_file():
            continue
        yield Finding(
            id=f"conflict-{sequence}",
            kind="conflict",
            path=text,
            size_bytes=target.stat().st_size if target is not None else 0,
            reason="somebody else changed it in the engine, too; both are kept",
            file=str(target) if target is not None else "",
        )


def _named(seen: Seen, ids: list[str], *, droppable: bool = False) -> list[Finding]:
    by_id = {finding.id: finding for finding in seen.found}
    for name in ids:
        if name not in by_id:
            raise BadInput(f"there is nothing with the id {name}")
        if droppable and not by_id[name].can_be_dropped:
            raise BadInput(f"{name} has a name: remove /{by_id[name].path} in the mounted volume instead")
    return [by_id[name] for name in ids]


def _drop(held: StateDirectory, finding: Finding) -> None:
    if finding.kind == "quarantine":
        held.kept.drop(finding.id)
    else:
        Path(finding.file).unlink()


def _json(seen: Seen) -> str:
    answer = {
        "state_dir": str(seen.state),
        "mount": seen.mount,
        "recovered": seen.recovered,
        "damage": seen.damage,
        "findings": [msgspec.to_builtins(finding) for finding in seen.found],
    }
    return json.dumps(answer, indent=2)


def _text(seen: Seen) -> str:
    lines = []
    for one in seen.found:
        lines += [f"{one.kind:<10}  {one.id}  {size_text(one.size_bytes)}  {one.path}", f"{'':<12}{one.reason}"]
    if seen.recovered is not None:
        told = ", ".join(f"{name} {value}" for name, value in seen.recovered.items() if value) or "nothing"
        lines.append(f"the last mount replayed: {told}")
    lines += [f"damaged: {sentence}" for sentence in seen.damage]
    return "\n".join(lines) if seen.found or seen.damage else "\n".join(["nothing was left behind", *lines])
