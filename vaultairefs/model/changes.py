"""Every way in which a volume's state can change, as frozen values.

A change is complete: applying it needs nothing but the state before it.  ``Ledger.commit`` writes it to the journal
and posts it to the rooms; recovery posts the same values again.  The encoding is MessagePack arrays
(``docs/formats/journal.md``): a field may be *appended* with a default, a tag is never reused.
"""

from typing import Final

import msgspec

from vaultairefs.model.engine_changes import (
    ArtifactConflicted,
    ArtifactCopied,
    ArtifactDeleted,
    ArtifactDiscovered,
    ArtifactFlushed,
    ArtifactMoved,
    ContainerForgotten,
    ContainerHandedOver,
    EntryVanished,
    StepBegun,
    StepEnded,
)
from vaultairefs.model.values import Attributes, Ino, Version

__all__ = [
    "NO_INO",
    "ArtifactConflicted",
    "ArtifactCopied",
    "ArtifactDeleted",
    "ArtifactDiscovered",
    "ArtifactFlushed",
    "ArtifactMoved",
    "AttributesSet",
    "BodyClosed",
    "BodyEvicted",
    "BodyOpened",
    "BodySynced",
    "Change",
    "ContainerCreated",
    "ContainerForgotten",
    "ContainerHandedOver",
    "EntryLinked",
    "EntryRemoved",
    "EntryRenamed",
    "EntryVanished",
    "ExtentsFetched",
    "ExtentsWritten",
    "FileCreated",
    "NodeCreated",
    "StepBegun",
    "StepEnded",
    "SymlinkCreated",
    "Truncated",
    "XattrSet",
    "decode",
    "encode",
]

NO_INO: Final = Ino(0)  # nothing was replaced


class ContainerCreated(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """mkdir: a new, empty container ``name`` in ``parent``."""

    ino: Ino
    parent: Ino
    name: bytes
    attributes: Attributes


class FileCreated(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A new, empty file.  ``opened``: it is open for writing from this moment (as if by ``BodyOpened``)."""

    ino: Ino
    parent: Ino
    name: bytes
    attributes: Attributes
    opened: bool = False


class SymlinkCreated(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A new symlink; its text is ``attributes.target``."""

    ino: Ino
    parent: Ino
    name: bytes
    attributes: Attributes


class NodeCreated(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A new fifo, socket or device."""

    ino: Ino
    parent: Ino
    name: bytes
    attributes: Attributes


class EntryLinked(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """link(2): one more name for a file, symlink or node."""

    ino: Ino
    parent: Ino
    name: bytes
    time_ns: int


class EntryRemoved(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """unlink(2) or rmdir(2) of ``ino``; its inode stays while a handle or another name needs it."""

    ino: Ino
    parent: Ino
    name: bytes
    time_ns: int


class EntryRenamed(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """rename(2).  ``replaced`` is the inode that lost its name, or with ``exchange`` the one that took ours."""

    ino: Ino
    parent: Ino
    name: bytes
    new_parent: Ino
    new_name: bytes
    replaced: Ino
    exchange: bool
    time_ns: int


class AttributesSet(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """chmod, chown, utimens: the new values, all of them."""

    ino: Ino
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int


class XattrSet(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """One extended attribute set, or removed where ``value`` is None."""

    ino: Ino
    name: bytes
    value: bytes | None
    ctime_ns: int


class BodyOpened(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """A complete body is open for writing: from here its own length and mtime on disk are the truth."""

    ino: Ino


class BodyClosed(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """No writer is left; ``size`` in bytes.  ``changed`` is False when nothing was written while it was open."""

    ino: Ino
    size: int
    mtime_ns: int
    ctime_ns: int
    changed: bool = True


class ExtentsWritten(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Bytes written into a *partial* body; ``checksum`` is their CRC-32."""

    ino: Ino
    offset: int
    length: int
    checksum: int
    time_ns: int


class ExtentsFetched(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Bytes of ``version`` copied from the engine into the body; ``size`` is that version's size in bytes."""

    ino: Ino
    extents: tuple[tuple[int, int], ...]
    version: Version
    size: int


class BodyEvicted(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """A clean body left the cache."""

    ino: Ino


class Truncated(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """The size was set; bytes past the old end read as zeros.

    Nothing that is left (size 0) is a new body with a new file, but ``in_place`` where programs have the file itself.
    """

    ino: Ino
    size: int
    time_ns: int
    in_place: bool = False


class BodySynced(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """The body's bytes so far are on the disk; written only for a changed body that has a base in the engine.

    After a power cut such a body counts only as far as this says: what was fetched into it and never synced may be
    holes, and must not replace the engine's good copy.  ``extents`` are the bytes that are meant where the body was
    not complete or changed meanwhile; none stands for all of its dirty bytes, or for the whole of a complete body.
    """

    ino: Ino
    extents: tuple[tuple[int, int], ...] = ()


Change = (
    ContainerCreated
    | FileCreated
    | SymlinkCreated
    | NodeCreated
    | EntryLinked
    | EntryRemoved
    | EntryRenamed
    | AttributesSet
    | XattrSet
    | BodyOpened
    | BodyClosed
    | ExtentsWritten
    | ExtentsFetched
    | BodyEvicted
    | Truncated
    | ArtifactDiscovered
    | EntryVanished
    | ArtifactFlushed
    | ArtifactMoved
    | ArtifactDeleted
    | ArtifactConflicted
    | BodySynced
    | StepBegun
    | StepEnded
    | ContainerHandedOver
    | ArtifactCopied
    | ContainerForgotten
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Change]] = msgspec.msgpack.Decoder(Change)


def encode(change: Change) -> bytes:
    """The change as MessagePack."""
    return _encoder.encode(change)


def decode(data: bytes | memoryview) -> Change:
    """The inverse of ``encode``; ``msgspec.DecodeError`` for anything else."""
    return _decoder.decode(data)
