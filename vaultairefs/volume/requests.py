"""The values that the adapters above hand to a volume and get back from it."""

import enum
from typing import Final, NamedTuple

import msgspec

from vaultairefs.namespace import Inode

SYNC_XATTR: Final = b"user.vaultaire.sync"
"""Holds a file's own ``SyncLevel`` as text."""


class RenameMode(enum.Enum):
    """What rename(2) does with an existing target (renameat2's flags)."""

    REPLACE = enum.auto()
    NO_REPLACE = enum.auto()
    EXCHANGE = enum.auto()


class XattrMode(enum.Enum):
    """What setxattr(2) expects of the old value (its flags)."""

    ANY = enum.auto()
    CREATE = enum.auto()
    REPLACE = enum.auto()


class SyncLevel(enum.StrEnum):
    """What fsync promises: nothing beyond a crash of ours, the local disk, or the engine."""

    BUFFERED = "buffered"
    JOURNALED = "journaled"
    STORED = "stored"


class AttributeRequest(msgspec.Struct, frozen=True):
    """What a setattr asks for; None leaves a value alone.

    ``mode`` holds permission bits (a file type in it is ignored), ``size`` is in bytes, times are nanoseconds since
    1970.  A request without any field is the kernel's way to say "drop setuid and setgid now".
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None


class DirectoryEntry(NamedTuple):
    """One row of a listing; ``next_offset`` continues the listing behind it."""

    name: bytes
    inode: Inode
    next_offset: int
