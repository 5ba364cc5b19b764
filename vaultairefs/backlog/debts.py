"""The rows of the backlog."""

from typing import NamedTuple

from vaultairefs.model.values import Ino, Version


class StoredRef(NamedTuple):
    """One name the engine holds for us.  ``stale``: it holds older bytes there than at another name of ``ino``."""

    ino: Ino
    version: Version
    stale: bool = False


class Owed:
    """What the engine does not have of one inode.

    ``content``: its bytes (for a symlink or node: itself); never for containers.  ``attributes``: everything else.
    ``first``: when the debt began, ``since``: when it last grew (seconds of the ledger's clock).
    """

    __slots__ = ("attributes", "content", "first", "since")

    def __init__(self, now: float) -> None:
        self.content = False
        self.attributes = False
        self.first = now
        self.since = now

    def __repr__(self) -> str:
        return f"<Owed content={self.content} attributes={self.attributes} since={self.since:.3f}>"
