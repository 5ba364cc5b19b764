"""One event and its encoding: a MessagePack array (``docs/formats/events.md``)."""

from typing import Final, Required, TypedDict

import msgspec

FORMAT_VERSION: Final = 2
"""Raised with every new field, so that an older program refuses instead of dropping meaning."""


class EventRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one operation was, who asked for it, and how it ended.

    ``sequence`` is dense from 1 in one state directory; ``time_ns`` is the start in nanoseconds since 1970;
    ``size``, ``offset`` and ``length`` are bytes, None where the operation has no such thing; ``outcome`` is
    ``"OK"`` or an errno name; ``durability`` says what the operation's result survives; ``requests`` counts calls
    of the engine that it caused.  ``reads`` to ``sequential_share`` sum up the reads and writes of one handle, on its
    ``release``; ``sequential_share`` is the part of them, 0..1, that began where the one before ended.  The target is
    where a rename led, None for everything else.
    """

    sequence: int
    time_ns: int
    tenant: str
    mount: str
    operation_id: int = 0
    pid: int = 0
    uid: int = 0
    comm: str = ""
    operation: str = ""
    container: bytes = b""
    artifact: bytes = b""
    inode: int = 0
    size: int | None = None
    offset: int | None = None
    length: int | None = None
    duration_ns: int = 0
    outcome: str = "OK"
    durability: str = ""
    cache_hit: bool | None = None
    requests: int = 0
    reads: int = 0
    writes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    sequential_share: float | None = None
    target_container: bytes | None = None
    target_artifact: bytes | None = None


class EventFields(TypedDict, total=False):
    """What a recorder may say of an event; what it leaves out keeps the default of ``EventRecord``."""

    time_ns: Required[int]
    operation: Required[str]
    operation_id: int
    pid: int
    uid: int
    comm: str
    container: bytes
    artifact: bytes
    inode: int
    size: int | None
    offset: int | None
    length: int | None
    duration_ns: int
    outcome: str
    durability: str
    cache_hit: bool | None
    requests: int
    reads: int
    writes: int
    bytes_read: int
    bytes_written: int
    sequential_share: float | None
    target_container: bytes | None
    target_artifact: bytes | None


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(EventRecord).decode


def without_surrogates(record: EventRecord) -> EventRecord:
    """The record with text that UTF-8 can hold: a program may call itself anything, and so may a mount point."""
    texts = {
        field: value.encode("utf-8", "backslashreplace").decode("utf-8")
        for field in record.__struct_fields__
        if isinstance(value := getattr(record, field), str)
    }
    return msgspec.structs.replace(record, **texts)
