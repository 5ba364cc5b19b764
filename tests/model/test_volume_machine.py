"""A volume behaves like a plain filesystem, whatever happens to its daemon and its caches in between.

Hypothesis drives system calls, crashes, remounts, flushes and evictions against a real volume over an engine and
against ``Reference``; both must give the same answers, and recovery must give the state that crashed.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path as Directory
from typing import Any, NamedTuple

import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.engines import Stored, memory_tree, plain_tree
from tests.model.programs import Program, appearance, expected_appearance
from tests.model.reference import Node, Path, Reference
from tests.support.rooms import House, Portal
from vaultairefs.engine.interface import Capabilities, Engine
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.engine.registry import open_engine
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.context import OperationContext
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import ROOT, Ino, Kind
from vaultairefs.volume import AttributeRequest, RenameMode

NAMES = [b"a", b"b", b"c", b"\xff\xfe", b".vaultairefs"]
names = st.sampled_from([*NAMES, *NAMES, b"n" * 256])
modes = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2775, 0o1777, 0])
offsets = st.sampled_from([0, 1, 4095, 4096, 70_000, 300_000])
sizes = st.sampled_from([0, 1, 100, 4096, 65_537, 300_000])
contents = st.binary(min_size=1, max_size=64) | st.sampled_from([b"x" * 5000, bytes(range(256)) * 300])
texts = st.binary(min_size=1, max_size=8).map(lambda text: text.replace(b"\0", b"/"))
xattr_names = st.sampled_from([b"user.one", b"user.two", b"trusted.three"])
CALLERS = [OperationContext(uid=0, gid=0, umask=0o022), OperationContext(uid=1000, gid=100, umask=0o077)]
callers = st.sampled_from(CALLERS)
moments = st.sampled_from([0, 1, 981_173_106_123_456_789, 4_000_000_000_000_000_000])


class Opened(NamedTuple):
    ino: Ino
    handle: int
    node: Node
    flags: int
    caller: OperationContext


class VolumeMachine(RuleBasedStateMachine):
    """See the module's text."""

    def __init__(self) -> None:
        super().__init__()
        self.portal = Portal()
        self.directory = Directory(tempfile.mkdtemp(prefix="vaultairefs-model-"))
        self.states = 0
        self.reference = Reference()
        self.opened: list[Opened] = []

    def make_engine(self) -> Engine:
        abilities = Capabilities(
            moves=True, links=True, copies_chunks=True, inline_bytes_max=16 << 10, chunk_bytes=64 << 10
        )
        return MemoryEngine(capabilities=abilities, page_entries=3)

    @initialize()
    def mount(self) -> None:
        self.engine = self.make_engine()
        self.house = self.portal.run(House.open, self.new_state(), self.engine)
        root = self.portal.run(self.house.volume.inodes.getattr, ROOT)
        self.reference.root.mode, self.reference.root.uid, self.reference.root.gid = root.mode, root.uid, root.gid

    def new_state(self) -> Directory:
        self.states += 1
        return self.directory / str(self.states)

    def teardown(self) -> None:
        try:
            if hasattr(self, "house"):
                self.look_around(content=True)
                self.close_all()
                self.drain()
                self.portal.run(self.house.close)
        finally:
            self.portal.close()
            shutil.rmtree(self.directory)

    # What both worlds say

    def program(self, caller: OperationContext = CALLERS[0]) -> Program:
        return Program(self.house.volume, caller)

    def both(self, model: Any, real: Any, *args: Any) -> Any:
        """Do the same in both worlds; the results of a success, or None after the same error."""
        try:
            expected, refusal = model(), None
        except VaultaireError as error:
            expected, refusal = None, type(error)
        try:
            got = self.portal.run(real, *args)
        except VaultaireError as error:
            assert type(error) is refusal, f"expected {refusal}, got {error!r}"
            return None
        assert refusal is None, f"expected {refusal}, got {got!r}"
        return expected, got

    def some(self, data: st.DataObject, kind: Kind | None = None) -> Path:
        """A path that exists, mostly of ``kind``."""
        nodes = self.reference.nodes()
        matching = [path for path, node in nodes.items() if kind in (None, node.kind)]
        return data.draw(st.sampled_from(matching or list(nodes)))

    def place(self, data: st.DataObject) -> Path:
        """Where a new entry may go."""
        return (*self.some(data, Kind.CONTAINER), data.draw(names))

    def entry(self, data: st.DataObject, kind: Kind | None = None) -> Path:
        """A path that is not the root's, mostly an existing one."""
        return self.some(data, kind) or (data.draw(names),)

    def born(self, kind: Kind, mode: int, caller: OperationContext, **more: Any) -> Node:
        return Node(kind, mode & ~caller.umask, caller.uid, caller.gid, **more)

    # Names

    @rule(data=st.data(), mode=modes, caller=callers)
    def mkdir(self, data: st.DataObject, mode: int, caller: OperationContext) -> None:
        path, node = self.place(data), self.born(Kind.CONTAINER, mode & 0o1777, caller)
        self.both(lambda: self.reference.create(path, node), self.program(caller).mkdir, path, mode)

    @rule(data=st.data(), mode=modes, caller=callers, kind=st.sampled_from([Kind.FILE, Kind.FIFO, Kind.CHARACTER]))
    def mknod(self, data: st.DataObject, mode: int, caller: OperationContext, kind: Kind) -> None:
        format_bits = {Kind.FILE: stat.S_IFREG, Kind.FIFO: stat.S_IFIFO, Kind.CHARACTER: stat.S_IFCHR}[kind]
        rdev = 0x0103 if kind is Kind.CHARACTER else 0
        path, node = self.place(data), self.born(kind, mode, caller, rdev=rdev)
        self.both(lambda: self.reference.create(path, node), self.program(caller).mknod, path, format_bits | mode, rdev)

    @rule(data=st.data(), text=texts, caller=callers)
    def symlink(self, data: st.DataObject, text: bytes, caller: OperationContext) -> None:
        path, node = self.place(data), Node(Kind.SYMLINK, 0o777, caller.uid, caller.gid, target=text)
        self.both(lambda: self.reference.create(path, node), self.program(caller).symlink, path, text)

    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        source, path = self.some(data, Kind.FILE), self.place(data)
        self.both(lambda: self.reference.link(source, path), self.program().link, source, path)

    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        path = self.entry(data, Kind.FILE)
        self.both(lambda: self.reference.unlink(path), self.program().unlink, path)

    @rule(data=st.data())
    def rmdir(self, data: st.DataObject) -> None:
        path = self.entry(data, Kind.CONTAINER)
        self.both(lambda: self.reference.rmdir(path), self.program().rmdir, path)

    @rule(data=st.data(), mode=st.sampled_from([RenameMode.REPLACE, RenameMode.REPLACE, *RenameMode]))
    def rename(self, data: st.DataObject, mode: RenameMode) -> None:
        source = self.entry(data)
        path = data.draw(st.sampled_from([self.place(data), self.entry(data)]))
        self.both(lambda: self.reference.rename(source, path, mode), self.program().rename, source, path, mode)

    # Files

    @rule(data=st.data(), mode=modes, caller=callers)
    def create(self, data: st.DataObject, mode: int, caller: OperationContext) -> None:
        path, node, flags = self.place(data), self.born(Kind.FILE, mode, caller), os.O_RDWR | os.O_EXCL
        done = self.both(
            lambda: self.reference.create(path, node), self.program(caller).create, path, mode, flags | os.O_CREAT
        )
        if done is not None:
            self.opened.append(Opened(*done[1], node, flags, caller))

    @rule(data=st.data(), access=st.sampled_from([os.O_RDONLY, os.O_WRONLY, os.O_RDWR]), truncate=st.booleans())
    def open(self, data: st.DataObject, access: int, truncate: bool) -> None:
        path = self.some(data, Kind.FILE)
        node = self.reference.at(path)
        if node.kind is not Kind.FILE:
            return
        flags = access | (os.O_TRUNC if truncate and access != os.O_RDONLY else 0)
        self.opened.append(Opened(*self.portal.run(self.program().open, path, flags), node, flags, CALLERS[0]))
        if flags & os.O_TRUNC:
            self.reference.resize(node, 0)

    def pick(self, data: st.DataObject, *accesses: int) -> Opened | None:
        fitting = [opened for opened in self.opened if opened.flags & os.O_ACCMODE in (*accesses, os.O_RDWR)]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), offset=offsets, content=contents)
    def write(self, data: st.DataObject, offset: int, content: bytes) -> None:
        opened = self.pick(data, os.O_WRONLY)
        if opened is not None:
            assert self.portal.run(self.house.volume.files.write, opened.handle, offset, content) == len(content)
            self.reference.write(opened.node, offset, content)
            if opened.caller.uid:
                self.reference.drop_set_id(opened.node)

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), offset=offsets, length=st.sampled_from([0, 1, 4096, 100_000]))
    def read(self, data: st.DataObject, offset: int, length: int) -> None:
        opened = self.pick(data, os.O_RDONLY)
        if opened is not None:
            got = self.portal.run(self.house.volume.files.read, opened.handle, offset, length)
            assert got == opened.node.data[offset : offset + length]

    @precondition(lambda self: self.opened)
    @rule(data=st.data(), size=sizes)
    def ftruncate(self, data: st.DataObject, size: int) -> None:
        opened = self.pick(data, os.O_WRONLY)
        if opened is not None:
            self.portal.run(self.program().ftruncate, opened.ino, opened.handle, size)
            self.reference.resize(opened.node, size)

    @rule(data=st.data(), size=sizes)
    def truncate(self, data: st.DataObject, size: int) -> None:
        path = self.some(data, Kind.FILE)
        node = self.reference.at(path)
        if node.kind is Kind.FILE:
            self.portal.run(self.program().setattr, path, AttributeRequest(size=size))
            if size != len(node.data):
                self.reference.resize(node, size)

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def fsync(self, data: st.DataObject) -> None:
        opened = self.pick(data, os.O_RDONLY, os.O_WRONLY)
        assert opened is not None
        self.portal.run(self.house.volume.files.fsync, opened.handle, False)

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        opened = self.pick(data, os.O_RDONLY, os.O_WRONLY)
        assert opened is not None
        self.opened.remove(opened)
        self.portal.run(self.house.volume.files.release, opened.handle)

    # Attributes

    @rule(data=st.data(), mode=modes)
    def chmod(self, data: st.DataObject, mode: int) -> None:
        path = self.some(data)
        node = self.reference.at(path)
        if node.kind is not Kind.SYMLINK:
            self.portal.run(self.program().setattr, path, AttributeRequest(mode=mode))
            node.mode = mode

    @rule(data=st.data(), uid=st.sampled_from([0, 1000]), gid=st.sampled_from([None, 100]))
    def chown(self, data: st.DataObject, uid: int, gid: int | None) -> None:
        path = self.some(data)
        node = self.reference.at(path)
        self.portal.run(self.program().setattr, path, AttributeRequest(uid=uid, gid=gid))
        node.uid, node.gid = uid, node.gid if gid is None else gid
        if node.kind is not Kind.CONTAINER:
            self.reference.drop_set_id(node)

    @rule(data=st.data(), atime_ns=moments, mtime_ns=moments)
    def utimens(self, data: st.DataObject, atime_ns: int, mtime_ns: int) -> None:
        path = self.some(data)
        self.portal.run(self.program().setattr, path, AttributeRequest(atime_ns=atime_ns, mtime_ns=mtime_ns))
        self.reference.at(path).mtime_ns = mtime_ns

    @rule(data=st.data(), name=xattr_names, value=st.binary(max_size=300))
    def setxattr(self, data: st.DataObject, name: bytes, value: bytes) -> None:
        path = self.some(data)
        node = self.reference.at(path)
        if node.kind in (Kind.FILE, Kind.CONTAINER):
            self.portal.run(self.program().setxattr, path, name, value)
            node.xattrs[name] = value

    @rule(data=st.data(), name=xattr_names)
    def removexattr(self, data: st.DataObject, name: bytes) -> None:
        path = self.some(data)
        node = self.reference.at(path)
        self.both(lambda: self.reference.removexattr(node, name), self.program().removexattr, path, name)

    # What happens to the daemon

    @rule()
    def crash(self) -> None:
        """kill -9 and a new daemon on the same state: open files are lost, nothing else."""
        target = self.new_state()
        before = self.house.ledger.fingerprint()
        self.house.copy_state(target)
        self.house = self.portal.run(House.open, target, self.engine)
        assert self.house.ledger.fingerprint() == before
        self.opened.clear()

    def close_all(self) -> None:
        while self.opened:
            self.portal.run(self.house.volume.files.release, self.opened.pop().handle)

    @rule()
    def remount(self) -> None:
        """A clean end and a new daemon on the same state."""
        self.close_all()
        directory = self.house.state.path
        self.portal.run(self.house.close)
        self.house = self.portal.run(House.open, directory, self.engine)

    @rule()
    def drain(self) -> None:
        self.portal.run(self.house.drain)
        self.compare_with_engine()

    @rule()
    def move_to_another_machine(self) -> None:
        """Everything in the engine, and a new daemon that knows nothing."""
        self.close_all()
        self.drain()
        self.portal.run(self.house.close)
        self.house = self.portal.run(House.open, self.new_state(), self.engine)

    @rule()
    def evict(self) -> None:
        for ino in self.house.ledger.buffer.evictable(1 << 60):
            self.house.ledger.commit(BodyEvicted(ino))

    @rule()
    def checkpoint(self) -> None:
        self.portal.run(self.house.ledger.checkpoint)

    # The comparison

    @rule(content=st.booleans())
    def look_around(self, content: bool) -> None:
        """stat every path, and read every file."""
        program = self.program()
        shown, nodes = self.portal.run(program.walk), self.reference.nodes()
        assert set(shown) == set(nodes)
        for path, node in nodes.items():
            got, expected = appearance(shown[path]), expected_appearance(node)
            assert got == expected, f"{path!r}: {got} instead of {expected}"
            if node.mtime_ns is not None:
                assert shown[path].mtime_ns == node.mtime_ns, path
            if content and node.kind is Kind.FILE:
                assert self.portal.run(program.content, path) == node.data, path
        by_node: dict[int, set[int]] = {}
        for path, node in nodes.items():
            by_node.setdefault(id(node), set()).add(shown[path].ino)
        assert all(len(inos) == 1 for inos in by_node.values()), "one file, several inodes"

    def compare_with_engine(self) -> None:
        """Nothing is owed, so the engine itself holds the whole tree."""
        nodes = {path: node for path, node in self.reference.nodes().items() if path}
        stored = self.stored()
        assert set(stored) == set(nodes)
        for path, node in nodes.items():
            content = bytes(node.data) if node.kind is Kind.FILE else b""
            expected = Stored(node.kind, node.mode, node.uid, node.gid, node.target, node.rdev, node.xattrs, content)
            assert stored[path] == expected, f"{path!r}: {stored[path]} instead of {expected}"

    def stored(self) -> dict[Path, Stored]:
        assert isinstance(self.engine, MemoryEngine)
        return memory_tree(self.engine)


class VolumeOverLocalMachine(VolumeMachine):
    """The same over a directory."""

    def make_engine(self) -> Engine:
        store = self.directory / "store"
        store.mkdir()
        return open_engine(f"file://{store}")

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "engine"):
                trio.run(self.engine.close)

    def stored(self) -> dict[Path, Stored]:
        return plain_tree(self.directory / "store")


class VolumeOverPlainKeysMachine(VolumeMachine):
    """The same over an engine that cannot rename."""

    def make_engine(self) -> Engine:
        abilities = Capabilities(names_checked=False, groups=True, inline_bytes_max=16 << 10, chunk_bytes=64 << 10)
        return MemoryEngine(capabilities=abilities, page_entries=3)


TestVolumeOverPlainKeys = VolumeOverPlainKeysMachine.TestCase
TestVolumeOverPlainKeys.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TestVolumeOverMemory = VolumeMachine.TestCase
TestVolumeOverMemory.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestVolumeOverLocal(VolumeOverLocalMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=8, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
