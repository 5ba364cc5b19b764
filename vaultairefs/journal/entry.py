"""One entry of the journal and its encoding: a MessagePack array (``docs/formats/journal.md``)."""

from typing import Final

import msgspec

from vaultairefs.model.changes import Change
from vaultairefs.model.values import Sequence

FORMAT_VERSION: Final = 2
"""Raised with every new field or kind of change, so that an older program refuses instead of dropping meaning."""


class JournalEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change and the circumstances under which it was made.

    ``sequence`` is dense from 1.  ``time_ns`` is nanoseconds since 1970.  ``change`` None makes it a *sync mark*:
    everything up to ``sequence`` was durable, bodies included, before the mark was written.
    """

    sequence: Sequence
    time_ns: int
    operation_id: int
    operation: str
    pid: int
    uid: int
    change: Change | None


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(JournalEntry).decode
