"""Open containers.  (skeleton; being filled in)"""

from vaultairefs.model.values import Ino
from vaultairefs.volume.requests import DirectoryEntry


class Listings:
    """opendir..releasedir.  Offsets are opaque, grow along a listing and stay valid under change."""

    async def opendir(self, ino: Ino) -> int:
        """A handle; ``NotAContainer``, ``Stale``."""
        raise NotImplementedError

    async def readdir(self, handle: int, offset: int) -> list[DirectoryEntry]:
        """Every row behind ``offset`` (0 begins anew), ``.`` and ``..`` first; counts no lookups: see ``remember``."""
        raise NotImplementedError

    async def fsyncdir(self, handle: int, data_only: bool) -> None:
        """Names of this container are safe on the local disk (level ``stored``: in the engine)."""
        raise NotImplementedError

    async def releasedir(self, handle: int) -> None:
        """The handle is closed."""
        raise NotImplementedError
