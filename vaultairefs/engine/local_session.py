"""Temporary entries of one running local engine, and what crashed engines left behind.

Each engine that writes owns one directory ``.vaultairefs/tmp/<16 hex>/`` and holds a lock on the file ``lock`` in it
for as long as it lives (flock(2): the kernel drops it with the process).  A directory whose lock can be had belongs to
nobody any more.  In it are a few directories that the filesystem spreads (``disk/spreading.py``): entries are made in
each of them in turn.

Promise: an entry made here is gone when its ``with`` block ends, unless it was published under its real name; what a
killed process left is removed at the next open, what a living one uses never is.
"""

import enum
import fcntl
import itertools
import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from vaultairefs.disk.os_errors import is_unsupported
from vaultairefs.disk.spreading import spread_subdirectories
from vaultairefs.engine.local_tree import TEMPORARY_DIRECTORY, LocalTree
from vaultairefs.model.values import Attributes, Kind, format_bits

_LOCK: Final = b"lock"
_SESSION: Final = re.compile(r"[0-9a-f]{16}")
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORIES: Final = 16
IDLE_SECONDS_MAX: Final = 86_400
"""Where no lock can tell, a directory that was not used for so long is taken for left behind; should its owner live
after all, it makes a new one."""


class Temporary:
    """An entry that nobody sees yet: ``name`` in ``directory``, pinned by ``fd`` (readable and writable for files)."""

    __slots__ = ("directory", "fd", "name")

    def __init__(self, directory: int, name: bytes, fd: int) -> None:
        self.directory = directory
        self.name = name
        self.fd = fd


class LocalSession:
    """Makes temporary entries; thread-safe."""

    def __init__(self, tree: LocalTree) -> None:
        self._tree = tree
        self._guard = threading.Lock()
        self._name = ""
        self._fds: list[int] = []
        self._lock_fd = -1
        self._turns = itertools.cycle(range(_DIRECTORIES))

    def close(self) -> None:
        """Remove our directory and let go of it."""
        with self._guard:
            if self._fds:
                with self._tree.private(TEMPORARY_DIRECTORY, create=False) as parent:
                    if parent is not None:
                        shutil.rmtree(self._name, ignore_errors=True, dir_fd=parent)
                self._let_go()

    @contextmanager
    def file(self) -> Iterator[Temporary]:
        """An empty file of mode 0600."""
        directory, name = self._place()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        yield from self._lend(directory, name, os.open(name, flags, 0o600, dir_fd=directory))

    @contextmanager
    def container(self) -> Iterator[Temporary]:
        """An empty directory of mode 0700."""
        directory, name = self._place()
        os.mkdir(name, 0o700, dir_fd=directory)
        yield from self._lend(directory, name, os.open(name, _OPEN, dir_fd=directory))

    @contextmanager
    def special(self, attributes: Attributes) -> Iterator[Temporary]:
        """A symlink, fifo, socket or device; ``PermissionError`` for devices without the privilege."""
        directory, name = self._place()
        if attributes.kind is Kind.SYMLINK:
            os.symlink(attributes.target, name, dir_fd=directory)
        else:
            os.mknod(name, format_bits(attributes.kind) | 0o600, attributes.rdev, dir_fd=directory)
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        yield from self._lend(directory, name, fd)

    @contextmanager
    def spare_name(self) -> Iterator[tuple[int, bytes]]:
        """A directory and a free name in it, for a link that is renamed into place."""
        directory, name = self._place()
        try:
            yield directory, name
        finally:
            _remove(directory, name)

    def _lend(self, directory: int, name: bytes, fd: int) -> Iterator[Temporary]:
        try:
            yield Temporary(directory, name, fd)
        finally:
            os.close(fd)
            _remove(directory, name)

    def _place(self) -> tuple[int, bytes]:
        with self._guard:
            turn = next(self._turns)
            if self._fds and os.fstat(self._fds[turn]).st_nlink == 0:
                # Somebody removed .vaultairefs under our feet; what we make must not be mistaken for a lost parent.
                self._let_go()
            while not self._fds:
                self._begin()
            return self._fds[turn], secrets.token_hex(8).encode()

    def _let_go(self) -> None:
        for fd in (*self._fds, self._lock_fd):
            os.close(fd)
        self._fds, self._lock_fd = [], -1

    def _begin(self) -> None:
        name = secrets.token_hex(8)
        with self._tree.private(TEMPORARY_DIRECTORY, create=True) as parent:
            assert parent is not None
            os.mkdir(name, 0o700, dir_fd=parent)
            fd = os.open(name, _OPEN, dir_fd=parent)
        lock_fd = -1
        try:
            lock_fd = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
            if _try_lock(lock_fd) is not _Lock.ANOTHERS and os.fstat(lock_fd).st_nlink:
                self._fds = _make_directories(fd)
                self._name, self._lock_fd, lock_fd = name, lock_fd, -1
        except FileNotFoundError:
            pass  # a cleaner took the directory before it had a lock: make another
        finally:
            if lock_fd >= 0:
                os.close(lock_fd)
            os.close(fd)


def _make_directories(session: int) -> list[int]:
    spread_subdirectories(session)
    found: list[int] = []
    try:
        for number in range(_DIRECTORIES):
            name = f"{number:x}"
            os.mkdir(name, 0o700, dir_fd=session)
            found.append(os.open(name, _OPEN, dir_fd=session))
    except BaseException:
        for fd in found:
            os.close(fd)
        raise
    return found


def clean_leftovers(tree: LocalTree) -> int:
    """Remove temporary directories of engines that are no more; returns how many."""
    removed = 0
    with tree.private(TEMPORARY_DIRECTORY, create=False) as parent:
        if parent is None:
            return 0
        for name in os.listdir(parent):
            if _SESSION.fullmatch(name) and _remove_if_abandoned(parent, name):
                removed += 1
    return removed


def _remove_if_abandoned(parent: int, name: str) -> bool:
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError):
        return False
    lock_fd = -1
    try:
        lock = _Lock.IMPOSSIBLE
        with suppress(FileNotFoundError):
            lock_fd = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            lock = _try_lock(lock_fd)
        idle_seconds = time.time() - _used_at(fd)
        abandoned = lock is _Lock.OURS or (lock is _Lock.IMPOSSIBLE and idle_seconds > IDLE_SECONDS_MAX)
        if abandoned:
            shutil.rmtree(name, ignore_errors=True, dir_fd=parent)
        return abandoned
    finally:
        os.close(fd)
        if lock_fd >= 0:
            os.close(lock_fd)


def _used_at(session: int) -> float:
    """When an entry was last made or removed in the directory or those in it (seconds since 1970)."""
    with os.scandir(session) as entries:
        inside = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
        times = [entry.stat(follow_symlinks=False).st_mtime for entry in inside]
    return max(os.fstat(session).st_mtime, *times, 0.0)


class _Lock(enum.Enum):
    OURS = 1
    ANOTHERS = 2
    IMPOSSIBLE = 3
    """This filesystem has no locks."""


def _try_lock(fd: int) -> _Lock:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Lock.ANOTHERS
    except OSError as error:
        if not is_unsupported(error):
            raise
        return _Lock.IMPOSSIBLE
    return _Lock.OURS


def _remove(directory: int, name: bytes) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
