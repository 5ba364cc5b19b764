"""A copy, of one moment, of a file that programs may be writing without us (``buffer/passed.py``).

Nobody can be kept out of such a file.  So it is copied, and looked at before and after: the copy counts if length and
times are the same.  A store into a mapped page moves the times only if the page was clean, hence the fdatasync before,
during which nothing may have moved either; and times have the grain of a tick, so none may be younger than that.

Promise: what is sent of a file was the file at one moment between its looks; a file that is never quiet for as long as
its copy takes is told of and tried again, and holds up nothing else.

Does not: send anything.
"""

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

import trio

from vaultairefs.buffer.passed import Look, look_at
from vaultairefs.disk.copying import copy_range, read_all
from vaultairefs.disk.os_errors import translated
from vaultairefs.flush.desk import Desk
from vaultairefs.ledger.observing import TICK_NS, observe
from vaultairefs.model.errors import Withheld
from vaultairefs.namespace import Inode

_TRIES: Final = 5
_COMPARED_BYTES: Final = 1 << 20


class Frozen(NamedTuple):
    """``descriptor`` holds ``size`` bytes that nobody changes; they are at least as new as ``generation``."""

    descriptor: int
    size: int
    generation: int


@asynccontextmanager
async def frozen(desk: Desk, inode: Inode) -> AsyncIterator[Frozen]:
    """The copy, for as long as the block lasts.  ``Withheld`` when programs write the file all the time."""
    ledger, ino = desk.ledger, inode.ino
    observe(ledger, ino)
    passed = ledger.buffer.known(ino).passed
    assert passed is not None, "only a passed file is written without us"
    generation = inode.content_generation
    with translated("open"):
        source = os.dup(passed.fd)
        copy = os.open(ledger.buffer.files.directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        with desk.gate.shut(ino):
            look = await trio.to_thread.run_sync(copy_at_rest, source, copy, partial(ledger.buffer.sync, ino))
        if look is None:
            raise Withheld("programs write it all the time: it is sent when it is quiet or closed", operation="flush")
        observe(ledger, ino)
        if ledger.buffer.known(ino).passed is passed and passed.seen.is_same_file_as(look):
            generation = inode.content_generation
        yield Frozen(copy, look.size, generation)
    finally:
        os.close(source)
        os.close(copy)


def copy_at_rest(source: int, copy: int, sync: Callable[[], None]) -> Look | None:
    """Copy the file ``source``, blocking; what it was when it was copied, None if it never held still.

    ``sync`` is the body's own fdatasync, so that a failure of it is not lost on others who rely on it.

    A file that only grew meanwhile counts as it was before, if what was copied is still what it begins with: nobody
    else could tell the difference.
    """
    for _ in range(_TRIES):
        first = look_at(source)
        sync()
        _outwait_clock(first)
        before = look_at(source)
        with translated("truncate"):
            os.ftruncate(copy, 0)
        copied = copy_range(source, 0, copy, 0, before.size)
        sync()
        after = look_at(source)
        if first.is_same_file_as(before) and before.is_same_file_as(after):
            return before
        if copied == before.size < after.size and _begins_with(source, copy, before.size):
            return before
    return None


def _outwait_clock(look: Look) -> None:
    """Until the next change of the file must have another time than the last one."""
    age = time.time_ns() - max(look.mtime_ns, look.ctime_ns)
    if age < TICK_NS:
        time.sleep((TICK_NS - max(age, 0)) / 1e9)


def _begins_with(source: int, copy: int, size: int) -> bool:
    for offset in range(0, size, _COMPARED_BYTES):
        length = min(_COMPARED_BYTES, size - offset)
        if read_all(source, offset, length) != read_all(copy, offset, length):
            return False
    return True
