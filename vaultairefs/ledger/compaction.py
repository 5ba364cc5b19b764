"""Checkpoints of large volumes, written by another process, so that programs do not wait for them.

A checkpoint is the older one with the journal behind it replayed, by the posting that recovery uses: nothing of the
daemon's memory is needed but what no record tells, and that is little (``Orders``).  The daemon's loop goes on
meanwhile; the state is that of the sequence in the orders, whatever is committed later.

Promise: what is written equals what a recovery from the same journal up to that sequence would begin with.

Does not: touch body files, cut the journal, or quarantine anything: on any doubt it fails and changes nothing.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from vaultairefs.journal import Journal, JournalEntry
from vaultairefs.ledger import checkpoint
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.errors import Corrupt, DeviceFailed
from vaultairefs.model.values import Ino, Sequence
from vaultairefs.namespace import Namespace

NICENESS: Final = 10
"""The mount comes first; a checkpoint that takes longer only makes a recovery replay more."""

SECONDS_MAX: Final = 900.0

_LOOKS: Final = 4
"""At inodes that may go on the shelf, for each change."""

_PROGRAM: Final = "import sys; from vaultairefs.ledger.compaction import main; main(sys.stdin.buffer.read())"


class Orders(msgspec.Struct, frozen=True):
    """What to write down: the state right after ``sequence``, which is in the journal of this ``directory``.

    ``nameless`` are the inodes without a name that programs still had open then; no record tells when one is dropped.
    """

    directory: str
    boot: str
    sequence: Sequence
    operation_id: int
    event_sequence: int
    nameless: list[Ino]
    in_flight: list[tuple[int, JournalEntry | None]] = []


def compact(orders: Orders) -> None:
    """Write the checkpoint.  Blocks for long.  ``Corrupt``: the journal does not reach ``sequence`` unharmed."""
    journal = Journal(orders.directory, boot=orders.boot, quarantine=_refuse)
    found = journal.read_checkpoint()
    if found is None:
        raise Corrupt("there is no checkpoint to go on from")
    start, payload = found
    rooms = _rooms()
    checkpoint.restore(rooms, checkpoint.decode(payload))
    rooms.buffer.replaying = True
    _replay(journal, rooms, start, orders.sequence)
    for ino in rooms.namespace.nameless - set(orders.nameless):
        rooms.namespace.forget(ino)
        rooms.buffer.empty(ino, orders.sequence)
    payload = checkpoint.encode(
        rooms,
        operation_id=orders.operation_id,
        event_sequence=orders.event_sequence,
        in_flight=orders.in_flight,
    )
    journal.write_checkpoint(orders.sequence, payload)


def compact_elsewhere(orders: Orders) -> None:
    """``compact`` in a process of its own; blocks until it has ended.  ``DeviceFailed`` when it failed."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=msgspec.json.encode(orders),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceFailed(f"the checkpoint process could not finish: {error}", operation="checkpoint") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DeviceFailed(f"the checkpoint process failed: {said}", operation="checkpoint")


def main(orders: bytes) -> None:
    """The process."""
    os.nice(NICENESS)
    compact(msgspec.json.decode(orders, type=Orders))


def _rooms() -> Rooms:
    return Rooms(
        Namespace(),
        bodies=Path("/nonexistent"),
        buffer_size=0,
        clock=lambda: 0.0,
        on_failure=lambda body, error: None,
    )


def _replay(journal: Journal, rooms: Rooms, start: Sequence, through: Sequence) -> None:
    for entry in journal.read_through(start, through):
        assert entry.change is not None
        rooms.post(entry.sequence, entry.change)
        if rooms.shelf.is_wanted:
            rooms.shelf.put_away(_LOOKS)


def _refuse(name: str, data: object, reason: str) -> None:
    raise Corrupt(f"{name}: {reason}")
