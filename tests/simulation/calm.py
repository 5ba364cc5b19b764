"""Programs whose directories nobody else touches: a tree in plain dicts says exactly what they must find.

Each player works alone below a directory of its own, one call after the other.  A call that had returned when the
process was killed has happened; one that was under way has happened or not, a write perhaps in part.
"""

import copy
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final, NamedTuple

import trio

from tests.model.programs import Program, appearance, expected_appearance
from tests.model.reference import Node, Path, Reference
from tests.simulation.machine import Machine
from vaultairefs.model.context import OperationContext
from vaultairefs.model.errors import OutOfSpace, TimedOut, Unavailable, VaultaireError
from vaultairefs.model.values import Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import AttributeRequest, RenameMode, Volume

NAMES: Final = (b"a", b"b", b"c", b"\xff\xfe")
MODES: Final = (0o644, 0o600, 0o755, 0o2775)
OFFSETS: Final = (0, 0, 1, 50, 4096, 70_000)
SIZES: Final = (0, 1, 100, 4096, 65_537)
REFUSALS: Final = (Unavailable, TimedOut, OutOfSpace)
"""What a store that is away, or a full buffer, may answer; nothing has happened then."""

_PATIENCE_SECONDS: Final = 20.0

CALLER: Final = OperationContext(uid=0, gid=0, umask=0o022)


class Opened(NamedTuple):
    ino: Ino
    handle: int
    node: Node
    flags: int


class Write(NamedTuple):
    """A write that was under way: any part of it may have come about."""

    node: Node
    offset: int
    data: bytes


class Shown(NamedTuple):
    """What a volume shows: every path's inode, and the bytes of every file."""

    inodes: Mapping[Path, Inode]
    contents: Mapping[Path, bytes]


def difference(home: bytes, reference: Reference, shown: Shown) -> str | None:
    """The first thing below ``home`` that is not as the reference says."""
    nodes = {(home, *path): node for path, node in reference.nodes().items()}
    names = {path for path in shown.inodes if path[:1] == (home,)}
    if names != set(nodes):
        return f"missing {sorted(set(nodes) - names)}, not expected {sorted(names - set(nodes))}"
    inos: dict[int, set[Ino]] = {}
    for path, node in nodes.items():
        inode = shown.inodes[path]
        got, expected = appearance(inode), expected_appearance(node)
        if got != expected:
            return f"{path}: {got} instead of {expected}"
        if node.mtime_ns is not None and inode.mtime_ns != node.mtime_ns:
            return f"{path}: mtime {inode.mtime_ns} instead of {node.mtime_ns}"
        if node.kind is Kind.FILE and shown.contents[path] != node.data:
            return f"{path}: {_brief(shown.contents[path])} instead of {_brief(bytes(node.data))}"
        inos.setdefault(id(node), set()).add(inode.ino)
    split = [path for path, node in nodes.items() if len(inos[id(node)]) > 1]
    return f"one file, several inodes: {split}" if split else None


def _brief(data: bytes) -> str:
    return f"{len(data)} bytes {data[:60]!r}..{data[-30:]!r}"


def _is_part(found: bytes, old: bytes, new: bytes) -> bool:
    """Whether every byte is that of before or that of after; where a file grows, what was not reached is zero."""
    if not min(len(old), len(new)) <= len(found) <= max(len(old), len(new)):
        return False
    before, after = old.ljust(len(found), b"\0"), new.ljust(len(found), b"\0")
    return all(byte in (one, other) for byte, one, other in zip(found, before, after, strict=False))


class Player:
    """One program.  ``home`` is its directory; paths in ``reference`` begin below it."""

    def __init__(self, home: bytes, random: Random, machine: Machine) -> None:
        self.home = home
        self.reference = Reference()
        self.calls = 0
        self._random = random
        self._machine = machine
        self._opened: list[Opened] = []
        self._under_way: Callable[[Reference], Any] | None = None
        self._writing: Write | None = None
        self._marks = 0
        self.volume: Volume
        self.program: Program

    def enter(self, volume: Volume) -> None:
        """A new process serves the mount."""
        self.volume = volume
        self.program = Program(volume, CALLER)

    async def play(self, calls: int) -> None:
        """That many calls, with pauses as programs make them."""
        for _ in range(calls):
            await self._act()
            pause = self._random.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.01, 1.0, 2.5))
            await (trio.sleep(pause) if pause else trio.lowlevel.checkpoint())

    def is_in_doubt(self) -> bool:
        """Whether a call was under way when the last process was killed."""
        return self._under_way is not None

    def judge(self, shown: "Shown") -> None:
        """``shown`` is what a process shows before any further call; what was under way is settled by it."""
        model, writing = self._under_way, self._writing
        self._under_way = self._writing = None
        if model is None:
            complaint = difference(self.home, self.reference, shown)
            assert complaint is None, complaint
            return
        before = copy.deepcopy(self.reference)
        try:
            model(self.reference)
        except VaultaireError:
            self.reference = before
        if writing is not None:
            self._adopt_part(writing, shown, before)
        complaint = difference(self.home, self.reference, shown)
        if complaint is not None:
            earlier = difference(self.home, before, shown)
            assert earlier is None, f"neither with the last call ({complaint}) nor without it ({earlier})"
            self.reference = before

    def _adopt_part(self, writing: Write, shown: "Shown", before: Reference) -> None:
        """Take whatever part of the write has come about for what the file holds."""
        now = self.reference.nodes()
        for path, older in before.nodes().items():
            node = now.get(path)
            if node is not writing.node:
                continue
            older.mtime_ns = None
            found = shown.contents.get(self._at(path), b"")
            if _is_part(found, bytes(older.data), bytes(node.data)):
                node.data[:] = found

    def forget_handles(self) -> None:
        """The process is gone, and with it what was open."""
        self._opened.clear()

    async def close_all(self) -> None:
        """Close whatever is open."""
        while self._opened:
            await self.volume.files.release(self._opened.pop().handle)
            self._machine.check_alive()

    # One call

    async def _act(self) -> None:
        action = self._random.choice(_WEIGHTED)
        if action in (Player.write, Player.read, Player.fsync, Player.close, Player.ftruncate) and not self._opened:
            action = Player.create
        self.calls += 1
        await action(self)

    async def _both(self, model: Callable[[Reference], Any], real: Awaitable[Any], what: str) -> tuple[Any, Any] | None:
        """Do the same in both worlds; the results of a success, None after the same error or a refusal."""
        self._under_way = model
        tell = self._machine.tell
        tell(f"{self.home.decode()}: {what}")
        try:
            got, error = await real, None
        except VaultaireError as raised:
            got, error = None, raised
        self._machine.check_alive()
        self._under_way = self._writing = None
        if error is not None:
            tell(f"{self.home.decode()}: {what}: {type(error).__name__}")
        if isinstance(error, REFUSALS):
            return None
        try:
            expected, refusal = model(self.reference), None
        except VaultaireError as raised:
            expected, refusal = None, raised
        assert type(error) is type(refusal), f"{what}: expected {refusal!r}, got {error!r} {got!r}"
        return None if error is not None else (expected, got)

    def _some(self, kind: Kind | None = None) -> Path:
        nodes = self.reference.nodes()
        matching = [path for path, node in nodes.items() if kind in (None, node.kind)]
        return self._random.choice(matching or list(nodes))

    def _entry(self, kind: Kind | None = None) -> Path:
        return self._some(kind) or (self._random.choice(NAMES),)

    def _place(self) -> Path:
        return (*self._some(Kind.CONTAINER), self._random.choice(NAMES))

    def _at(self, path: Path) -> Path:
        return (self.home, *path)

    def _born(self, kind: Kind, mode: int, **more: Any) -> Callable[[], Node]:
        return lambda: Node(kind, mode & ~CALLER.umask, **more)

    def _text(self) -> bytes:
        """Bytes that nobody wrote before."""
        self._marks += 1
        mark = b"<%s %d>" % (self.home, self._marks)
        return mark * self._random.choice((1, 1, 10, 600, 6000))

    # Names

    async def mkdir(self) -> None:
        path, mode = self._place(), self._random.choice((0o755, 0o700, 0o1777))
        born = self._born(Kind.CONTAINER, mode)
        real = self.program.mkdir(self._at(path), mode)
        await self._both(lambda tree: tree.create(path, born()), real, f"mkdir {path}")

    async def symlink(self) -> None:
        path, target = self._place(), self._text()[:100]

        def model(tree: Reference) -> Node:
            return tree.create(path, Node(Kind.SYMLINK, 0o777, target=target))

        await self._both(model, self.program.symlink(self._at(path), target), f"symlink {path}")

    async def mknod(self) -> None:
        path, mode = self._place(), self._random.choice(MODES)
        born = self._born(Kind.FIFO, mode)
        real = self.program.mknod(self._at(path), stat.S_IFIFO | mode, 0)
        await self._both(lambda tree: tree.create(path, born()), real, f"mknod {path}")

    async def link(self) -> None:
        source, path = self._some(Kind.FILE), self._place()
        real = self.program.link(self._at(source), self._at(path))
        await self._both(lambda tree: tree.link(source, path), real, f"link {source} {path}")

    async def unlink(self) -> None:
        path = self._entry(Kind.FILE)
        await self._both(lambda tree: tree.unlink(path), self.program.unlink(self._at(path)), f"unlink {path}")

    async def rmdir(self) -> None:
        path = self._entry(Kind.CONTAINER)
        await self._both(lambda tree: tree.rmdir(path), self.program.rmdir(self._at(path)), f"rmdir {path}")

    async def rename(self) -> None:
        source, path = self._entry(), self._random.choice((self._place(), self._place(), self._entry()))
        mode = self._random.choice((RenameMode.REPLACE, RenameMode.REPLACE, *RenameMode))
        real = self.program.rename(self._at(source), self._at(path), mode)
        await self._both(lambda tree: tree.rename(source, path, mode), real, f"rename {source} {path} {mode.name}")

    # Files

    async def create(self) -> None:
        path, mode, flags = self._place(), self._random.choice(MODES), os.O_RDWR | os.O_EXCL
        born = self._born(Kind.FILE, mode)
        real = self.program.create(self._at(path), mode, flags | os.O_CREAT)
        done = await self._both(lambda tree: tree.create(path, born()), real, f"create {path}")
        if done is not None:
            node, (ino, handle) = done
            self._opened.append(Opened(ino, handle, node, flags))

    async def open(self) -> None:
        path = self._some(Kind.FILE)
        access = self._random.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
        flags = access | (os.O_TRUNC if access != os.O_RDONLY and self._random.random() < 0.3 else 0)
        if self.reference.at(path).kind is not Kind.FILE:
            return

        def model(tree: Reference) -> Node:
            node = tree.at(path)
            if flags & os.O_TRUNC:
                tree.resize(node, 0)
            return node

        done = await self._both(model, self.program.open(self._at(path), flags), f"open {path} {flags:#x}")
        if done is not None:
            node, (ino, handle) = done
            self._opened.append(Opened(ino, handle, node, flags))

    def _pick(self, *accesses: int) -> Opened | None:
        fitting = [one for one in self._opened if one.flags & os.O_ACCMODE in (*accesses, os.O_RDWR)]
        return self._random.choice(fitting) if fitting else None

    async def write(self) -> None:
        opened = self._pick(os.O_WRONLY)
        if opened is None:
            return
        node, offset, data = opened.node, self._random.choice((*OFFSETS, len(opened.node.data))), self._text()
        self._writing = Write(node, offset, data)
        real = self.volume.files.write(opened.handle, offset, data)
        await self._both(lambda tree: tree.write(node, offset, data), real, f"write {opened.ino} {offset} {len(data)}")

    async def read(self) -> None:
        opened = self._pick(os.O_RDONLY)
        if opened is None:
            return
        offset, length = self._random.choice(OFFSETS), self._random.choice((1, 4096, 100_000))

        def model(_: Reference) -> bytes:
            return bytes(opened.node.data[offset : offset + length])

        real = self.volume.files.read(opened.handle, offset, length)
        done = await self._both(model, real, f"read {opened.ino} {offset} {length}")
        if done is not None:
            assert done[0] == done[1], f"read {opened.ino}: other bytes at {offset}"

    async def ftruncate(self) -> None:
        opened = self._pick(os.O_WRONLY)
        if opened is not None:
            node, size = opened.node, self._random.choice(SIZES)
            real = self.program.ftruncate(opened.ino, opened.handle, size)
            await self._both(lambda tree: tree.resize(node, size), real, f"ftruncate {opened.ino} {size}")

    async def truncate(self) -> None:
        path, size = self._some(Kind.FILE), self._random.choice(SIZES)
        node = self.reference.at(path)
        if node.kind is Kind.FILE and size != len(node.data):
            real = self.program.setattr(self._at(path), AttributeRequest(size=size))
            await self._both(lambda tree: tree.resize(tree.at(path), size), real, f"truncate {path} {size}")

    async def fsync(self) -> None:
        opened = self._pick(os.O_RDONLY, os.O_WRONLY)
        assert opened is not None
        await self._both(lambda tree: None, self.volume.files.fsync(opened.handle, False), f"fsync {opened.ino}")

    async def close(self) -> None:
        opened = self._opened.pop(self._random.randrange(len(self._opened)))
        await self._both(lambda tree: None, self.volume.files.release(opened.handle), f"close {opened.ino}")

    async def flush(self) -> None:
        """What ``vaultairefs flush`` does; somebody who waits no longer than that."""

        async def real() -> None:
            with trio.move_on_after(_PATIENCE_SECONDS):
                await self.volume.flusher.drain()

        await self._both(lambda tree: None, real(), "flush")

    # Attributes

    async def chmod(self) -> None:
        path, mode = self._some(), self._random.choice(MODES)
        if not path or self.reference.at(path).kind is Kind.SYMLINK:
            return

        def model(tree: Reference) -> None:
            tree.at(path).mode = mode

        await self._both(model, self.program.setattr(self._at(path), AttributeRequest(mode=mode)), f"chmod {path}")

    async def utimens(self) -> None:
        path, moment = self._some(), self._random.choice((0, 981_173_106_123_456_789))
        if not path:
            return

        def model(tree: Reference) -> None:
            tree.at(path).mtime_ns = moment

        request = AttributeRequest(atime_ns=moment, mtime_ns=moment)
        await self._both(model, self.program.setattr(self._at(path), request), f"utimens {path}")

    async def setxattr(self) -> None:
        path, name, value = self._some(Kind.FILE), self._random.choice((b"user.one", b"user.two")), self._text()[:200]
        if self.reference.at(path).kind is not Kind.FILE:
            return

        def model(tree: Reference) -> None:
            tree.at(path).xattrs[name] = value

        await self._both(model, self.program.setxattr(self._at(path), name, value), f"setxattr {path} {name!r}")


_WEIGHTED: Final = (
    *(Player.mkdir, Player.symlink, Player.mknod, Player.link, Player.unlink, Player.rmdir, Player.chmod),
    *(Player.create, Player.open, Player.open, Player.close, Player.close, Player.read, Player.fsync),
    *(Player.ftruncate, Player.truncate, Player.utimens, Player.setxattr),
    *(Player.write, Player.write, Player.write, Player.create, Player.rename, Player.rename, Player.rename),
    *(Player.flush, Player.flush, Player.rename, Player.rename, Player.rename, Player.mkdir),
)
