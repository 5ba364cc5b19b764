"""The whole state as one value (``docs/formats/journal.md``): what a checkpoint holds."""

from typing import Final

import msgspec

from vaultairefs.backlog import snapshot as backlog_snapshot
from vaultairefs.buffer import snapshot as buffer_snapshot
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.errors import BadInput, Corrupt
from vaultairefs.namespace import snapshot as namespace_snapshot

FORMAT_VERSION: Final = 1


class Checkpoint(msgspec.Struct, array_like=True):
    """``operation_id`` is the last one used; ``event_sequence`` the next event's at that moment."""

    format_version: int
    operation_id: int
    event_sequence: int
    namespace: namespace_snapshot.NamespaceSnapshot
    bodies: list[buffer_snapshot.BodyRow]
    backlog: backlog_snapshot.BacklogSnapshot


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Checkpoint).decode


def encode(rooms: Rooms, *, operation_id: int, event_sequence: int) -> bytes:
    """The state of the rooms, as of now."""
    return _encode(
        Checkpoint(
            FORMAT_VERSION,
            operation_id,
            event_sequence,
            namespace_snapshot.take(rooms.namespace),
            buffer_snapshot.take(rooms.buffer),
            backlog_snapshot.take(rooms.backlog),
        )
    )


def decode(payload: bytes) -> Checkpoint:
    """The inverse.  ``BadInput`` for a newer format, ``Corrupt`` for anything else."""
    try:
        version = msgspec.msgpack.decode(payload, type=list[msgspec.Raw])[:1]
        if version and msgspec.msgpack.decode(version[0], type=int) > FORMAT_VERSION:
            raise BadInput("The state directory was written by a newer version of vaultairefs; use that version.")
        return _decode(payload)
    except msgspec.DecodeError as error:
        raise Corrupt(f"the checkpoint cannot be decoded: {error}") from error


def restore(rooms: Rooms, saved: Checkpoint) -> None:
    """Fill fresh rooms; the namespace takes over the checkpoint's inodes."""
    rooms.namespace = namespace_snapshot.restore(saved.namespace)
    buffer_snapshot.restore(rooms.buffer, saved.bodies)
    backlog_snapshot.restore(rooms.backlog, saved.backlog)
