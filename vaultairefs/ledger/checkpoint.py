"""The whole state as one value (``docs/formats/checkpoint.md``): what a checkpoint holds."""

from collections.abc import Sequence
from typing import Final

import msgspec

from vaultairefs.backlog import snapshot as backlog_snapshot
from vaultairefs.buffer import snapshot as buffer_snapshot
from vaultairefs.journal import JournalEntry
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.errors import BadInput, Corrupt
from vaultairefs.model.values import Ino
from vaultairefs.namespace import older_snapshot
from vaultairefs.namespace import snapshot as namespace_snapshot

FORMAT_VERSION: Final = 2


class Checkpoint(msgspec.Struct, array_like=True):
    """``operation_id`` is the last one used; ``event_sequence`` the next event's at that moment.

    ``shelf`` are the packed rows of clean entries, by inode.  ``in_flight`` are operations up to ``operation_id`` that
    had no event yet, each with the first change that it had made.
    """

    format_version: int
    operation_id: int
    event_sequence: int
    namespace: namespace_snapshot.NamespaceSnapshot
    bodies: list[buffer_snapshot.BodyRow]
    backlog: backlog_snapshot.BacklogSnapshot
    shelf: dict[Ino, bytes] = {}
    in_flight: list[tuple[int, JournalEntry | None]] = []


class _Version1(msgspec.Struct, array_like=True):
    """Places in listings were stored."""

    format_version: int
    operation_id: int
    event_sequence: int
    namespace: older_snapshot.NamespaceSnapshot1
    bodies: list[buffer_snapshot.BodyRow]
    backlog: backlog_snapshot.BacklogSnapshot


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Checkpoint).decode
_decode_1: Final = msgspec.msgpack.Decoder(_Version1).decode


def encode(
    rooms: Rooms,
    *,
    operation_id: int,
    event_sequence: int,
    in_flight: Sequence[tuple[int, JournalEntry | None]] = (),
) -> bytes:
    """The state of the rooms, as of now."""
    return _encode(
        Checkpoint(
            FORMAT_VERSION,
            operation_id,
            event_sequence,
            namespace_snapshot.take(rooms.namespace),
            buffer_snapshot.take(rooms.buffer),
            backlog_snapshot.take(rooms.backlog),
            rooms.shelf.rows,
            list(in_flight),
        )
    )


def decode(payload: bytes) -> Checkpoint:
    """The inverse.  ``BadInput`` for a newer format, ``Corrupt`` for anything else."""
    try:
        version = _version(payload)
        if version > FORMAT_VERSION:
            raise BadInput("The state directory was written by a newer version of vaultairefs; use that version.")
        return _upgraded(_decode_1(payload)) if version == 1 else _decode(payload)
    except msgspec.DecodeError as error:
        raise Corrupt(f"the checkpoint cannot be decoded: {error}") from error


def _version(payload: bytes) -> int:
    """The first element of the array, without decoding the rest: payload is an array of few elements."""
    return msgspec.msgpack.decode(msgspec.msgpack.decode(payload, type=list[msgspec.Raw])[0], type=int)


def _upgraded(saved: _Version1) -> Checkpoint:
    return Checkpoint(
        FORMAT_VERSION,
        saved.operation_id,
        saved.event_sequence,
        older_snapshot.upgraded(saved.namespace),
        saved.bodies,
        saved.backlog,
    )


def restore(rooms: Rooms, saved: Checkpoint) -> None:
    """Fill fresh rooms; the namespace takes over the checkpoint's inodes."""
    rooms.take_over(namespace_snapshot.restore(saved.namespace))
    buffer_snapshot.restore(rooms.buffer, saved.bodies)
    rooms.shelf.rows.update(saved.shelf)
    backlog_snapshot.restore(rooms.backlog, saved.backlog)
    rooms.backlog.grouped.update((ino, link_id) for link_id, ino in rooms.namespace.links.items())
