"""The facade: one mounted volume, its themes side by side.

``tree`` holds the calls that change or follow names, ``inodes`` attributes and lookup counts, ``xattrs`` extended
attributes and access lists, ``listings`` open containers, ``files`` open files and their bytes.

Does not: start or stop anything; the app owns the rooms' lives.
"""

import sys
import time
from collections.abc import Callable

from vaultairefs.engine.interface import Engine
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.ledger import Ledger
from vaultairefs.volume.content import Content
from vaultairefs.volume.core import Core
from vaultairefs.volume.door import Door
from vaultairefs.volume.files import Files
from vaultairefs.volume.forgetting import Forgetting
from vaultairefs.volume.inodes import Inodes
from vaultairefs.volume.listings import Listings
from vaultairefs.volume.passing import Passing
from vaultairefs.volume.requests import SyncLevel
from vaultairefs.volume.tree import Tree
from vaultairefs.volume.xattrs import Xattrs


def _class_name(error: BaseException) -> str:
    return type(error).__name__


class Volume:
    """One engine namespace with its local state, seen as a POSIX filesystem.

    The caller of every method is ``model.context.current()``.  ``outcome_name`` gives the word for the event log's
    ``outcome`` (an errno name) of an exception; ``record_io`` writes an event for each read and write too;
    ``why_not_pass`` says why no file may be passed to the kernel, empty where that is wanted; ``entries_max``: see
    ``forgetting``.  The app starts the ``run`` of ``forgetting`` and ``passing``.
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
        outcome_name: Callable[[BaseException], str] = _class_name,
        record_io: bool = False,
        why_not_pass: str = "not wanted",
        read_only: bool = False,
        entries_max: int = sys.maxsize,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ledger = ledger
        self.engine = engine
        self.discovery = discovery
        self.fetcher = fetcher
        self.flusher = flusher
        self.tenant = tenant
        self.mount_id = mount_id
        self.door = Door(ledger, tenant=tenant, outcome_name=outcome_name, clock_ns=clock_ns)
        core = Core(
            ledger,
            engine,
            discovery,
            fetcher,
            flusher,
            self.door,
            clock_ns=clock_ns,
            sync_level=sync_level,
            record_io=record_io,
            read_only=read_only,
        )
        content = Content(core)
        self.tree = Tree(core)
        self.inodes = Inodes(core, content)
        self.xattrs = Xattrs(core)
        self.listings = Listings(core, content)
        self.passing = Passing(core, "every read and write has its event" if record_io else why_not_pass)
        self.files = Files(core, content, self.passing)
        self.forgetting = Forgetting(core, entries_max=entries_max)
