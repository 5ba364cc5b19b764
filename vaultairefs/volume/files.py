"""Open files and their bytes.  (skeleton; being filled in)"""

from vaultairefs.model.values import Ino
from vaultairefs.namespace import Inode


class Files:
    """open..release.

    Pages the kernel has cached stay right for as long as the inode lives (foreign changes make a new inode), so
    every open may keep the page cache.
    """

    async def open(self, ino: Ino, flags: int) -> int:
        """open(2) without O_CREAT; truncates with O_TRUNC.  ``IsAContainer``, ``Stale``, ``ReadOnly``, ``OutOfSpace``."""
        raise NotImplementedError

    async def create(self, parent: Ino, name: bytes, mode: int, flags: int) -> tuple[Inode, int]:
        """open(2) with O_CREAT: a new file, or with neither O_EXCL the one that is there.  Counts one lookup."""
        raise NotImplementedError

    async def read(self, handle: int, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes, fewer only at the end.  ``BadHandle``, ``Stale``, ``Unavailable``, ``DeviceFailed``."""
        raise NotImplementedError

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        """All of ``data``; waits up to 30 s for room.  ``BadHandle``, ``OutOfSpace``, ``TooLarge``, ``DeviceFailed``."""
        raise NotImplementedError

    async def flush(self, handle: int) -> None:
        """One close(2) of perhaps several of this handle: reports an earlier failure to keep its bytes."""
        raise NotImplementedError

    async def fsync(self, handle: int, data_only: bool) -> None:
        """fsync(2): bytes, size and name are safe at the file's sync level.  ``DeviceFailed``, ``TimedOut``."""
        raise NotImplementedError

    async def release(self, handle: int) -> None:
        """The last close of the handle.  Never fails."""
        raise NotImplementedError
