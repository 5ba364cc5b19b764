"""The facade: one mounted volume, its themes side by side.

``tree`` holds the calls that change or follow names, ``inodes`` attributes and lookup counts, ``xattrs`` extended
attributes and ACLs, ``listings`` open containers, ``files`` open files and their bytes.
"""

from collections.abc import Callable

from vaultairefs.engine.interface import Engine
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.ledger.ledger import Ledger
from vaultairefs.volume.files import Files
from vaultairefs.volume.inodes import Inodes
from vaultairefs.volume.listings import Listings
from vaultairefs.volume.requests import SyncLevel
from vaultairefs.volume.tree import Tree
from vaultairefs.volume.xattrs import Xattrs


class Volume:
    """One engine namespace with its local state, seen as a POSIX filesystem.

    The caller of every method is ``model.context.current()``.  ``outcome_name`` gives the word for the event log's
    ``outcome`` (an errno name) of an exception; ``record_io`` writes an event for each read and write too.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        discovery: Discovery,
        fetcher: Fetcher,
        flusher: Flusher,
        *,
        tenant: str,
        mount_id: str,
        sync_level: SyncLevel = SyncLevel.JOURNALED,
        outcome_name: Callable[[BaseException], str] = lambda error: type(error).__name__,
        record_io: bool = False,
        read_only: bool = False,
    ) -> None:
        self.ledger = ledger
        self.engine = engine
        self.discovery = discovery
        self.fetcher = fetcher
        self.flusher = flusher
        self.tree: Tree
        self.inodes: Inodes
        self.xattrs: Xattrs
        self.listings: Listings
        self.files: Files
        raise NotImplementedError
