"""Linux calls that the local engine needs and the standard library does not have.

Promise: thin, blocking, no policy; failures are ``OSError`` like those of ``os``, to be translated by the caller.
Works with glibc and musl; a call that the C library lacks counts as unsupported by the kernel.
"""

import ctypes
import os
import struct
import sys
from typing import Final

from vaultairefs.disk.os_errors import is_unsupported

_AT_EMPTY_PATH: Final = 0x1000
_RENAME_NOREPLACE: Final = 1
_STATX_BTIME: Final = 0x800
_STATX_BTIME_AT: Final = 80
_HANDLE_BYTES_MAX: Final = 128

_libc: Final = ctypes.CDLL(None, use_errno=True)
_name_to_handle_at: Final = getattr(_libc, "name_to_handle_at", None)
_Handle: Final = ctypes.c_char * (8 + _HANDLE_BYTES_MAX)
_EMPTY_HANDLE: Final = struct.pack("I", _HANDLE_BYTES_MAX).ljust(8 + _HANDLE_BYTES_MAX, b"\0")


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def rename_no_replace(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
    """renameat2(2) with RENAME_NOREPLACE: atomic, ``FileExistsError`` when the target is there.

    A filesystem without it (NFS) gets link(2) + unlink(2), which is as strict; a directory there is renamed after a
    look, which is best effort.
    """
    if hasattr(_libc, "renameat2"):
        if _libc.renameat2(source_fd, source, target_fd, target, _RENAME_NOREPLACE) == 0:
            return
        error = _failure()
        if not is_unsupported(error):
            raise error
    try:
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    except PermissionError:
        _rename_after_a_look(source_fd, source, target_fd, target)
    else:
        os.unlink(source, dir_fd=source_fd)


def _rename_after_a_look(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError("the target of a rename is there already")


def file_handle(fd: int) -> str:
    """name_to_handle_at(2) of a descriptor (O_PATH will do) as hexadecimal digits; empty where there is none.

    It holds the inode number and its generation, so a reused inode number has another handle.
    """
    if _name_to_handle_at is None:
        return ""
    buffer = _Handle.from_buffer_copy(_EMPTY_HANDLE)
    mount = ctypes.c_int()
    if _name_to_handle_at(fd, b"", buffer, ctypes.byref(mount), _AT_EMPTY_PATH) != 0:
        return ""
    handle = buffer.raw
    return handle[8 : 8 + int.from_bytes(handle[:4], sys.byteorder)].hex()


def birth_time_ns(fd: int) -> int:
    """statx(2) btime of a descriptor in nanoseconds since 1970; 0 where the filesystem keeps none."""
    buffer = ctypes.create_string_buffer(256)
    if not hasattr(_libc, "statx") or _libc.statx(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) != 0:
        return 0
    (mask,) = struct.unpack_from("I", buffer, 0)
    if not mask & _STATX_BTIME:
        return 0
    seconds, nanoseconds = struct.unpack_from("qI", buffer, _STATX_BTIME_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def filesystem_type(fd: int) -> int:
    """statfs(2) f_type: the filesystem's magic number; 0 when it cannot be asked."""
    buffer = ctypes.create_string_buffer(512)
    if _libc.fstatfs(fd, buffer) != 0:
        return 0
    (magic,) = struct.unpack_from("l", buffer, 0)
    return int(magic) & 0xFFFFFFFF


def effective_capabilities() -> int:
    """The CapEff bits of this process (capabilities(7)); all of them for root where /proc cannot be read."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - a pseudo file, read once
            for line in status:
                if line.startswith(b"CapEff:"):
                    return int(line.split()[1], 16)
    except OSError:
        pass  # no /proc: the user id is the next best witness
    return -1 if os.geteuid() == 0 else 0
