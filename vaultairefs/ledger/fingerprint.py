"""The state as one comparable value: what must be equal before a crash and after the recovery from it.

Bodies that are open for writing are folded the way recovery folds them: their file says size and mtime, and they
count as changed.  Left out: what no later life can know (inodes without a name, handles, cookies, clocks), a file's
ctime and, of complete bodies, which bytes are dirty.
"""

import zlib
from typing import Any

from vaultairefs.buffer import Body, Buffer, Phase
from vaultairefs.disk.copying import read_all
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.values import Kind
from vaultairefs.namespace import Inode

_BLOCK_BYTES = 1 << 20


def fingerprint(rooms: Rooms) -> dict[str, dict[Any, Any]]:
    """Tables of the state; reads every body file."""
    rooms.shelf.recall_all()
    named = {ino: inode for ino, inode in rooms.namespace.inodes.items() if inode.nlink}
    bodies = {body.ino: body for body in rooms.buffer.all() if body.ino in named and body.phase is not Phase.ABSENT}
    opened = {ino for ino, body in bodies.items() if body.phase is Phase.OPEN}
    backlog = rooms.backlog
    debts = {ino: (owed.content, owed.attributes) for ino, owed in backlog.owed_inos.items()}
    for ino in opened:
        debts[ino] = (True, debts.get(ino, (False, False))[1])
    return {
        "inodes": {ino: _inode(rooms.buffer, inode, ino in opened) for ino, inode in named.items()},
        "bodies": {ino: _body(rooms.buffer, body) for ino, body in bodies.items()},
        "stored": {(c, name): ref for c, names in backlog.tree.items() for name, ref in names.items()},
        "owed_names": dict(backlog.owed_names),
        "owed_inos": debts,
        "begun": dict(backlog.doubts.begun),
        "containers": dict.fromkeys(backlog.containers),
    }


def _inode(buffer: Buffer, inode: Inode, opened: bool) -> tuple[Any, ...]:
    size, mtime_ns = inode.size, inode.mtime_ns
    if opened:
        status = buffer.stat(inode.ino)
        size = 0 if status is None else status.st_size
        mtime_ns = mtime_ns if status is None else status.st_mtime_ns
    return (
        inode.st_mode,
        inode.uid,
        inode.gid,
        inode.rdev,
        size,
        inode.nlink,
        inode.atime_ns,
        mtime_ns,
        None if inode.kind is Kind.FILE else inode.ctime_ns,
        inode.target,
        inode.link_id,
        sorted((inode.xattrs or {}).items()),
        sorted(inode.refs),
    )


def _body(buffer: Buffer, body: Body) -> tuple[Any, ...]:
    opened = body.phase is Phase.OPEN
    status = buffer.stat(body.ino)
    length = 0 if status is None else status.st_size
    partial = () if body.complete else (tuple(body.present), tuple(body.dirty))
    return (
        body.body_id,
        body.complete,
        body.unflushed or opened,
        length if opened else body.size,
        body.base_version,
        body.base_size,
        partial,
        (tuple(body.durable), tuple(body.durable_ahead), body.cut, body.cut_ahead),
        _checksum(buffer, body, length),
    )


def _checksum(buffer: Buffer, body: Body, length: int) -> int:
    """CRC-32 over the local bytes."""
    if not length:
        return 0
    checksum, fd = 0, buffer.descriptor(body.ino)
    for offset, size in [(0, length)] if body.complete else list(body.present):
        for at in range(offset, offset + size, _BLOCK_BYTES):
            checksum = zlib.crc32(read_all(fd, at, min(_BLOCK_BYTES, offset + size - at)), checksum)
    return checksum
