"""The tree of inodes and the questions about it; ``posting.py`` holds what changes do to it."""

from bisect import bisect_right
from operator import itemgetter
from typing import Final, Protocol

from vaultairefs.model.changes import Change
from vaultairefs.model.errors import Stale
from vaultairefs.model.values import ROOT, Attributes, Ino, Kind, Sequence
from vaultairefs.namespace import checks, places, posting
from vaultairefs.namespace.inode import Inode

_COOKIE: Final = itemgetter(2)

_PATHS_MAX: Final = 1024


class Shelf(Protocol):
    """Where inodes are that nobody uses: see ``ledger/shelf.py``."""

    def note_begun(self, ino: Ino) -> None:
        """A new inode is in use."""
        ...

    def peek(self, ino: Ino) -> Inode | None:
        """A copy of an inode on the shelf, to be looked at and let go."""
        ...

    def recall(self, ino: Ino) -> Inode | None:
        """Take the inode back into use; None for one that is not here."""
        ...

    def discard(self, ino: Ino) -> None:
        """Forget the inode, if it is here."""
        ...

    def __len__(self) -> int: ...


class _Inodes(dict[Ino, Inode]):
    """The inodes in use; asking for one by ``[]`` brings it back from the shelf."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf: Shelf | None = None

    def __missing__(self, ino: Ino) -> Inode:
        inode = self.shelf.recall(ino) if self.shelf is not None else None
        if inode is None:
            raise KeyError(ino)
        return inode


class Namespace:
    """See the package's text.  The root container (inode 1) is there from the start.

    ``inodes`` are those in use; ``[]``, ``get`` and ``find`` know the others, too.
    Invariants: ``nameless`` are exactly the inodes with ``nlink`` 0; ``paths`` are right, and forgotten whenever a
    container loses a name.
    """

    def __init__(self, root_attributes: Attributes | None = None) -> None:
        attributes = root_attributes or Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0)
        root = Inode.begin(ROOT, attributes)
        root.nlink = 2
        self.inodes = _Inodes()
        self.inodes[ROOT] = root
        self.links: dict[str, Ino] = {}
        self.nameless: set[Ino] = set()
        self.paths: dict[Ino, bytes] = {}
        self.next_ino = ROOT + 1

    def get(self, ino: Ino) -> Inode:
        """The inode, orphans included.  ``Stale`` when it is unknown."""
        inode = self.inodes.get(ino) or self.find(ino)
        if inode is None:
            raise Stale(f"inode {ino} is unknown")
        return inode

    def find(self, ino: Ino) -> Inode | None:
        """The inode, orphans included, or None."""
        inode = self.inodes.get(ino)
        if inode is None and self.inodes.shelf is not None:
            return self.inodes.shelf.recall(ino)
        return inode

    def peek(self, ino: Ino) -> Inode | None:
        """Like ``find``, for a look that leaves the inode where it is: perhaps a copy, so let go of it at once."""
        inode = self.inodes.get(ino)
        if inode is None and self.inodes.shelf is not None:
            return self.inodes.shelf.peek(ino)
        return inode

    def is_nameless(self, ino: Ino) -> bool:
        """Whether the inode is known and has no name any more."""
        return ino in self.nameless

    def child(self, parent: Ino, name: bytes) -> Inode | None:
        """What ``name`` in ``parent`` leads to, or None; ``Stale``/``NotAContainer`` for an impossible parent."""
        ino = posting.children_of(self.get(parent)).get(name)
        return None if ino is None else self.inodes[ino]

    def entries(self, container: Ino, after_cookie: int = 0) -> list[tuple[bytes, Ino, int]]:
        """Name, inode, cookie of the container's entries with a cookie above ``after_cookie``, by cookie.

        Cookies are >= 3, stay with the name (also when it is replaced) and are never used for another inode's, so a
        listing that continues after a cookie neither repeats nor skips entries that stayed.
        """
        home = self.get(container)
        children = posting.children_of(home)
        if home.places is None:
            rows = [(name, ino, ino + places.DOTS) for name, ino in children.items()]
        else:
            rows = [(name, ino, places.cookie_of(home, name, ino)) for name, ino in children.items()]
        # Numbers grow with time, so this is mostly in order already.
        rows.sort(key=_COOKIE)
        return rows[bisect_right(rows, after_cookie, key=_COOKIE) :] if after_cookie else rows

    def path(self, ino: Ino) -> bytes:
        """A live path of the inode (for one with several names, any), ``b""`` for the root; ``Stale`` for orphans."""
        if ino == ROOT:
            return b""
        refs = self.get(ino).refs
        if not refs:
            raise Stale(f"inode {ino} has no name any more")
        above = self.container_path(refs[0].container)
        return above + b"/" + refs[0].name if above else refs[0].name

    def container_path(self, container: Ino) -> bytes:
        """``path`` of a container: every event asks for one, so they are remembered."""
        known = self.paths.get(container)
        if known is not None:
            return known
        parts: list[bytes] = []
        at = container
        while at != ROOT:
            refs = self.get(at).refs
            if not refs:
                raise Stale(f"inode {at} has no name any more")
            parts.append(refs[0].name)
            at = refs[0].container
        if len(self.paths) >= _PATHS_MAX:
            self.paths.clear()
        path = self.paths[container] = b"/".join(reversed(parts))
        return path

    def is_ancestor(self, ancestor: Ino, ino: Ino) -> bool:
        """Whether container ``ancestor`` is ``ino`` or lies above it."""
        while ino != ancestor:
            if ino == ROOT:
                return False
            ino = self.get(ino).parent
        return True

    def allocate(self) -> Ino:
        """A number for a new inode, never used before in this state directory."""
        ino = Ino(self.next_ino)
        self.next_ino += 1
        return ino

    def by_link_id(self, link_id: str) -> Ino | None:
        """The inode known under an engine's link id, if any."""
        return self.links.get(link_id)

    def check(self, change: Change) -> None:
        """Refuse a change that does not fit the tree: ``NotFound``, ``AlreadyExists``, ``Stale`` and their kin."""
        checks.check(self, change)

    def apply(self, sequence: Sequence, change: Change) -> None:
        """Post one change.  Only the ledger calls this."""
        posting.apply(self, sequence, change)

    def forget(self, ino: Ino) -> None:
        """Drop an inode that has no name; the caller knows that no handle and no lookup needs it."""
        inode = self.inodes.get(ino)
        if inode is not None and inode.nlink == 0:
            del self.inodes[ino]
            self.nameless.discard(ino)
            if inode.link_id and self.links.get(inode.link_id) == ino:
                del self.links[inode.link_id]

    def __len__(self) -> int:
        """How many inodes are known, orphans included."""
        shelf = self.inodes.shelf
        return len(self.inodes) + (0 if shelf is None else len(shelf))
