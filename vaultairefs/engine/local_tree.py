"""The local engine's tree by descriptors: how a path becomes an open directory, and an entry a pinned inode.

Promise: every step is an openat(2) with O_NOFOLLOW from the namespace's root, so no symlink is followed, nothing
outside the root is reached, and a path may be longer than PATH_MAX.  A *pin* is an O_PATH descriptor: what is done
through it is done to that inode, whatever happens to its name meanwhile.
It changes nothing but the private container ``.vaultairefs``; callers translate ``OSError``.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vaultairefs.engine.local_system import birth_time_ns, file_handle, filesystem_type
from vaultairefs.engine.paths import ROOT_PATH, STAGING_CONTAINER, parse_container
from vaultairefs.model.names import RESERVED, check_name, escape_root_name
from vaultairefs.model.values import EntryPath, Version

_WALK: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PIN: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

STAGING_DIRECTORY: Final = b"staging"
TEMPORARY_DIRECTORY: Final = b"tmp"
UPLOADS_DIRECTORY: Final = b"uploads"
ATTRIBUTES_DIRECTORY: Final = b"attributes"

_STABLE_HANDLES: Final = frozenset({0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0xF2F52010})
"""ext4, XFS, Btrfs, tmpfs, F2FS: their handles outlive a remount; FUSE's and NFS's need not."""


def through(fd: int) -> str:
    """A path that leads to exactly this descriptor's inode, for calls that take no O_PATH descriptor (proc(5))."""
    return f"/proc/self/fd/{fd}"


class Pin:
    """An inode held by descriptor, with its status when it was looked at.

    Invariant: ``identity`` never names two inodes, one after the other included.
    """

    __slots__ = ("fd", "identity", "status")

    def __init__(self, fd: int, status: os.stat_result, identity: str) -> None:
        self.fd = fd
        self.status = status
        self.identity = identity

    @property
    def is_container(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def version(self) -> Version:
        """A container's identity, or an artifact's identity with mtime and size: chmod and link leave it alone."""
        if self.is_container:
            return Version(f"c{self.identity}")
        return Version(f"{self.identity}-{self.status.st_mtime_ns}-{self.status.st_size}")

    def refresh(self) -> None:
        """Look at the inode again."""
        self.status = os.fstat(self.fd)


class LocalTree:
    """One namespace below ``root_fd``, which it owns."""

    def __init__(self, root_fd: int) -> None:
        self.root_fd = root_fd
        self.root_owner = os.fstat(root_fd).st_uid
        self._handles = filesystem_type(root_fd) in _STABLE_HANDLES and file_handle(root_fd) != ""

    def close(self) -> None:
        if self.root_fd >= 0:
            os.close(self.root_fd)
            self.root_fd = -1

    @contextmanager
    def container(self, path: bytes) -> Iterator[int]:
        """A readable descriptor of the container; ``FileNotFoundError``/``NotADirectoryError`` if there is none."""
        if path == STAGING_CONTAINER:
            fd = self._open_private(STAGING_DIRECTORY)
        else:
            fd = self._walk(self._components(path), _OPEN)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def entry(self, path: EntryPath) -> Iterator[Pin]:
        """The inode at ``path``, the root container included, pinned."""
        if path == ROOT_PATH:
            fd = os.open(b".", _WALK, dir_fd=self.root_fd)
        else:
            name = self.stored_name(path)
            parent = self._walk(self._components(path.container), _WALK)
            try:
                fd = os.open(name, _PIN, dir_fd=parent)
            finally:
                os.close(parent)
        try:
            yield self._look(fd)
        finally:
            os.close(fd)

    @contextmanager
    def pinned(self, directory: int, name: bytes) -> Iterator[Pin | None]:
        """The inode that ``name`` in ``directory`` leads to now, pinned; None when there is none."""
        pin = self.pin(directory, name)
        try:
            yield pin
        finally:
            if pin is not None:
                os.close(pin.fd)

    def pin(self, directory: int, name: bytes) -> Pin | None:
        """Like ``pinned``; the caller closes the pin's descriptor.  For those who look at many."""
        try:
            fd = os.open(name, _PIN, dir_fd=directory)
        except FileNotFoundError:
            return None
        try:
            return self._look(fd)
        except BaseException:
            os.close(fd)
            raise

    def observe(self, fd: int) -> Pin:
        """What an open descriptor leads to; the descriptor stays the caller's."""
        return self._look(fd)

    def version_at(self, directory: int, name: bytes) -> Version | None:
        """The version of the entry, None when there is none."""
        with self.pinned(directory, name) as pin:
            return None if pin is None else pin.version

    def stored_name(self, path: EntryPath) -> bytes:
        """The entry's name on disk; ``InvalidRequest``/``NameTooLong`` for what cannot be a name."""
        check_name(path.name)
        if path.container:
            return path.name
        stored = escape_root_name(path.name)
        check_name(stored)
        return stored

    @contextmanager
    def private(self, name: bytes, *, create: bool) -> Iterator[int | None]:
        """A directory inside ``.vaultairefs``; None when it is not there and ``create`` is False."""
        try:
            fd = self._walk((RESERVED, name), _OPEN)
        except FileNotFoundError:
            if not create:
                yield None
                return
            fd = self._open_private(name)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open_private(self, name: bytes) -> int:
        outer = self._open_or_make(self.root_fd, RESERVED)
        try:
            return self._open_or_make(outer, name)
        finally:
            os.close(outer)

    @staticmethod
    def _open_or_make(parent: int, name: bytes) -> int:
        try:
            return os.open(name, _OPEN, dir_fd=parent)
        except FileNotFoundError:
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                pass  # another engine on the same directory was faster
            return os.open(name, _OPEN, dir_fd=parent)

    def _look(self, fd: int) -> Pin:
        status = os.fstat(fd)
        identity = file_handle(fd) if self._handles else ""
        return Pin(fd, status, identity or f"{status.st_ino:x}.{birth_time_ns(fd):x}")

    def _components(self, container: bytes) -> tuple[bytes, ...]:
        parsed = parse_container(container)
        if parsed.staged:
            return (RESERVED, STAGING_DIRECTORY, *parsed.components)
        if not parsed.components:
            return ()
        first, *rest = parsed.components
        return (escape_root_name(first), *rest)

    def _walk(self, components: tuple[bytes, ...], flags: int) -> int:
        if not components:
            return os.open(b".", flags, dir_fd=self.root_fd)
        at = self.root_fd
        last = len(components) - 1
        for index, component in enumerate(components):
            try:
                below = os.open(component, flags if index == last else _WALK, dir_fd=at)
            finally:
                if at != self.root_fd:
                    os.close(at)
            at = below
        return at
