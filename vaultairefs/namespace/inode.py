"""One entry of the live tree: what programs see."""

import stat

import msgspec

from vaultairefs.model.values import ROOT, Attributes, EntryKey, Ino, Kind, format_bits


class Inode(msgspec.Struct, array_like=True, gc=False, eq=False):
    """Attributes and names of one entry; changed only by the namespace, ``Ledger.note_write`` and
    ``ledger/observing.py``.

    A struct, so that a checkpoint encodes a million of them without stopping the mount for long; outside the
    cyclic collector, because nothing in it points back to it.
    Invariants, checked by ``audit`` in the tests:
    * ``refs`` are the known live names: exactly one for a container (none for the root).
    * ``nlink`` of a container is 2 + ``subcontainers`` while it has a name, else 0; its ``parent`` is kept afterwards.
    * ``nlink`` of anything else is at least the number of its ``refs``, and 0 without any.  ``parent`` of those is
      where the first name was; use ``refs``.
    * ``children`` is a dict exactly for containers; ``places.py`` says what ``next_place`` and ``places`` are.
    * ``content_generation`` grows with every change of the bytes; it means nothing beyond one life of the daemon.
    """

    ino: Ino
    kind: Kind
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    parent: Ino
    rdev: int = 0
    size: int = 0
    nlink: int = 0
    subcontainers: int = 0
    next_place: int = 0
    content_generation: int = 0
    target: bytes = b""
    link_id: str = ""
    xattrs: dict[bytes, bytes] | None = None
    refs: tuple[EntryKey, ...] = ()
    children: dict[bytes, Ino] | None = None
    places: dict[bytes, int] | None = None
    places_taken: set[int] | None = None

    @classmethod
    def begin(
        cls, ino: Ino, attributes: Attributes, *, parent: Ino = ROOT, size: int = 0, link_id: str = ""
    ) -> "Inode":
        """A new inode without a name."""
        kind = attributes.kind
        return cls(
            ino,
            kind,
            attributes.mode,
            attributes.uid,
            attributes.gid,
            attributes.atime_ns,
            attributes.mtime_ns,
            attributes.ctime_ns,
            parent,
            rdev=attributes.rdev,
            size=len(attributes.target) if kind is Kind.SYMLINK else size,
            target=attributes.target,
            link_id=link_id,
            xattrs=dict(attributes.xattrs) if attributes.xattrs else None,
            children={} if kind is Kind.CONTAINER else None,
        )

    def set_attributes(self, attributes: Attributes) -> None:
        """Take over everything that can change after creation."""
        self.mode, self.uid, self.gid = attributes.mode, attributes.uid, attributes.gid
        self.atime_ns, self.mtime_ns, self.ctime_ns = attributes.atime_ns, attributes.mtime_ns, attributes.ctime_ns
        self.xattrs = dict(attributes.xattrs) if attributes.xattrs else None

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
