"""A ledger, a memory engine and a flusher, with programs that may act at any moment, also inside an engine's verb.

Programs work through ``Ledger.commit`` without a volume, so that a whole operation happens between two instructions
of the flusher.  ``contents`` is what every file must hold; crashes do not touch it.
"""

import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.support.ledgers import IN_USE_MAX
from vaultairefs.buffer import Phase
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.fetch.fetcher import Fetcher
from vaultairefs.flush.flusher import Flusher
from vaultairefs.ledger import Ledger
from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO
from vaultairefs.model.errors import AlreadyExists, IsAContainer, NotAContainer
from vaultairefs.model.values import ROOT, Attributes, EntryKey, Ino, Kind
from vaultairefs.namespace import Inode


class Crash(BaseException):
    """kill -9, at this very instruction."""


def is_crash(error: BaseException) -> bool:
    """Whether it is one, however deep in nurseries it happened."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_crash(inner) for inner in error.exceptions)
    return isinstance(error, Crash)


NATIVE = Capabilities(
    moves=True,
    links=True,
    copies_chunks=True,
    container_times_disturbed=True,
    inline_bytes_max=64,
    chunk_bytes=40,
)
PLAIN = Capabilities(names_checked=False, groups=True, inline_bytes_max=64, chunk_bytes=40)
"""What an object store with plain keys can do: no moves, no links, and containers that come with their entries."""


class Interfering(MemoryEngine):
    """Calls ``before`` and ``after`` around the work of every verb.

    ``collisions``: calls that put an entry where one of the other kind stands; a real store with plain keys would
    have done it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.before: Callable[[str], None] = lambda verb: None
        self.after: Callable[[str], None] = lambda verb: None
        self.collisions: list[str] = []

    @asynccontextmanager
    async def _call(self, verb: str) -> AsyncIterator[None]:
        self.before(verb)
        try:
            async with super()._call(verb):
                yield
                self.after(verb)
        except (IsAContainer, NotAContainer, AlreadyExists) as error:
            if verb in ("put", "copy", "commit_upload", "create_container"):
                self.collisions.append(f"{verb}: {error!r}")
            raise


class World:
    """``seconds`` is the clock of ledger and flusher; ``advance`` moves it."""

    def __init__(self, directory: Path, engine: Any = None, **options: Any) -> None:
        self.directory = directory
        self.engine = engine or Interfering(capabilities=NATIVE)
        self.seconds = 1000.0
        self.options = options
        self.contents: dict[Ino, bytes] = {}
        self.held: dict[Ino, int] = {}
        self.now_ns = 10**18
        self.ledger: Ledger
        self.flusher: Flusher
        self.state: StateDirectory

    async def open(self) -> None:
        self.state = StateDirectory.open(self.directory, self.engine.identity)
        self.ledger = await Ledger.open(
            self.state, clock=lambda: self.seconds, clock_ns=self.tick_ns, in_use_max=IN_USE_MAX
        )
        self.fetcher = Fetcher(self.ledger, self.engine)
        self.flusher = Flusher(
            self.ledger,
            self.engine,
            self.fetcher,
            flush_delay=1.0,
            flush_workers=3,
            mount_id=self.state.mount_id,
            clock=lambda: self.seconds,
            clock_ns=self.tick_ns,
            **self.options,
        )

    def tick_ns(self) -> int:
        self.now_ns += 1_000_000
        return self.now_ns

    def drop_everything(self) -> None:
        """What the kernel does for a process that was killed."""
        self.ledger.buffer.files.close()
        self.ledger._journal.close()
        self.ledger.events.close()
        self.state.close(clean=False)

    async def crash(self) -> None:
        """kill -9 and a new daemon on what it left.  Handles are gone, and unlinked files with them."""
        self.drop_everything()
        self.held.clear()
        await self.open()

    # The flusher, driven by hand

    async def tick(self) -> None:
        """One pass, and everything that it queues."""
        passes = self.flusher._passes
        await passes.run()

        crashes: list[BaseException] = []

        async def work() -> None:
            try:
                while passes._queue and not crashes:
                    await passes.work_once()
            except BaseException as error:
                if not is_crash(error):
                    raise
                crashes.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(work)
        if crashes:
            raise crashes[0]

    def is_idle(self) -> bool:
        return self.flusher._is_idle()

    async def drain(self, *, ticks: int = 120) -> None:
        """Tick until nothing is owed; the clock runs so that no failure waits long."""
        with self.flusher._urgency.everything():
            for _ in range(ticks):
                if self.is_idle():
                    return
                self.seconds += 60
                await self.tick()
        backlog = self.ledger.backlog
        raise AssertionError(
            f"not drained: names {backlog.owed_names}, inodes {backlog.owed_inos}, doubts {backlog.doubts.begun}, "
            f"errors {self.flusher.status().flush_errors}"
        )

    # Programs

    def attributes(self, kind: Kind, mode: int = 0o644, target: bytes = b"") -> Attributes:
        now = self.tick_ns()
        return Attributes(kind, mode, 0, 0, now, now, now, target=target)

    def create(self, parent: Ino, name: bytes, content: bytes = b"") -> Ino:
        ino = self.ledger.namespace.allocate()
        self.ledger.commit(changes.FileCreated(ino, parent, name, self.attributes(Kind.FILE)))
        self.contents[ino] = b""
        if content:
            self.write(ino, 0, content)
        return ino

    def mkdir(self, parent: Ino, name: bytes) -> Ino:
        ino = self.ledger.namespace.allocate()
        self.ledger.commit(changes.ContainerCreated(ino, parent, name, self.attributes(Kind.CONTAINER, 0o755)))
        return ino

    def symlink(self, parent: Ino, name: bytes, target: bytes) -> Ino:
        ino = self.ledger.namespace.allocate()
        self.ledger.commit(changes.SymlinkCreated(ino, parent, name, self.attributes(Kind.SYMLINK, 0o777, target)))
        return ino

    def mkfifo(self, parent: Ino, name: bytes) -> Ino:
        ino = self.ledger.namespace.allocate()
        self.ledger.commit(changes.NodeCreated(ino, parent, name, self.attributes(Kind.FIFO)))
        return ino

    def link(self, ino: Ino, parent: Ino, name: bytes) -> None:
        self.ledger.commit(changes.EntryLinked(ino, parent, name, self.tick_ns()))

    def remove(self, parent: Ino, name: bytes) -> None:
        inode = self.ledger.namespace.child(parent, name)
        assert inode is not None
        self.ledger.commit(changes.EntryRemoved(inode.ino, parent, name, self.tick_ns()))
        self.bury(inode.ino)

    def rename(self, parent: Ino, name: bytes, new_parent: Ino, new_name: bytes, *, exchange: bool = False) -> None:
        inode, there = self.ledger.namespace.child(parent, name), self.ledger.namespace.child(new_parent, new_name)
        assert inode is not None
        replaced = there.ino if there is not None else NO_INO
        self.ledger.commit(
            changes.EntryRenamed(inode.ino, parent, name, new_parent, new_name, replaced, exchange, self.tick_ns())
        )
        if there is not None and not exchange:
            self.bury(there.ino)

    def bury(self, ino: Ino) -> None:
        inode = self.ledger.namespace.find(ino)
        if inode is not None and not inode.nlink and ino not in self.held:
            self.ledger.drop(ino)
            self.contents.pop(ino, None)

    def write(self, ino: Ino, offset: int, data: bytes, *, leave_open: bool = False) -> None:
        ledger = self.ledger
        if ino not in self.contents and not self.truncate(ino, 0):
            return
        old = self.contents[ino]
        body = ledger.buffer.find(ino)
        if body is None or not body.complete:
            if self.fetcher.range_is_busy(ino, offset, len(data)):
                return
            body = ledger.begin_body(ino)
        if body.complete:
            if body.phase is not Phase.OPEN:
                ledger.commit(changes.BodyOpened(ino))
            ledger.buffer.write(ino, offset, data)
            ledger.note_write(ino, offset, len(data), self.tick_ns())
            if not leave_open:
                ledger.commit(ledger.body_closed(ino))
        else:
            ledger.buffer.write(ino, offset, data)
            ledger.commit(changes.ExtentsWritten(ino, offset, len(data), zlib.crc32(data), self.tick_ns()))
        self.contents[ino] = old.ljust(offset, b"\0")[:offset] + data + old[offset + len(data) :]

    def truncate(self, ino: Ino, size: int) -> bool:
        """False where a fetch is under way.  A file that others wrote is emptied first: we know nothing of it."""
        if self.fetcher.range_is_busy(ino, 0, 1 << 40):
            return False
        if ino not in self.contents:
            size, self.contents[ino] = 0, b""
        self.ledger.commit(changes.Truncated(ino, size, self.tick_ns()))
        self.ledger.buffer.truncate_file(ino, size)
        self.contents[ino] = self.contents[ino][:size].ljust(size, b"\0")
        return True

    def chmod(self, ino: Ino, mode: int, *, mtime_ns: int | None = None) -> None:
        inode = self.ledger.namespace.get(ino)
        moved = inode.mtime_ns if mtime_ns is None else mtime_ns
        self.ledger.commit(
            changes.AttributesSet(ino, mode, inode.uid, inode.gid, inode.atime_ns, moved, self.tick_ns())
        )
        body = self.ledger.buffer.find(ino)
        if mtime_ns is not None and body is not None and body.phase is Phase.OPEN:
            self.ledger.buffer.set_times(ino, mtime_ns)

    def set_xattr(self, ino: Ino, name: bytes, value: bytes | None) -> None:
        self.ledger.commit(changes.XattrSet(ino, name, value, self.tick_ns()))

    def hold(self, ino: Ino) -> None:
        self.ledger.buffer.hold(ino, writing=False)
        self.held[ino] = self.held.get(ino, 0) + 1

    def let_go(self, ino: Ino) -> None:
        self.ledger.buffer.let_go(ino, writing=False)
        self.held[ino] -= 1
        if not self.held[ino]:
            del self.held[ino]
            self.bury(ino)

    def evict_everything(self) -> None:
        for ino in self.ledger.buffer.evictable(1 << 60):
            self.ledger.commit(changes.BodyEvicted(ino))

    # Looking

    def inodes(self, *kinds: Kind) -> list[Inode]:
        """Those with a name, in a stable order."""
        self.ledger._rooms.shelf.recall_all()
        found = [inode for inode in self.ledger.namespace.inodes.values() if inode.nlink and inode.kind in kinds]
        return sorted(found, key=lambda inode: inode.ino)

    def names(self) -> list[EntryKey]:
        return sorted(key for inode in self.inodes(*Kind) for key in inode.refs)

    def seen(self) -> dict[bytes, Any]:
        """What programs see: path to kind, attributes, content and the group of its names."""
        namespace, found = self.ledger.namespace, {}
        for key in self.names():
            inode = namespace.child(*key)
            assert inode is not None
            parent = namespace.path(key.container)
            path = parent + b"/" + key.name if parent else key.name
            content = self.contents[inode.ino] if inode.kind is Kind.FILE else inode.target
            group = inode.ino if self.engine.capabilities.links or self.engine.capabilities.groups else path
            found[path] = (group, inode.attributes(), content)
        return described(found)

    def engine_holds(self) -> dict[bytes, Any]:
        """The same, of the engine."""
        found = {}
        for path, info, content in self.engine.walk():
            group = info.link_id or path.joined
            found[path.joined] = (group, info.attributes, content or info.attributes.target)
        return described(found)

    async def check_equal(self) -> None:
        """The engine holds exactly what programs see, and nothing is parked."""
        assert self.engine_holds() == self.seen()
        assert self.engine.parked() == []
        root = self.ledger.namespace.get(ROOT)
        assert self.ledger.backlog.owed_inos.get(root.ino) is None


def described(found: dict[bytes, tuple[Any, Attributes, bytes]]) -> dict[bytes, Any]:
    groups: dict[Any, list[bytes]] = {}
    for path, (group, _, _) in found.items():
        groups.setdefault(group, []).append(path)
    return {
        path: (
            attributes.kind.name,
            oct(attributes.mode),
            attributes.mtime_ns,
            dict(attributes.xattrs),
            content,
            tuple(sorted(groups[group])),
        )
        for path, (group, attributes, content) in found.items()
    }
