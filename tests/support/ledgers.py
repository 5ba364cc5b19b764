"""A ledger without a volume or an engine: small functions that do to it what those rooms do."""

import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio

from vaultairefs.backlog import snapshot as backlog_snapshot
from vaultairefs.buffer import Body, Phase
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.ledger import Ledger, compaction
from vaultairefs.ledger.compaction import Orders
from vaultairefs.model import changes
from vaultairefs.model.changes import NO_INO, Change
from vaultairefs.model.values import ROOT, Attributes, EntryKey, Ino, Kind, Version
from vaultairefs.namespace import Inode
from vaultairefs.namespace import snapshot as namespace_snapshot

IN_USE_MAX = 4
"""So few that most of what these tests do goes by way of the shelf."""

OTHER_BOOT = b'{"boot_id":"another-boot","filesystem_id":"another"}'


def scratch_directory() -> Path:
    """A new directory, in memory where that is possible: these tests sync a lot and prove nothing about disks."""
    return Path(tempfile.mkdtemp(prefix="ledger-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))


def attributes(kind: Kind = Kind.FILE, mode: int = 0o644, *, time_ns: int = 7, target: bytes = b"") -> Attributes:
    """Attributes of a new entry."""
    return Attributes(kind, mode, 10, 20, time_ns, time_ns, time_ns, target=target)


def _copy_data(source: str, target: str) -> None:
    """Copy one file and its times, but not the preallocated space that nobody wrote to."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        size, at = os.fstat(reader.fileno()).st_size, 0
        while at < size:
            try:
                at = os.lseek(reader.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(reader.fileno(), at, os.SEEK_HOLE)
            os.pwrite(writer.fileno(), os.pread(reader.fileno(), end - at, at), at)
            at = end
        writer.truncate(size)
    shutil.copystat(source, target)


class Lab:
    """An open ledger in ``directory`` with a pretended engine: ``engine`` maps versions to bytes."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.options = options
        self.engine: dict[str, bytes] = {}
        self.state = StateDirectory.open(directory, "memory:")
        opened = partial(Ledger.open, self.state, clock=time.monotonic, **{"in_use_max": IN_USE_MAX, **options})
        self.ledger: Ledger = trio.run(opened)
        self._time_ns = 1_700_000_000_000_000_000

    def copy(self, target: Path, *, power_cut: bool = False) -> Path:
        """The state directory as kill -9 leaves it; ``power_cut``: as if another boot of the machine found it."""
        shutil.copytree(self.directory, target, copy_function=_copy_data)
        if power_cut:
            (target / "machine.json").write_bytes(OTHER_BOOT)
        return target

    def abandon(self) -> None:
        """Let go of everything without writing anything more."""
        self.ledger._journal.close()
        self.ledger.events.close()
        self.ledger.buffer.files.close()
        self.state.close(clean=False)

    def audit(self) -> list[str]:
        """Broken invariants of the rooms."""
        ledger = self.ledger
        problems = self.audit_shelf()
        problems += namespace_snapshot.audit(ledger.namespace) + backlog_snapshot.audit(ledger.backlog)
        for body in ledger.buffer.all():
            if body.phase is Phase.OPEN and not body.complete:
                problems.append(f"{body} is open")
            if body.partial and not body.present.covers(body.base_size, body.size):
                problems.append(f"{body}: bytes behind the base are not there")
            if body.partial and body.present.covers(0, body.size):
                problems.append(f"{body}: is complete")
            if body.phase is Phase.ABSENT and (body.unflushed or body.dirty):
                problems.append(f"{body}: absent but dirty")
        used = sum(body.allocated for body in ledger.buffer.all())
        used += sum(dead.allocated for dead in ledger.buffer.graveyard)
        if used != ledger.buffer.used_bytes:
            problems.append(f"used {ledger.buffer.used_bytes}, summed {used}")
        return problems

    def audit_shelf(self) -> list[str]:
        """Broken invariants of the shelf; everything is in use afterwards."""
        shelf, inodes = self.ledger._rooms.shelf, self.ledger.namespace.inodes
        problems = [f"inode {ino} is in use and on the shelf" for ino in shelf.rows if ino in inodes]
        problems += [f"inode {ino} owes from the shelf" for ino in shelf.rows if ino in self.ledger.backlog.owed_inos]
        waiting = sorted(ino for ino in shelf._queue if ino in inodes)
        if waiting != sorted(ino for ino, inode in inodes.items() if not inode.is_container):
            problems.append("an inode is not once in the queue for the shelf")
        shelf.recall_all()
        return problems

    def put_away_what_can_be(self) -> None:
        """Everything that may go on the shelf goes."""
        shelf = self.ledger._rooms.shelf
        shelf.put_away(len(shelf._queue))

    def inodes(self) -> list[Inode]:
        """Every inode, in use from now on."""
        self.ledger._rooms.shelf.recall_all()
        return list(self.ledger.namespace.inodes.values())

    def now(self) -> int:
        self._time_ns += 1_000_000
        return self._time_ns

    def commit(self, change: Change) -> int:
        return self.ledger.commit(change)

    def sync(self) -> None:
        trio.run(self.ledger.sync)

    def checkpoint(self) -> None:
        trio.run(self.ledger.checkpoint)

    def compact(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """A checkpoint from the journal alone, as another process makes it; ``meanwhile`` is done before it begins."""

        def work(orders: Orders) -> None:
            meanwhile()
            compaction.compact(orders)

        trio.run(self.ledger.checkpoint_elsewhere, work)

    # What a volume does

    def file(self, name: bytes, parent: Ino = ROOT, *, opened: bool = False) -> Ino:
        ino = self.ledger.namespace.allocate()
        self.commit(changes.FileCreated(ino, parent, name, attributes(time_ns=self.now()), opened))
        if opened:
            self.ledger.buffer.hold(ino, writing=True)
        return ino

    def container(self, name: bytes, parent: Ino = ROOT) -> Ino:
        ino = self.ledger.namespace.allocate()
        self.commit(changes.ContainerCreated(ino, parent, name, attributes(Kind.CONTAINER, 0o755, time_ns=self.now())))
        return ino

    def symlink(self, name: bytes, target: bytes, parent: Ino = ROOT) -> Ino:
        ino = self.ledger.namespace.allocate()
        born = attributes(Kind.SYMLINK, 0o777, time_ns=self.now(), target=target)
        self.commit(changes.SymlinkCreated(ino, parent, name, born))
        return ino

    def remove(self, name: bytes, parent: Ino = ROOT) -> Ino:
        ino = self.child(name, parent).ino
        self.commit(changes.EntryRemoved(ino, parent, name, self.now()))
        self.ledger.drop(ino)
        return ino

    def rename(
        self, name: bytes, new: bytes, parent: Ino = ROOT, new_parent: Ino = ROOT, *, swap: bool = False
    ) -> None:
        ino = self.child(name, parent).ino
        other = self.ledger.namespace.child(new_parent, new)
        replaced = other.ino if other else NO_INO
        self.commit(changes.EntryRenamed(ino, parent, name, new_parent, new, replaced, swap, self.now()))
        if replaced:
            self.ledger.drop(replaced)

    def child(self, name: bytes, parent: Ino = ROOT) -> Inode:
        inode = self.ledger.namespace.child(parent, name)
        assert inode is not None
        return inode

    def open(self, ino: Ino) -> None:
        self.ledger.buffer.hold(ino, writing=True)

    def close(self, ino: Ino) -> None:
        body = self.ledger.buffer.let_go(ino, writing=True)
        if not body.writers and body.phase is Phase.OPEN:
            self.commit(self.ledger.body_closed(ino))
        self.ledger.drop(ino)

    def write(self, ino: Ino, offset: int, data: bytes) -> None:
        ledger = self.ledger
        body = ledger.begin_body(ino)
        if not body.complete:
            ledger.buffer.write(ino, offset, data)
            self.commit(changes.ExtentsWritten(ino, offset, len(data), zlib.crc32(data), self.now()))
            return
        if body.phase is not Phase.OPEN:
            self.commit(changes.BodyOpened(ino))
        ledger.buffer.write(ino, offset, data)
        ledger.note_write(ino, offset, len(data), self.now())

    def write_whole(self, name: bytes, data: bytes, parent: Ino = ROOT) -> Ino:
        """A closed file with these bytes."""
        ino = self.file(name, parent, opened=True)
        self.write(ino, 0, data)
        self.close(ino)
        return ino

    def truncate(self, ino: Ino, size: int) -> None:
        self.commit(changes.Truncated(ino, size, self.now()))
        self.ledger.buffer.truncate_file(ino, size)

    def fsync(self, ino: Ino) -> None:
        async def fsync() -> None:
            await self.ledger.sync_body(ino)
            await self.ledger.sync()

        trio.run(fsync)

    # What the rooms around an engine do

    def fetch(self, ino: Ino, offset: int = 0, length: int = 1 << 40) -> None:
        """Bring a range of the stored version into the body, as far as it is missing."""
        body = self.ledger.begin_body(ino)
        if body.complete:
            return
        stored = self.engine[body.base_version]
        fd = self.ledger.buffer.descriptor(ino)
        extents = []
        for gap in body.present.gaps(offset, min(offset + length, body.base_size)):
            os.pwrite(fd, stored[gap.offset : gap.end], gap.offset)
            extents.append((gap.offset, gap.length))
        self.ledger.buffer.set_times(ino, self.ledger.namespace.get(ino).mtime_ns)
        self.commit(changes.ExtentsFetched(ino, tuple(extents), body.base_version, body.base_size))

    def flush(self, ino: Ino, *, late: bool = False) -> Version:
        """Put the inode at its first name; ``late``: bytes were written since."""
        inode = self.ledger.namespace.get(ino)
        key = inode.refs[0]
        version = Version(f"v{len(self.engine)}")
        self.engine[version] = b""
        size = -1
        if inode.kind is Kind.FILE:
            self.fetch_if_partial(ino)
            self.engine[version] = self.ledger.buffer.read(ino, 0, inode.size)
            size = inode.size if late else -1
        self.commit(changes.ArtifactFlushed(ino, key.container, key.name, version, not late, not late, size))
        return version

    def fetch_if_partial(self, ino: Ino) -> None:
        body = self.ledger.buffer.find(ino)
        if body is None or not body.complete:
            self.fetch(ino)

    def discover(self, name: bytes, data: bytes, container: Ino = ROOT, *, link_id: str = "", links: int = 1) -> Ino:
        known = self.ledger.namespace.by_link_id(link_id) if link_id else None
        version = Version(f"d{len(self.engine)}")
        if known is not None:
            ref = self.ledger.backlog.stored(self.ledger.backlog.refs_of(known)[0])
            assert ref is not None
            version = ref.version
        self.engine[version] = data
        ino = known or self.ledger.namespace.allocate()
        found = attributes(time_ns=self.now())
        self.commit(
            changes.ArtifactDiscovered(ino, container, name, found, len(data), version, links=links, link_id=link_id)
        )
        return ino

    # Questions

    def body(self, ino: Ino) -> Body:
        body = self.ledger.buffer.find(ino)
        assert body is not None
        return body

    def is_local(self, ino: Ino) -> bool:
        body = self.ledger.buffer.find(ino)
        return body is not None and body.phase is not Phase.ABSENT

    def content(self, ino: Ino) -> bytes:
        """What a program would read: local bytes, and the engine's where they are missing."""
        inode = self.ledger.namespace.get(ino)
        body = self.ledger.buffer.find(ino)
        if body is None or body.phase is Phase.ABSENT:
            key = self.ledger.backlog.fresh_ref(ino)
            ref = self.ledger.backlog.stored(key) if key else None
            assert ref is not None
            assert len(self.engine[ref.version]) == inode.size
            return self.engine[ref.version]
        if body.complete:
            return self.ledger.buffer.read(ino, 0, inode.size)
        whole = bytearray(self.engine[body.base_version][: body.base_size].ljust(inode.size, b"\0"))
        for extent in body.present:
            whole[extent.offset : extent.end] = self.ledger.buffer.read(ino, extent.offset, extent.length)
        return bytes(whole)

    def tree(self) -> dict[bytes, tuple[Ino, Kind]]:
        """Path -> inode and kind of everything with a name."""
        found: dict[bytes, tuple[Ino, Kind]] = {}
        left = [(b"", ROOT)]
        while left:
            path, container = left.pop()
            for name, ino, _ in self.ledger.namespace.entries(container):
                inode = self.ledger.namespace.get(ino)
                found[path + b"/" + name] = (ino, inode.kind)
                if inode.is_container:
                    left.append((path + b"/" + name, ino))
        return found

    def key(self, ino: Ino) -> EntryKey:
        return self.ledger.namespace.get(ino).refs[0]
