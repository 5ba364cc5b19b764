"""The nouns: inode numbers, kinds, attributes, versions, where an artifact lies in an engine."""

import enum
import stat
from typing import Final, NamedTuple, NewType

import msgspec

Ino = NewType("Ino", int)
"""An inode number, never used for anything else in a state directory.  The root container is 1.

What is forgotten for want of memory gets another one when it is discovered again."""

Sequence = NewType("Sequence", int)
"""The position of a change in the journal: dense, from 1."""

Version = NewType("Version", str)
"""An engine's opaque name for one immutable state of an artifact's bytes (S3: the ETag)."""

ROOT: Final = Ino(1)
STAGING: Final = Ino(0)
"""Not an inode: the pseudo container for entries that are parked while names are rearranged in the engine."""

ABSENT: Final = Version("")
"""As an *expected* version: the name must be free."""
ANY: Final = Version("*")
"""As an *expected* version: whatever is there may be replaced."""


class Kind(enum.IntEnum):
    """What an entry is."""

    FILE = 1
    CONTAINER = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5
    CHARACTER = 6
    BLOCK = 7


_FORMAT_BITS: Final = {
    Kind.FILE: stat.S_IFREG,
    Kind.CONTAINER: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
}
_KINDS: Final = {bits: kind for kind, bits in _FORMAT_BITS.items()}


def format_bits(kind: Kind) -> int:
    """The ``S_IFMT`` part of st_mode for this kind (inode(7))."""
    return _FORMAT_BITS[kind]


def kind_of(st_mode: int) -> Kind:
    """The kind that a whole st_mode says; ``KeyError`` for a type bit pattern that Linux does not know."""
    return _KINDS[stat.S_IFMT(st_mode)]


class Attributes(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Everything about an entry but its name, size and bytes.

    ``mode`` holds permission bits only (0..0o7777); times are nanoseconds since 1970 and may be negative;
    ``target`` is a symlink's text; ``xattrs`` maps whole names (``user.x``, ``trusted.x``,
    ``system.posix_acl_access``) to values and is never changed in place.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    rdev: int = 0
    target: bytes = b""
    xattrs: dict[bytes, bytes] = {}

    @property
    def st_mode(self) -> int:
        return format_bits(self.kind) | self.mode


class EntryPath(NamedTuple):
    """Where an entry lies in an engine: ``container`` is a ``/``-joined path (``b""`` is the root), then a name.

    A path has no length limit: engines work by descriptor or by key, not by PATH_MAX.
    """

    container: bytes
    name: bytes

    @property
    def joined(self) -> bytes:
        """The path as one ``/``-joined text, which is also the container path of a container entry."""
        return self.container + b"/" + self.name if self.container else self.name


class EntryKey(NamedTuple):
    """Where an entry lies in the volume: the inode of its container, then a name.  Survives container renames."""

    container: Ino
    name: bytes


class Extent(NamedTuple):
    """Bytes ``offset`` to ``offset + length`` of a body."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length
