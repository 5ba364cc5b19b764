"""Attributes of inodes and how long inodes live.  (skeleton; being filled in)"""

from collections.abc import Iterable

from vaultairefs.engine.interface import Usage
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume.requests import AttributeRequest


class Inodes:
    """Attributes, lookup counts and the figures of the whole volume."""

    async def getattr(self, ino: Ino) -> Inode:
        """stat(2) by inode; ``Stale`` for one that is gone.  Does not count a lookup."""
        raise NotImplementedError

    async def setattr(self, ino: Ino, request: AttributeRequest, handle: int | None = None) -> Inode:
        """chmod, chown, utimens, truncate (``handle``: the open file of an ftruncate).  Does not count a lookup."""
        raise NotImplementedError

    async def readlink(self, ino: Ino) -> bytes:
        """The text of a symlink; ``InvalidRequest`` for anything else."""
        raise NotImplementedError

    async def statfs(self) -> Usage:
        """Capacity and use of the engine, short-lived cached."""
        raise NotImplementedError

    def blocks(self, inode: Inode) -> int:
        """st_blocks: 512-byte units that the artifact occupies (holes of a local body are not counted)."""
        raise NotImplementedError

    def remember(self, ino: Ino, count: int = 1) -> None:
        """Count lookups that the adapter itself gave to the kernel (readdirplus)."""
        raise NotImplementedError

    def forget(self, forgotten: Iterable[tuple[Ino, int]]) -> None:
        """Take back counted lookups; an inode without name, handle and lookup leaves memory and disk."""
        raise NotImplementedError
