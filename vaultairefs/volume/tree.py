"""Names: the calls that follow or change them.  (skeleton; being filled in)"""

from vaultairefs.model.values import Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume.requests import RenameMode


class Tree:
    """Names of a volume.  Every call that returns an ``Inode`` counts one lookup of it (undone by ``Inodes.forget``)."""

    async def lookup(self, parent: Ino, name: bytes) -> Inode:
        """The entry ``name`` of ``parent``; ``.`` and ``..`` work too.  ``NotFound``, ``NotAContainer``, ``NameTooLong``."""
        raise NotImplementedError

    async def mkdir(self, parent: Ino, name: bytes, mode: int) -> Inode:
        """mkdir(2).  ``AlreadyExists``, ``NameTooLong``, ``NotFound`` when the parent was removed, ``OutOfSpace``."""
        raise NotImplementedError

    async def mknod(self, parent: Ino, name: bytes, st_mode: int, rdev: int) -> Inode:
        """mknod(2): a fifo, socket, device or empty regular file; ``InvalidRequest`` for another type."""
        raise NotImplementedError

    async def symlink(self, parent: Ino, name: bytes, target: bytes) -> Inode:
        """symlink(2).  ``NameTooLong`` also for a target of more than 4095 bytes."""
        raise NotImplementedError

    async def link(self, ino: Ino, parent: Ino, name: bytes) -> Inode:
        """link(2).  ``NotPermitted`` for a container, ``NotFound`` for an unlinked inode, ``TooManyLinks``."""
        raise NotImplementedError

    async def unlink(self, parent: Ino, name: bytes) -> None:
        """unlink(2).  ``IsAContainer`` for a container; the inode lives on while handles or lookups need it."""
        raise NotImplementedError

    async def rmdir(self, parent: Ino, name: bytes) -> None:
        """rmdir(2).  ``NotAContainer``, ``ContainerNotEmpty``."""
        raise NotImplementedError

    async def rename(self, parent: Ino, name: bytes, new_parent: Ino, new_name: bytes, mode: RenameMode) -> None:
        """renameat2(2).  Two names of one inode: nothing happens.  ``InvalidRequest`` for a move into itself."""
        raise NotImplementedError
