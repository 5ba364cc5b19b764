"""Body files on the disk: names, descriptors, sizes.

Promise: a descriptor is closed only when nobody has it pinned; a file is made with nothing in it.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Final

from vaultairefs.buffer.bodies import Dead
from vaultairefs.buffer.body import Body, BodyFile
from vaultairefs.disk.durable import sync_data, sync_directory, unlink
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.values import Ino, Sequence

_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


class BodyFiles:
    """The files of one buffer.  ``opened`` are the bodies whose ``file`` is open, at most about ``limit``."""

    def __init__(self, directory: Path, limit: int) -> None:
        self.directory = directory
        self._limit = limit
        self._opened: set[Body] = set()
        self._made: set[int] = set()

    def path(self, ino: Ino, body_id: Sequence) -> str:
        """``<body_id mod 256 as 2 hex>/<ino hex>-<body_id hex>`` in the directory: old neighbours stay apart."""
        return f"{self.directory}/{body_id & 255:02x}/{ino:x}-{body_id:x}"

    def open(self, body: Body, *, make: bool) -> BodyFile | None:
        """The body's file, open for reading and writing; None where there is none and ``make`` is False."""
        if body.file is not None:
            return body.file
        path = self.path(body.ino, body.body_id)
        with translated("open"):
            if make:
                self.make_parent(body.body_id)
                fd = os.open(path, _FLAGS | os.O_CREAT, 0o600)
            else:
                try:
                    fd = os.open(path, _FLAGS)
                except FileNotFoundError:
                    return None
        body.file = BodyFile(fd)
        if len(self._opened) >= self._limit:
            self._close_oldest()
        self._opened.add(body)
        return body.file

    def make_parent(self, body_id: Sequence) -> None:
        """Make the directory in which the file of this body lies, unless it is there."""
        number = body_id & 255
        if number not in self._made:
            (self.directory / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            self._made.add(number)

    def _close_oldest(self) -> None:
        """Close an eighth of the descriptors, those unused for longest and not pinned."""
        idle = (body for body in self._opened if body.file is None or not body.file.pins)
        for body in sorted(idle, key=attrgetter("last_used"))[: max(1, self._limit // 8)]:
            self._opened.discard(body)
            if body.file is not None:
                os.close(body.file.fd)
                body.file = None

    def close_idle(self, body: Body) -> bool:
        """Close the body's file; False where somebody has it pinned, and it stays open."""
        if body.file is None:
            return True
        if body.file.pins:
            return False
        self._opened.discard(body)
        os.close(body.file.fd)
        body.file = None
        return True

    def retire(self, body: Body, file: BodyFile) -> None:
        """The file belongs to no body any more: close it as soon as nobody has it pinned."""
        self._opened.discard(body)
        file.retired = True
        if not file.pins:
            os.close(file.fd)

    def unpin(self, file: BodyFile) -> None:
        """Undo one pin."""
        file.pins -= 1
        if file.retired and not file.pins:
            os.close(file.fd)

    def sync(self, ino: Ino, body_id: Sequence, *, name: bool) -> bool:
        """fdatasync a file (blocking; any thread), and with ``name`` its directory; False where there is none.

        On a descriptor of its own, so that no other thread closes it meanwhile; the kernel tells an earlier failure
        of write-back that nobody was told of to it as well (fsync(2)).
        """
        path = self.path(ino, body_id)
        with translated("fdatasync"):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return False
            try:
                sync_data(fd)
            finally:
                os.close(fd)
            if name:
                parent = os.path.dirname(path)
                sync_directory(parent)
                sync_directory(self.directory)
        return True

    def scan(self) -> Iterator[tuple[Ino, Sequence, int, int]]:
        """Inode, body id, allocated bytes and length of every file there is (blocking)."""
        with translated("scandir"):
            for parent in sorted(os.scandir(self.directory), key=lambda entry: entry.name):
                for entry in os.scandir(parent.path) if parent.is_dir(follow_symlinks=False) else ():
                    ino, _, body_id = entry.name.partition("-")
                    with contextlib.suppress(ValueError, FileNotFoundError):
                        status = entry.stat()
                        yield Ino(int(ino, 16)), Sequence(int(body_id, 16)), status.st_blocks * 512, status.st_size

    def unlink(self, dead: Iterable[Dead]) -> None:
        """Remove files for good (blocking; any thread)."""
        for corpse in dead:
            unlink(self.path(corpse.ino, corpse.body_id), missing_ok=True)

    def close(self) -> None:
        """Close every descriptor that nobody has pinned."""
        for body in self._opened:
            if body.file is not None and not body.file.pins:
                os.close(body.file.fd)
                body.file = None
        self._opened.clear()
