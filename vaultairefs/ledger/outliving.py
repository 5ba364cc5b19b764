"""Programs that go on writing after their daemon died: they hold body files that the kernel gave them (passthrough).

Neither ``kill -9`` of the daemon, nor the end of its connection, nor ``umount -l`` takes such a file from them.

Promise: a body that somebody can still write is not closed by a recovery, so nothing that is yet to come is lost.

Does not: look again later; whoever runs the ledger does (``observing.py``).
"""

from vaultairefs.buffer import Body
from vaultairefs.ledger.rooms import Rooms


def is_still_written(rooms: Rooms, body: Body) -> bool:
    """Whether a program can write the OPEN body's file; then it stays OPEN and is owed whole, as it is now."""
    buffer, inode = rooms.buffer, rooms.namespace.get(body.ino)
    passed = buffer.passed.begin(body, make=False)
    if passed is None:
        return False
    if buffer.passed.is_unwritten(body):
        buffer.passed.end(body)
        return False
    body.was_passed = body.unflushed = True
    body.size = inode.size = passed.seen.size
    body.dirty.clear()
    body.dirty.add(0, body.size)
    inode.mtime_ns = passed.seen.mtime_ns
    inode.ctime_ns = max(inode.ctime_ns, inode.mtime_ns)
    rooms.backlog.owe(body.ino, content=True)
    return True
