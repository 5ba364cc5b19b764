"""Files that programs write without the daemon are files like all others, whatever becomes of the daemon meanwhile.

Hypothesis opens, writes, truncates, renames and unlinks; programs whose files are passed read and write the body
itself, as the kernel does for them, also behind the death of the daemon.  What every program sees, and what the engine
has when all is flushed, must be what a dictionary of bytes says.
"""

import os
import shutil
import tempfile
from pathlib import Path as Directory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.model.engines import memory_tree
from tests.model.programs import Program
from tests.model.test_volume_machine import CALLERS
from tests.support.kernels import Kernel
from tests.support.rooms import House, Portal
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import NotFound
from vaultairefs.model.values import Ino
from vaultairefs.volume import RenameMode

names = st.sampled_from([b"a", b"b", b"c"])
offsets = st.sampled_from([0, 1, 4096, 70_000])
contents = st.binary(min_size=1, max_size=64) | st.just(b"x" * 5000)
picks = st.integers(0, 7)


class Opened:
    """A program's open file.  ``passed``: its own descriptor of the body, None where the daemon reads and writes;
    ``handle`` is None when the daemon that gave it is dead."""

    def __init__(self, ino: Ino, handle: int, data: bytearray, passed: int | None) -> None:
        self.ino = ino
        self.handle: int | None = handle
        self.data = data
        self.passed = passed


class PassedMachine(RuleBasedStateMachine):
    """See the module's text.  ``files`` are the bytes by name; an open file knows its own when the name is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.portal = Portal()
        self.directory = Directory(tempfile.mkdtemp(prefix="vaultairefs-passed-"))
        abilities = Capabilities(
            moves=True, links=True, copies_chunks=True, inline_bytes_max=16 << 10, chunk_bytes=64 << 10
        )
        self.engine = MemoryEngine(capabilities=abilities)
        self.files: dict[bytes, bytearray] = {}
        self.opened: list[Opened] = []
        self.start()

    def start(self) -> None:
        self.house = self.portal.run(House.open, self.directory / "state", self.engine)
        self.kernel = Kernel()
        self.house.volume.passing.start(self.kernel)

    def teardown(self) -> None:
        try:
            self.see()
            while self.opened:
                self.close(0)
            self.drain()
            self.portal.run(self.house.close)
        finally:
            self.portal.close()
            shutil.rmtree(self.directory)

    @property
    def program(self) -> Program:
        return Program(self.house.volume, CALLERS[0])

    @precondition(lambda self: len(self.opened) < 6)
    @rule(name=names, flags=st.sampled_from([os.O_RDONLY, os.O_RDWR, os.O_RDWR, os.O_RDWR | os.O_SYNC]))
    def open(self, name: bytes, flags: int) -> None:
        if name in self.files:
            ino, handle = self.portal.run(self.program.open, (name,), flags)
        else:
            flags = os.O_RDWR
            ino, handle = self.portal.run(self.program.create, (name,), 0o644, flags)
            self.files[name] = bytearray()
        way = self.house.volume.files.way_of(handle)
        is_passed = way is not None and way.backing and not way.direct
        passed = self.kernel.open(way, flags) if is_passed else None
        opened = Opened(ino, handle, self.files[name], passed)
        if flags & os.O_ACCMODE == os.O_RDONLY:
            self.read(opened)
            self.opened.append(opened)
            self.close(len(self.opened) - 1)
        else:
            self.opened.append(opened)

    @precondition(lambda self: self.opened)
    @rule(pick=picks, offset=offsets, content=contents, is_flushed=st.booleans())
    def write(self, pick: int, offset: int, content: bytes, is_flushed: bool) -> None:
        """``is_flushed``: over bytes that the engine has already."""
        if is_flushed:
            self.drain()
        opened = self.opened[pick % len(self.opened)]
        if opened.passed is not None:
            os.pwrite(opened.passed, content, offset)
        elif opened.handle is not None:
            self.portal.run(self.house.volume.files.write, opened.handle, offset, content)
        else:
            return
        opened.data.extend(bytes(max(offset + len(content) - len(opened.data), 0)))
        opened.data[offset : offset + len(content)] = content

    @precondition(lambda self: self.opened)
    @rule(pick=picks, size=st.sampled_from([0, 3, 5000]))
    def truncate(self, pick: int, size: int) -> None:
        opened = self.opened[pick % len(self.opened)]
        if opened.handle is not None:
            self.portal.run(self.program.ftruncate, opened.ino, opened.handle, size)
            opened.data.extend(bytes(max(size - len(opened.data), 0)))
            del opened.data[size:]

    @precondition(lambda self: self.opened)
    @rule(pick=picks)
    def fsync(self, pick: int) -> None:
        opened = self.opened[pick % len(self.opened)]
        if opened.handle is not None:
            self.portal.run(self.house.volume.files.fsync, opened.handle, False)

    @precondition(lambda self: self.opened)
    @rule(pick=picks)
    def close(self, pick: int) -> None:
        opened = self.opened.pop(pick % len(self.opened))
        if opened.passed is not None:
            os.close(opened.passed)
        if opened.handle is not None:
            self.portal.run(self.house.volume.files.release, opened.handle)

    @rule(name=names)
    def unlink(self, name: bytes) -> None:
        if self.files.pop(name, None) is not None:
            self.portal.run(self.program.unlink, (name,))

    @rule(name=names, other=names)
    def rename(self, name: bytes, other: bytes) -> None:
        if name in self.files and name != other:
            self.portal.run(self.program.rename, (name,), (other,), RenameMode.REPLACE)
            self.files[other] = self.files.pop(name)

    @rule()
    def look(self) -> None:
        self.house.volume.passing.look_at_all()

    @rule()
    def evict(self) -> None:
        for ino in self.house.ledger.buffer.evictable(1 << 60):
            self.house.ledger.commit(BodyEvicted(ino))

    @rule()
    def drain(self) -> None:
        """Everything goes into the engine, also what is open."""
        self.house.volume.passing.look_at_all()
        self.portal.run(self.house.drain)
        assert {path[0]: found.content for path, found in memory_tree(self.engine).items()} == self.files

    @rule()
    def crash(self) -> None:
        """kill -9 and a new daemon on the same state; programs keep the files that the kernel gave them."""
        buffer = self.house.ledger.buffer
        for body in list(buffer.passed.bodies.values()):
            buffer.passed.end(body)
        buffer.files.close()
        self.house.state.close(clean=False)
        for opened in self.opened:
            opened.handle = None
        self.opened = [opened for opened in self.opened if opened.passed is not None]
        self.start()

    def read(self, opened: Opened) -> None:
        if opened.passed is not None:
            assert os.pread(opened.passed, 1 << 20, 0) == opened.data
        elif opened.handle is not None:
            assert self.portal.run(self.house.volume.files.read, opened.handle, 0, 1 << 20) == opened.data

    @rule()
    def see(self) -> None:
        """Every open file, every name, and every size."""
        for opened in self.opened:
            self.read(opened)
        self.house.volume.passing.look_at_all()
        for name in (b"a", b"b", b"c"):
            try:
                content = self.portal.run(self.program.content, (name,))
            except NotFound:
                content = None
            assert content == self.files.get(name)


TestPassedFiles = PassedMachine.TestCase
TestPassedFiles.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
