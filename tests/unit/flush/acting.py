"""Random programs: an operation is a small tuple of numbers, made to fit whatever tree there is."""

import contextlib
from typing import Any

from hypothesis import strategies as st

from tests.unit.flush.world import World
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import ROOT, EntryKey, Ino, Kind

NAMES = [b"a", b"b", b"c", b"d"]

ACTS = [
    "create", "create", "write", "write", "write_open", "truncate", "mkdir", "mkdir", "symlink", "mkfifo", "link",
    "remove", "remove", "rename", "rename", "rename", "exchange", "chmod", "touch", "xattr", "hold", "let_go", "evict",
]  # fmt: skip

acts = st.tuples(st.sampled_from(ACTS), st.integers(0, 30), st.integers(0, 30), st.integers(0, 3), st.integers(0, 150))
"""What to do, to which entry, with which other one, under which name, and how large."""


class Programs:
    """Acts on a world; an act that does not fit the tree does nothing."""

    def __init__(self, world: World) -> None:
        self.world = world

    def act(self, act: tuple[str, int, int, int, int]) -> None:
        kind, first, second, name, size = act
        with contextlib.suppress(IndexError, VaultaireError):
            getattr(self, "_" + kind)(first, second, NAMES[name], size)

    def _container(self, number: int) -> Ino:
        containers = self.world.inodes(Kind.CONTAINER)
        return containers[number % len(containers)].ino

    def _file(self, number: int) -> Ino:
        files = self.world.inodes(Kind.FILE)
        return files[number % len(files)].ino if files else _nothing()

    def _key(self, number: int) -> EntryKey:
        names = self.world.names()
        return names[number % len(names)] if names else _nothing()

    def _bytes(self, size: int) -> bytes:
        return bytes((size + step) % 251 for step in range(size))

    def _create(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.create(self._container(first), name, self._bytes(size))

    def _mkdir(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.mkdir(self._container(first), name)

    def _symlink(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.symlink(self._container(first), name, b"t%d" % size)

    def _mkfifo(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.mkfifo(self._container(first), name)

    def _write(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.write(self._file(first), second, self._bytes(size + 1))

    def _write_open(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.write(self._file(first), second, self._bytes(size + 1), leave_open=True)

    def _truncate(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.truncate(self._file(first), size)

    def _link(self, first: int, second: int, name: bytes, size: int) -> None:
        inode = self.world.ledger.namespace.child(*self._key(first))
        assert inode is not None
        self.world.link(inode.ino, self._container(second), name)

    def _remove(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.remove(*self._key(first))

    def _rename(self, first: int, second: int, name: bytes, size: int) -> None:
        self._moved(first, EntryKey(self._container(second), name), exchange=False)

    def _exchange(self, first: int, second: int, name: bytes, size: int) -> None:
        self._moved(first, self._key(second), exchange=True)

    def _moved(self, first: int, target: EntryKey, *, exchange: bool) -> None:
        namespace = self.world.ledger.namespace
        key = self._key(first)
        moved, there = namespace.child(*key), namespace.child(*target)
        if moved is None or moved is there or (exchange and there is None):
            return
        if moved.is_container and namespace.is_ancestor(moved.ino, target.container):
            return
        if there is not None and there.is_container and namespace.is_ancestor(there.ino, key.container):
            return
        self.world.rename(*key, *target, exchange=exchange)

    def _chmod(self, first: int, second: int, name: bytes, size: int) -> None:
        inodes = self.world.inodes(Kind.FILE, Kind.CONTAINER, Kind.FIFO)
        self.world.chmod(inodes[first % len(inodes)].ino, 0o400 + second)

    def _touch(self, first: int, second: int, name: bytes, size: int) -> None:
        inodes = self.world.inodes(Kind.FILE, Kind.CONTAINER)
        inode = inodes[first % len(inodes)]
        self.world.chmod(inode.ino, inode.mode, mtime_ns=10**17 + second)

    def _xattr(self, first: int, second: int, name: bytes, size: int) -> None:
        inodes = self.world.inodes(Kind.FILE, Kind.CONTAINER)
        self.world.set_xattr(inodes[first % len(inodes)].ino, b"user." + name, b"v%d" % size if second % 3 else None)

    def _hold(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.hold(self._file(first))

    def _let_go(self, first: int, second: int, name: bytes, size: int) -> None:
        if held := sorted(self.world.held):
            self.world.let_go(held[first % len(held)])

    def _evict(self, first: int, second: int, name: bytes, size: int) -> None:
        self.world.evict_everything()


def _nothing() -> Any:
    raise IndexError("no such entry yet")


__all__ = ["ROOT", "Programs", "acts"]
