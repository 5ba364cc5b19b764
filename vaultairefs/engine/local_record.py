"""What a plain file cannot say by itself: the record the local engine keeps beside an inode.

A record holds the token of the ``put`` that made the bytes, and every attribute that the filesystem or our
privileges could not hold.  It lies in the extended attribute ``trusted.vaultaire``, else ``user.vaultaire``, else in a
file named after the inode under ``.vaultairefs/attributes/``, so it follows the inode through renames and links.
The format is ``docs/formats/local-engine.md``.

Promise: a foreign change wins.  A value is kept together with the native value of that moment and counts only while
the file still has that one.  An owner of a file cannot forge one: ``user.vaultaire`` counts only on files that belong
to us or to the owner of the namespace.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from vaultairefs.disk.durable import replace_file
from vaultairefs.disk.os_errors import translate
from vaultairefs.engine.local_tree import ATTRIBUTES_DIRECTORY, LocalTree, Pin, through
from vaultairefs.model.errors import (
    AccessDenied,
    AttributeMissing,
    AttributeTooLarge,
    InvalidRequest,
    NotPermitted,
    NotSupported,
    OutOfSpace,
    QuotaExceeded,
)

TRUSTED_NAME: Final = b"trusted.vaultaire"
USER_NAME: Final = b"user.vaultaire"
OWN_NAMES: Final = frozenset({TRUSTED_NAME, USER_NAME})

REFUSALS: Final = (
    AccessDenied,
    AttributeMissing,
    AttributeTooLarge,
    InvalidRequest,
    NotPermitted,
    NotSupported,
    OutOfSpace,
    QuotaExceeded,
)
"""How filesystems say that an inode cannot hold something.  ENOSPC is how ext4 says that its attributes are full; a
disk that is really full refuses the sidecar too."""


class Record(msgspec.Struct, omit_defaults=True):
    """Fields are stored by name, so that later versions may add some.

    ``stamp`` is the state of the bytes that ``token`` and ``upload`` speak of.  ``kind`` is set where a plain empty
    file stands for a node; the pairs are (native value then, meant value).
    """

    token: str = ""
    upload: str = ""
    stamp: str = ""
    kind: int = 0
    rdev: int = 0
    mode: tuple[int, int] | None = None
    uid: tuple[int, int] | None = None
    gid: tuple[int, int] | None = None
    atime_ns: tuple[int, int] | None = None
    mtime_ns: tuple[int, int] | None = None
    xattrs: dict[bytes, bytes] = {}

    def speaks_of(self, status: os.stat_result) -> bool:
        """Whether the bytes are still those of the ``put`` that gave the token."""
        return self.stamp == stamp_of(status)


EMPTY: Final = Record()


def stamp_of(status: os.stat_result) -> str:
    """Changes whenever somebody writes the file in place."""
    return f"{status.st_mtime_ns}-{status.st_size}"


def meant(pair: tuple[int, int] | None, native: int) -> int:
    """The recorded value where it still counts, else the native one."""
    return pair[1] if pair is not None and pair[0] == native else native


def refused(error: OSError) -> bool:
    """Whether the inode cannot hold or show it, or does not have it."""
    return isinstance(translate(error, operation="setattr"), REFUSALS)


class Sidecars:
    """The directory of the sidecars, open for reading many; ``directory`` is None where there was none."""

    __slots__ = ("_directory", "_tree")

    def __init__(self, tree: LocalTree, directory: int | None) -> None:
        self._tree = tree
        self._directory = directory

    def read(self, identity: str) -> bytes:
        """What the inode's sidecar holds, empty without one."""
        if self._directory is None:
            return b""
        try:
            fd = os.open(identity, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)
        except FileNotFoundError:
            return b""
        with os.fdopen(fd, "rb") as sidecar:
            return sidecar.read()

    def were_seen(self) -> bool:
        """Whether what was read counts: False when the directory was made meanwhile, so that some were missed."""
        if self._directory is not None:
            return True
        with self._tree.private(ATTRIBUTES_DIRECTORY, create=False) as directory:
            return directory is None


class Records:
    """Reads and writes records.  Where several places hold one, the first of the order above counts."""

    def __init__(self, tree: LocalTree) -> None:
        self._tree = tree
        self._credible = frozenset({os.geteuid(), tree.root_owner})

    @contextmanager
    def sidecars(self) -> Iterator[Sidecars]:
        """The sidecars, for ``read`` of many inodes by one walk to their directory."""
        with self._tree.private(ATTRIBUTES_DIRECTORY, create=False) as directory:
            yield Sidecars(self._tree, directory)

    def read(self, pin: Pin, names: frozenset[bytes], sidecars: Sidecars | None = None) -> Record:
        """The inode's record; ``names`` are its extended attributes.  An unreadable one counts as none."""
        for name in (TRUSTED_NAME, USER_NAME):
            if name in names and self._believable(pin, name):
                data = read_xattr(pin.fd, name)
                break
        else:
            data = self._read_sidecar(pin.identity) if sidecars is None else sidecars.read(pin.identity)
        if not data:
            return EMPTY
        try:
            return msgspec.msgpack.decode(data, type=Record)
        except msgspec.DecodeError:
            return EMPTY  # somebody else's attribute of that name: the native values are all there is

    def write(self, pin: Pin, names: frozenset[bytes], record: Record) -> None:
        """Keep ``record`` for the inode and drop what other places hold.  ``pin.status`` is up to date."""
        data = msgspec.msgpack.encode(record) if record != EMPTY else b""
        place = None
        for name in (TRUSTED_NAME, USER_NAME):
            if place is None and data and self._believable(pin, name) and _set(pin.fd, name, data):
                place = name
            elif name in names:
                _drop(pin.fd, name)
        if place is None and data:
            self._write_sidecar(pin.identity, data)
        else:
            self.forget(pin.identity)

    def forget(self, identity: str) -> None:
        """Remove the inode's sidecar if it has one."""
        with self._tree.private(ATTRIBUTES_DIRECTORY, create=False) as directory:
            if directory is not None:
                try:
                    os.unlink(identity, dir_fd=directory)
                except FileNotFoundError:
                    pass  # most inodes have none

    def _believable(self, pin: Pin, name: bytes) -> bool:
        return name == TRUSTED_NAME or pin.status.st_uid in self._credible

    def _read_sidecar(self, identity: str) -> bytes:
        with self.sidecars() as sidecars:
            return sidecars.read(identity)

    def _write_sidecar(self, identity: str, data: bytes) -> None:
        with self._tree.private(ATTRIBUTES_DIRECTORY, create=True) as directory:
            assert directory is not None
            replace_file(f"{through(directory)}/{identity}", data)


def read_xattr(fd: int, name: bytes) -> bytes:
    """The value, empty where it is gone or may not be read."""
    try:
        return os.getxattr(through(fd), name)
    except OSError as error:
        if not refused(error):
            raise
        return b""


def _set(fd: int, name: bytes, data: bytes) -> bool:
    try:
        os.setxattr(through(fd), name, data)
    except OSError as error:
        if not refused(error):
            raise
        return False
    return True


def _drop(fd: int, name: bytes) -> None:
    try:
        os.removexattr(through(fd), name)
    except OSError as error:
        if not refused(error):
            raise
