"""The kernel's part in passthrough, played by descriptors that tests open by way of what was registered."""

import os

from vaultairefs.model.errors import NotSupported
from vaultairefs.volume.passing import Way


class Kernel:
    """A ``Gateway``; ``backings`` are paths by number, ``refuses`` makes it refuse."""

    def __init__(self) -> None:
        self.backings: dict[int, str] = {}
        self.registered = 0
        self.refuses = False

    def register(self, fd: int) -> int:
        if self.refuses:
            raise NotSupported("refused")
        self.registered += 1
        self.backings[self.registered] = os.readlink(f"/proc/self/fd/{fd}")
        return self.registered

    def unregister(self, backing: int) -> None:
        del self.backings[backing]

    def open(self, way: Way | None, flags: int = os.O_RDWR) -> int:
        """A program's descriptor of a passed file."""
        assert way is not None
        return os.open(self.backings[way.backing], flags)
