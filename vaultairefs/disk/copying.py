"""Move byte ranges between files by descriptor.

Promise: a call copies everything that the source has in the range; a short answer of the kernel never ends it early.
Nothing is durable afterwards, and nobody is kept from changing either file meanwhile.
"""

import fcntl
import os
from typing import Final

from vaultairefs.disk.durable import write_all
from vaultairefs.disk.os_errors import is_unsupported, translated

_CLONE: Final = 0x40049409
"""FICLONE of linux/fs.h."""

_CHUNK_BYTES: Final = 1 << 20
"""For the fallback through memory: large enough to make system calls cheap, small enough to be no burden."""


def copy_range(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> int:
    """Copy ``length`` bytes; returns how many, which is less only where the source ends.

    copy_file_range(2) shares the blocks where the filesystem can (Btrfs, XFS: ranges aligned to blocks) and copies
    inside the kernel else; descriptors that it does not take (two kinds of filesystem, O_APPEND, ...) go through
    memory.  Ranges of one file must not overlap.
    """
    copied = 0
    with translated("copy"):
        while copied < length:
            try:
                part = os.copy_file_range(
                    source_fd, target_fd, length - copied, source_offset + copied, target_offset + copied
                )
            except OSError as error:
                if not is_unsupported(error):
                    raise
                part = 0
            if part == 0:
                # The end of the source, or a filesystem that answers 0 for "cannot" (procfs): reading settles it.
                return copied + _copy_through_memory(
                    source_fd, source_offset + copied, target_fd, target_offset + copied, length - copied
                )
            copied += part
    return copied


def copies_every_block(directory_fd: int) -> bool:
    """Whether files of the directory's filesystem surely share no blocks, so that ``copy_range`` writes all of them.

    False on any doubt: a filesystem that clones (ioctl_ficlonerange(2)), one over a network, which may copy where its
    disks are, and one that makes no files without a name to try it out with.
    """
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened += [os.open(".", flags, 0o600, dir_fd=directory_fd) for _ in range(2)]
        fcntl.ioctl(opened[0], _CLONE, opened[1])
    except OSError as error:
        return len(opened) == 2 and is_unsupported(error)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return False


def _copy_through_memory(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> int:
    copied = 0
    while copied < length:
        data = os.pread(source_fd, min(_CHUNK_BYTES, length - copied), source_offset + copied)
        if not data:
            break
        write_all(target_fd, data, target_offset + copied)
        copied += len(data)
    return copied


def read_all(fd: int, offset: int, length: int) -> bytes:
    """pread(2) until ``length`` bytes are there or the file ends."""
    with translated("read"):
        data = os.pread(fd, length, offset)
        if len(data) == length or not data:
            return data
        parts = [data]
        got = len(data)
        while got < length:
            data = os.pread(fd, length - got, offset + got)
            if not data:
                break
            parts.append(data)
            got += len(data)
    return b"".join(parts)
