"""What a listing's entry, or its absence, means for the volume: pure decisions.

The local view wins wherever something is owed: the flusher meets the engine's view there and settles the two.
"""

import enum
from dataclasses import dataclass

from vaultairefs.backlog import StoredRef
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.model.values import Attributes, Ino, Kind


class Meaning(enum.Enum):
    """What to do about one name."""

    NOTHING = enum.auto()
    DISCOVER = enum.auto()
    """Somebody else made it."""
    REPLACE = enum.auto()
    """Somebody else put another version there: forget ours and discover that one."""
    REFRESH = enum.auto()
    """The same version with other attributes."""
    VANISH = enum.auto()
    """Somebody else removed it."""
    RESTORE = enum.auto()
    """Somebody else removed it, but ours is newer: it is owed anew."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the volume knows of a name.  ``owed`` of the stored inode: its ``content``, or ``anything``."""

    live: Ino | None
    stored: StoredRef | None
    content_owed: bool = False
    anything_owed: bool = False
    attributes: Attributes | None = None


def meaning_of(known: Known, shown: EntryInfo | None) -> Meaning:
    """``shown`` is what the engine holds at the name, None for nothing."""
    ref = known.stored
    if ref is None:
        return Meaning.NOTHING if shown is None or known.live is not None else Meaning.DISCOVER
    if known.live != ref.ino:
        return Meaning.NOTHING
    if shown is None:
        return Meaning.RESTORE if known.content_owed else Meaning.VANISH
    if known.anything_owed or ref.stale:
        return Meaning.NOTHING
    if shown.version != ref.version:
        return Meaning.REPLACE
    if known.attributes is not None and differs(known.attributes, shown.attributes):
        return Meaning.REFRESH
    return Meaning.NOTHING


def differs(ours: Attributes, theirs: Attributes) -> bool:
    """Whether somebody else changed attributes.

    Reading moves atime and every change moves ctime: neither is a message.  A container's mtime moves with our own
    puts inside it, so the engine's is no better than ours.
    """
    if (ours.mode, ours.uid, ours.gid, ours.xattrs) != (theirs.mode, theirs.uid, theirs.gid, theirs.xattrs):
        return True
    return ours.kind is not Kind.CONTAINER and ours.mtime_ns != theirs.mtime_ns
