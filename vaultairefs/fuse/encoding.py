"""Our values as pyfuse3's, and back.

Promise: pure translation; nothing here fails for a value that the volume may hold.

Does not: call the volume.
"""

from typing import Final

import pyfuse3

from vaultairefs.engine.interface import Usage
from vaultairefs.model.names import NAME_BYTES_MAX
from vaultairefs.model.values import Kind
from vaultairefs.namespace.inode import Inode
from vaultairefs.volume import AttributeRequest

BLOCK_BYTES: Final = 4096
IO_BYTES: Final = 64 << 10
"""st_blksize: stdio and cp then move 64 KiB per request instead of 4."""

CONTAINER_BYTES: Final = 4096
"""st_size of a directory, as ext4 shows it: some programs take 0 for broken."""

_UNKNOWN_BYTES: Final = 1 << 50
_UNKNOWN_ENTRIES: Final = 1 << 32
"""What statfs shows where a store knows no limit: big enough for every check, small enough for every program."""


def entry_attributes(
    inode: Inode, blocks: int, ttl_seconds: float, *, are_moving: bool = False
) -> pyfuse3.EntryAttributes:
    """stat(2) of an inode; ``blocks`` in units of 512 bytes; the kernel may believe it for ``ttl_seconds``.

    ``are_moving``: only its name, for the attributes are true at this moment only.
    """
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = inode.ino
    entry.entry_timeout = ttl_seconds
    entry.attr_timeout = 0.0 if are_moving else ttl_seconds
    entry.st_mode = inode.st_mode
    entry.st_nlink = inode.nlink
    entry.st_uid = inode.uid
    entry.st_gid = inode.gid
    entry.st_rdev = inode.rdev
    entry.st_size = _shown_size(inode)
    entry.st_blksize = IO_BYTES
    entry.st_blocks = blocks
    entry.st_atime_ns = inode.atime_ns
    entry.st_mtime_ns = inode.mtime_ns
    entry.st_ctime_ns = inode.ctime_ns
    return entry


def _shown_size(inode: Inode) -> int:
    if inode.kind is Kind.FILE:
        return inode.size
    if inode.kind is Kind.SYMLINK:
        return len(inode.target)
    return CONTAINER_BYTES if inode.kind is Kind.CONTAINER else 0


def free_name(ttl_seconds: float) -> pyfuse3.EntryAttributes:
    """The answer "there is no such name", which the kernel may remember for ``ttl_seconds``."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = pyfuse3.InodeT(0)
    entry.entry_timeout = ttl_seconds
    return entry


def attribute_request(attributes: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> AttributeRequest:
    """A SETATTR request; ``fields`` says which attributes count."""
    return AttributeRequest(
        mode=attributes.st_mode & 0o7777 if fields.update_mode else None,
        uid=attributes.st_uid if fields.update_uid else None,
        gid=attributes.st_gid if fields.update_gid else None,
        size=attributes.st_size if fields.update_size else None,
        atime_ns=attributes.st_atime_ns if fields.update_atime else None,
        mtime_ns=attributes.st_mtime_ns if fields.update_mtime else None,
        ctime_ns=attributes.st_ctime_ns if fields.update_ctime else None,
    )


def filesystem_figures(usage: Usage) -> pyfuse3.StatvfsData:
    """statvfs(3) of a volume."""
    capacity = _known(usage.capacity_bytes, _UNKNOWN_BYTES)
    free = _known(usage.free_bytes, capacity)
    entries = _known(usage.entries, 0)
    entries_free = _known(usage.entries_free, _UNKNOWN_ENTRIES)
    figures = pyfuse3.StatvfsData()
    figures.f_bsize = BLOCK_BYTES
    figures.f_frsize = BLOCK_BYTES
    figures.f_blocks = capacity // BLOCK_BYTES
    figures.f_bfree = free // BLOCK_BYTES
    figures.f_bavail = _known(usage.available_bytes, free) // BLOCK_BYTES
    figures.f_files = entries + entries_free
    figures.f_ffree = entries_free
    figures.f_favail = entries_free
    figures.f_namemax = NAME_BYTES_MAX
    return figures


def _known(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
