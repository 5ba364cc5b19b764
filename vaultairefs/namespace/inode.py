"""One entry of the live tree: what programs see."""

import stat
from typing import NamedTuple

from vaultairefs.model.values import Attributes, EntryKey, Ino, Kind, format_bits


class Child(NamedTuple):
    """What a name in a container leads to; ``cookie`` is its stable place in listings, >= 3."""

    ino: Ino
    cookie: int


class Inode:
    """Attributes and names of one entry.

    Invariants, checked by the namespace's tests:
    * ``refs`` are the known live names: exactly one for a container (none for the root).
    * ``nlink`` of a container is 2 + ``subcontainers`` while it has a name, else 0; its ``parent`` is kept afterwards.
    * ``nlink`` of anything else is at least the number of its ``refs``, and 0 without any.  ``parent`` of those is
      where the first name was; use ``refs``.
    * ``children`` is a dict exactly for containers; its cookies grow in the dict's order.
    * ``content_generation`` grows with every change of the bytes; it means nothing beyond one life of the daemon.
    """

    __slots__ = (
        "atime_ns",
        "children",
        "content_generation",
        "ctime_ns",
        "gid",
        "ino",
        "kind",
        "link_id",
        "mode",
        "mtime_ns",
        "next_cookie",
        "nlink",
        "parent",
        "rdev",
        "refs",
        "size",
        "subcontainers",
        "target",
        "uid",
        "xattrs",
    )

    def __init__(self, ino: Ino, attributes: Attributes, *, parent: Ino, size: int = 0, link_id: str = "") -> None:
        self.ino = ino
        self.kind: Kind = attributes.kind
        self.rdev: int = attributes.rdev
        self.target: bytes = attributes.target
        self.size = len(attributes.target) if attributes.kind is Kind.SYMLINK else size
        self.link_id = link_id
        self.parent = parent
        self.refs: tuple[EntryKey, ...] = ()
        self.subcontainers = 0
        self.content_generation = 0
        self.next_cookie = 3
        self.children: dict[bytes, Child] | None = {} if attributes.kind is Kind.CONTAINER else None
        self.nlink = 0
        self.set_attributes(attributes)

    def set_attributes(self, attributes: Attributes) -> None:
        """Take over everything that can change after creation."""
        self.mode: int = attributes.mode
        self.uid: int = attributes.uid
        self.gid: int = attributes.gid
        self.atime_ns: int = attributes.atime_ns
        self.mtime_ns: int = attributes.mtime_ns
        self.ctime_ns: int = attributes.ctime_ns
        self.xattrs: dict[bytes, bytes] | None = dict(attributes.xattrs) or None

    @property
    def is_container(self) -> bool:
        return self.children is not None

    @property
    def st_mode(self) -> int:
        """Type and permission bits (inode(7))."""
        return format_bits(self.kind) | self.mode

    def attributes(self) -> Attributes:
        """A frozen copy, as engines and changes carry it."""
        return Attributes(
            kind=self.kind,
            mode=self.mode,
            uid=self.uid,
            gid=self.gid,
            atime_ns=self.atime_ns,
            mtime_ns=self.mtime_ns,
            ctime_ns=self.ctime_ns,
            rdev=self.rdev,
            target=self.target,
            xattrs=dict(self.xattrs) if self.xattrs else {},
        )

    def __repr__(self) -> str:
        return f"<Inode {self.ino} {self.kind.name} {stat.filemode(self.st_mode)} nlink={self.nlink} size={self.size}>"
