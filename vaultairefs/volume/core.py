"""What every theme of a volume works with: the rooms below, and the checks that many calls share.

Does not: hold state of its own beyond references and settings.
"""

from collections.abc import Callable

from vaultairefs.engine.interface import Engine
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.ledger import Ledger
from vaultairefs.model.errors import NameTooLong, NotAContainer, NotFound, ReadOnly
from vaultairefs.model.names import NAME_BYTES_MAX, check_name
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.namespace import Inode
from vaultairefs.volume.door import Door
from vaultairefs.volume.lives import Lives
from vaultairefs.volume.requests import SyncLevel


class Core:
    """The rooms below, as one value."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        discovery: Discovery,
        fetcher: Fetcher,
        flusher: Flusher,
        door: Door,
        *,
        clock_ns: Callable[[], int],
        sync_level: SyncLevel,
        record_io: bool,
        read_only: bool,
    ) -> None:
        self.ledger = ledger
        self.namespace = ledger.namespace
        self.buffer = ledger.buffer
        self.engine = engine
        self.discovery = discovery
        self.fetcher = fetcher
        self.flusher = flusher
        self.door = door
        self.lives = Lives(ledger)
        self.clock_ns = clock_ns
        self.sync_level = sync_level
        self.record_io = record_io
        self.read_only = read_only
        self._root_met = False

    def check_writable(self) -> None:
        """``ReadOnly`` on a read-only mount."""
        if self.read_only:
            raise ReadOnly

    async def inode(self, ino: Ino) -> Inode:
        """The inode; ``Stale`` when it is gone.  The root's attributes come from the engine at its first use."""
        if ino == ROOT and not self._root_met:
            await self.discovery.ensure_listed(ROOT)
            self._root_met = True
        return self.namespace.get(ino)

    async def container(self, ino: Ino) -> Inode:
        """A container whose entries are known and fresh: after this, its live children are what the engine holds.

        Returns without giving way to other tasks when they are fresh already.  ``Stale``, ``NotAContainer``,
        ``Unavailable``.
        """
        inode = self.namespace.get(ino)
        if inode.children is None:
            raise NotAContainer(container=self.path_or_nothing(inode))
        if inode.nlink and not self.discovery.is_fresh(ino):
            await self.discovery.ensure_listed(ino)
        return inode

    async def _knowing(self, parent: Ino, name: bytes) -> Inode:
        """A container of which the one name is known and fresh; otherwise like ``container``."""
        inode = self.namespace.get(parent)
        if inode.children is None:
            raise NotAContainer(container=self.path_or_nothing(inode))
        if inode.nlink and not self.discovery.is_fresh(parent):
            await self.discovery.ensure_known(parent, name)
        return inode

    async def home(self, parent: Ino, name: bytes) -> Inode:
        """The container for a new entry ``name``: ``ReadOnly``, ``NameTooLong``, ``NotFound`` when it was removed.

        Whether the name is free is the caller's next check, without waiting in between.
        """
        self.check_writable()
        check_name(name)
        home = await self._knowing(parent, name)
        if not home.nlink:
            raise NotFound("the container was removed", artifact=name)
        return home

    async def entry(self, parent: Ino, name: bytes) -> Inode:
        """The existing entry ``name``: ``NotFound``, ``NameTooLong``, ``NotAContainer``."""
        if len(name) > NAME_BYTES_MAX:
            raise NameTooLong(artifact=name)
        await self._knowing(parent, name)
        found = self.namespace.child(parent, name)
        if found is None:
            raise NotFound(artifact=name)
        return found

    def path_or_nothing(self, inode: Inode) -> bytes:
        """A live path for messages and events, empty for what has none."""
        return self.namespace.path(inode.ino) if inode.nlink and inode.refs else b""
