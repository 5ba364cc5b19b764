"""Bodies that programs write without us (``buffer/passed.py``): what their files say becomes what the volume says.

Such a body is OPEN, so the journal already says that its file's length and time are the truth; looking costs one
fstat(2) and commits nothing.  BodyClosed is committed when the kernel says that nobody can write any more, which may
be long after the last close: a mapping outlives its descriptor, and both outlive a daemon.

Promise: no store by a program is ever taken for one that the engine has: a look tells a change from what was last
seen, and what shows no more (a store into a mapped page that is dirty already) belongs to a change that was told.

Does not: poll; the volume does, and the flusher looks before it believes a file to be quiet.
"""

from typing import Final

from vaultairefs.buffer import Phase
from vaultairefs.buffer.passed import Look
from vaultairefs.ledger.ledger import Ledger
from vaultairefs.model.changes import BodyOpened
from vaultairefs.model.values import Ino

TICK_NS: Final = 10_000_000
"""How far a filesystem's times may lag behind the clock: a tick of the slowest kernel (CONFIG_HZ=100)."""


def hand_out(ledger: Ledger, ino: Ino, *, writing: bool) -> int | None:
    """A descriptor of the complete body's file, for the kernel to give to a program; None where there is no file.

    With ``writing`` the body is OPEN from here on, and the file is made where there is none.  Errors of ``commit``,
    ``DeviceFailed``, ``OutOfSpace``: then nothing was handed out.
    """
    buffer = ledger.buffer
    body = buffer.known(ino)
    is_new_here = body.passed is None
    passed = buffer.passed.begin(body, make=writing)
    if passed is None:
        return None
    if writing and not (body.phase is Phase.OPEN and not is_new_here):
        try:
            if body.phase is not Phase.OPEN:
                ledger.commit(BodyOpened(ino))
            else:
                buffer.set_times(ino, ledger.namespace.get(ino).mtime_ns)
            buffer.passed.changed(body)  # our own doing; nobody else has the file yet
        except BaseException:
            if is_new_here:
                buffer.passed.end(body)
            raise
    return passed.fd


def observe(ledger: Ledger, ino: Ino) -> None:
    """Let size, times and debts of the inode be what its file says now."""
    body = ledger.buffer.find(ino)
    if body is None or not body.is_moving:
        return
    look = ledger.buffer.passed.changed(body)
    if look is not None:
        note(ledger, ino, look)


def note(ledger: Ledger, ino: Ino, look: Look) -> None:
    """The body's file was found changed: all of it counts as newer than what the engine has."""
    inode, body = ledger.namespace.get(ino), ledger.buffer.known(ino)
    inode.size = body.size = look.size
    # A write right after the file was made may be dated before that.
    is_lagging = 0 <= inode.mtime_ns - look.mtime_ns < TICK_NS
    inode.mtime_ns = inode.mtime_ns if is_lagging else look.mtime_ns
    inode.ctime_ns = max(inode.ctime_ns, inode.mtime_ns)
    inode.content_generation += 1
    body.dirty.clear()
    body.dirty.add(0, look.size)
    body.changes += 1
    body.unflushed = True
    ledger.buffer.measure(body, look.allocated)
    if inode.nlink:
        ledger.backlog.note_content(ino)


def settle(ledger: Ledger, ino: Ino) -> bool:
    """Close the body, now that the last writer is said to have left; False while a program may still write it."""
    body = ledger.buffer.find(ino)
    if body is None or body.phase is not Phase.OPEN:
        return True
    if body.writers or not ledger.buffer.passed.is_unwritten(body):
        return False
    observe(ledger, ino)
    ledger.commit(ledger.body_closed(ino))
    return True
