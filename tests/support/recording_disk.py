"""A disk that remembers everything that was done to one directory, and can say what a power cut may leave of it.

The model is ext4 in its default mode, made harsher where that costs nothing:

* Names, explicit lengths (truncation, reserved space) and the making of files are *metadata*.  They reach the disk in
  the order in which they were done: a power cut loses a suffix of them, never one from the middle (jbd2 commits whole
  transactions in order).
* fsync or fdatasync of a file commits all metadata up to the last that concerns this file, and all of its bytes;
  fsync of a directory, and syncfs, commit all metadata so far.
* Bytes that were not synced since are lost or kept sector by sector, in any order and in any version that the sector
  had in the meantime: the kernel writes pages back when it likes, and a page may be torn between its sectors.  A
  sector is whole: of two writes into it, the later one is never there without the earlier one.
* Bytes that were written behind an explicit change of length are there only if that is: they need blocks that it frees
  or gives.  A file may be as long as it was although the bytes at its end were lost (they read as zeros), which ext4
  prevents and others do not.

Every thread of this process is watched; what other processes do is not.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from vaultairefs.disk import state_directory

SECTOR: Final = 512


class Node:
    """A file, or a directory, through all its names."""

    def __init__(self, *, is_directory: bool = False) -> None:
        self.is_directory = is_directory


class Op(NamedTuple):
    """One thing that was done.  ``node`` None is the whole filesystem."""

    kind: str
    node: Node | None
    path: str = ""
    other: str = ""
    at: int = 0
    data: bytes = b""


NAMES: Final = frozenset({"make", "remove", "rename"})
METADATA: Final = NAMES | {"cut", "reserve"}
SYNC: Final = "sync"


class RecordingDisk:
    """Watches ``root``, which exists, until ``stop``; what is in it is on the disk.

    ``ops`` in the order in which they took effect.
    """

    def __init__(self, patch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = os.fspath(root)
        self.ops: list[Op] = []
        self._nodes: dict[int, Node] = {}
        self._lock = threading.RLock()
        for path in sorted(root.rglob("*")):
            self._adopt(path)
        self.begun = len(self.ops)
        for name in ("open", "mkdir", "rename", "unlink", "pwrite", "ftruncate", "truncate", "fsync", "fdatasync"):
            patch.setattr(os, name, self._watching(getattr(os, name), getattr(self, f"_{name}")))
        patch.setattr(os, "posix_fallocate", self._watching(os.posix_fallocate, self._reserve))
        patch.setattr(os, "copy_file_range", self._refuse)
        patch.setattr(state_directory, "sync_filesystem", lambda fd: self._note(Op(SYNC, None)))

    def _adopt(self, path: Path) -> None:
        node = self._nodes[path.stat().st_ino] = Node(is_directory=path.is_dir())
        self.ops.append(Op("make", node, os.path.relpath(path, self.root)))
        if not node.is_directory:
            data, size = path.read_bytes().rstrip(b"\0"), path.stat().st_size
            self.ops += [Op("cut", node, at=size), Op("write", node, data=data), Op(SYNC, node)]
        self.ops.append(Op(SYNC, None))

    def stop(self) -> None:
        """Note nothing more."""
        self._nodes.clear()
        self.root = "/nowhere"

    def _watching(self, real: Callable[..., Any], note: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            with self._lock:
                return note(real, *args, **options)

        return watched

    def _note(self, op: Op) -> None:
        with self._lock:
            self.ops.append(op)

    def _inside(self, path: Any) -> str | None:
        """The path below the root, None for others."""
        if isinstance(path, int):
            return None
        name = os.fsdecode(path)
        return os.path.relpath(name, self.root) if name.startswith(self.root + "/") else None

    def _node_of(self, fd: int) -> Node | None:
        return self._nodes.get(os.fstat(fd).st_ino)

    @staticmethod
    def _refuse(*args: Any, **options: Any) -> int:
        raise OSError(errno.EXDEV, "this disk copies by read and write")

    # One for each call

    def _open(self, real: Any, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        inside = self._inside(path) if dir_fd is None else None
        is_new = inside is not None and flags & os.O_CREAT and not os.path.lexists(path)
        fd: int = real(path, flags, mode, dir_fd=dir_fd)
        if is_new:
            assert inside is not None
            node = self._nodes[os.fstat(fd).st_ino] = Node()
            self.ops.append(Op("make", node, inside))
        elif inside is not None and flags & os.O_TRUNC:
            self.ops.append(Op("cut", self._node_of(fd)))
        return fd

    def _mkdir(self, real: Any, path: Any, mode: int = 0o777, **options: Any) -> None:
        real(path, mode, **options)
        inside = self._inside(path)
        if inside is not None:
            node = self._nodes[os.stat(path).st_ino] = Node(is_directory=True)
            self.ops.append(Op("make", node, inside))

    def _rename(self, real: Any, source: Any, target: Any, **options: Any) -> None:
        real(source, target, **options)
        old, new = self._inside(source), self._inside(target)
        if old is not None and new is not None:
            self.ops.append(Op("rename", self._nodes[os.stat(target).st_ino], old, new))

    def _unlink(self, real: Any, path: Any, **options: Any) -> None:
        real(path, **options)
        inside = self._inside(path)
        if inside is not None:
            self.ops.append(Op("remove", None, inside))

    def _pwrite(self, real: Any, fd: int, data: Any, offset: int) -> int:
        written: int = real(fd, data, offset)
        node = self._node_of(fd)
        if node is not None:
            self.ops.append(Op("write", node, at=offset, data=bytes(memoryview(data)[:written])))
        return written

    def _ftruncate(self, real: Any, fd: int, size: int) -> None:
        real(fd, size)
        node = self._node_of(fd)
        if node is not None:
            self.ops.append(Op("cut", node, at=size))

    def _truncate(self, real: Any, file: Any, size: int) -> None:
        real(file, size)
        node = self._nodes.get(os.stat(file).st_ino)
        if node is not None:
            self.ops.append(Op("cut", node, at=size))

    def _reserve(self, real: Any, fd: int, offset: int, size: int) -> None:
        os.ftruncate(fd, max(os.fstat(fd).st_size, offset + size))
        self.ops[-1] = self.ops[-1]._replace(kind="reserve")

    def _fsync(self, real: Any, fd: int) -> None:
        real(fd)
        node = self._node_of(fd)
        is_root = os.path.isdir(self.root) and os.path.samestat(os.fstat(fd), os.stat(self.root))
        if node is not None or is_root:
            self.ops.append(Op(SYNC, None if node is None or node.is_directory else node))

    def _fdatasync(self, real: Any, fd: int) -> None:
        self._fsync(real, fd)


class Sparse:
    """A file's bytes; sectors that are not there are zeros."""

    def __init__(self) -> None:
        self.size = 0
        self.sectors: dict[int, bytearray] = {}

    def write(self, number: int, start: int, part: bytes) -> None:
        """``part`` at ``start`` of sector ``number``."""
        self.sectors.setdefault(number, bytearray(SECTOR))[start : start + len(part)] = part
        self.size = max(self.size, number * SECTOR + start + len(part))

    def cut(self, size: int) -> None:
        self.sectors = {number: sector for number, sector in self.sectors.items() if number * SECTOR < size}
        if size % SECTOR and size // SECTOR in self.sectors:
            self.sectors[size // SECTOR][size % SECTOR :] = bytes(SECTOR - size % SECTOR)
        self.size = size

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            for number, sector in sorted(self.sectors.items()):
                file.seek(number * SECTOR)
                file.write(sector)
            file.truncate(self.size)


def parts_of(op: Op) -> Iterator[tuple[int, int, bytes]]:
    """The sectors that a write touches: number, start in it, bytes."""
    at, left = op.at, memoryview(op.data)
    while left:
        number, start = divmod(at, SECTOR)
        part = left[: SECTOR - start]
        yield number, start, bytes(part)
        at, left = at + len(part), left[len(part) :]


class Moment:
    """What may be on the disk when the power fails right behind the first ``point`` ops.

    ``radices`` says how many values each dimension of a state has: the first is how much of the metadata is there, the
    others say for each sector how many of its writes are, and for each file whether its length outran its bytes.
    """

    def __init__(self, ops: list[Op], point: int) -> None:
        self._ops = ops[:point]
        self._synced: dict[Node, int] = {}
        metadata, last_of = [-1], {}
        committed = -1
        for index, op in enumerate(self._ops):
            if op.kind in METADATA:
                metadata.append(index)
                if op.node is not None:
                    last_of[op.node] = index
            elif op.kind == SYNC:
                committed = max(committed, metadata[-1] if op.node is None else last_of.get(op.node, -1))
                if op.node is not None:
                    self._synced[op.node] = index
        self.metadata = [index for index in metadata if index >= committed]
        self.loose: dict[tuple[Node, int], int] = {}
        for index, op in enumerate(self._ops):
            if op.kind == "write" and op.node is not None and index > self._synced.get(op.node, -1):
                for number, _, _ in parts_of(op):
                    self.loose[op.node, number] = self.loose.get((op.node, number), 0) + 1
        self.growing = list(dict.fromkeys(node for node, _ in self.loose))
        self.radices = [len(self.metadata), *(count + 1 for count in self.loose.values()), *(2 for _ in self.growing)]

    def write_down(self, state: tuple[int, ...], target: Path) -> None:
        """Make ``target`` the directory that is left."""
        last = self.metadata[state[0]]
        names: dict[str, Node] = {}
        for op in self._ops[: last + 1]:
            if op.kind == "make":
                assert op.node is not None
                names[op.path] = op.node
            elif op.kind == "remove":
                names.pop(op.path, None)
            elif op.kind == "rename":
                names[op.other] = names.pop(op.path)
        sectors = len(self.loose)
        kept = dict(zip(self.loose, state[1 : 1 + sectors], strict=True))
        outrun = {node for node, value in zip(self.growing, state[1 + sectors :], strict=True) if value}
        target.mkdir()
        for path, node in sorted(names.items()):
            if node.is_directory:
                (target / path).mkdir()
            else:
                self._content(node, last, kept, node in outrun).save(target / path)

    def _content(self, node: Node, last: int, kept: dict[tuple[Node, int], int], outrun: bool) -> Sparse:
        image, synced, seen, length = Sparse(), self._synced.get(node, -1), dict[int, int](), 0
        for index, op in enumerate(self._ops):
            if op.node is not node:
                continue
            if op.kind in ("cut", "reserve"):
                if index > max(last, synced):
                    break
                length = op.at
                image.cut(op.at)
            elif op.kind == "write":
                length = max(length, op.at + len(op.data))
                for number, start, part in parts_of(op):
                    if index > synced:
                        seen[number] = seen.get(number, 0) + 1
                    if index <= synced or seen[number] <= kept[node, number]:
                        image.write(number, start, part)
        if outrun and length > image.size:
            image.size = length
        return image
