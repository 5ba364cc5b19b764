"""Make bytes and names survive power loss.

Promise: when a function that says *durable* has returned, power loss does not undo it.  Every function blocks on
the disk and is called from a worker thread, except ``preallocate``, which only asks the filesystem for space.
A failed sync is never retried here: after it the kernel may have thrown the pages away, and a second call would
lie (fsync(2), "errors").
"""

import ctypes
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vaultairefs.disk.os_errors import is_unsupported, translated
from vaultairefs.model.errors import DeviceFailed

_ZEROS: Final = bytes(1 << 16)
_libc: Final = ctypes.CDLL(None, use_errno=True)


def sync_data(fd: int) -> None:
    """fdatasync(2): bytes and length of the file are durable, its times perhaps not."""
    with translated("fdatasync"):
        os.fdatasync(fd)


def sync_all(fd: int) -> None:
    """fsync(2): bytes and every attribute of the file are durable; its name is not (see ``sync_directory``)."""
    with translated("fsync"):
        os.fsync(fd)


def sync_directory(directory: str | os.PathLike[str] | int) -> None:
    """Names created, renamed or removed in the directory (a path or a descriptor) are durable."""
    with translated("fsync"):
        if isinstance(directory, int):
            os.fsync(directory)
            return
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def sync_filesystem(fd: int) -> None:
    """syncfs(2): everything that the filesystem of ``fd`` holds in memory is durable."""
    if _libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        with translated("syncfs"):
            raise OSError(number, os.strerror(number))


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """pwrite(2) until every byte is written; not durable yet."""
    with translated("write"):
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            if written == 0:
                raise DeviceFailed("a write made no progress", operation="write")
            offset += written
            view = view[written:]


def replace_file(path: str | os.PathLike[str], data: bytes, *more: bytes, mode: int = 0o600) -> None:
    """Durably put ``data``, and ``more`` behind it, at ``path``.

    Readers, and whoever comes after a crash, see the old or the new bytes, whole.
    A failure leaves the old file and no temporary one.
    """
    replace_by_parts(path, (data, *more), mode=mode)


def replace_by_parts(path: str | os.PathLike[str], parts: Iterable[bytes], *, mode: int = 0o600) -> None:
    """``replace_file`` with bytes that are made while they are written, so that no more than a part is held."""
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.tmp")
    with translated("replace"):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            try:
                offset = 0
                for part in parts:
                    write_all(fd, part, offset)
                    offset += len(part)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, target)
        except BaseException:
            unlink(temporary, missing_ok=True)
            raise
    sync_directory(target.parent)


def rename(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Durably rename, replacing what ``target`` holds.  ``CrossesVolumes`` when they are on two filesystems."""
    old, new = Path(source), Path(target)
    with translated("rename"):
        os.rename(old, new)
    sync_directory(new.parent)
    if new.parent != old.parent:
        sync_directory(old.parent)


def unlink(
    path: str | os.PathLike[str], *, dir_fd: int | None = None, missing_ok: bool = False, durable: bool = False
) -> None:
    """Remove a name; ``durable`` also syncs its directory.  ``NotFound`` unless ``missing_ok``."""
    with translated("unlink"):
        try:
            os.unlink(path, dir_fd=dir_fd)
        except FileNotFoundError:
            if not missing_ok:
                raise
    if durable:
        sync_directory(dir_fd if dir_fd is not None else Path(path).parent)


def preallocate(fd: int, size: int) -> None:
    """Reserve the file's first ``size`` bytes, so that writing them later cannot fail for want of room.

    New bytes read as zeros and the file is at least ``size`` bytes long afterwards (posix_fallocate(3)).  Where the
    filesystem has no fallocate, zeros are written past the file's present end.  ``OutOfSpace``/``QuotaExceeded``.
    """
    with translated("fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
            return
        except OSError as error:
            if not is_unsupported(error):
                raise
        at = os.fstat(fd).st_size
    while at < size:
        part = min(size - at, len(_ZEROS))
        write_all(fd, memoryview(_ZEROS)[:part], at)
        at += part
