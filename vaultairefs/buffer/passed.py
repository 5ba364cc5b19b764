"""Bodies whose file the kernel was given, so that programs read and write it without us (FUSE passthrough).

What they do shows in the file's length and times only, and whether anybody still can in a lease (``disk/leases.py``).

Promise: what a look finds changed is told once; a body's descriptor is closed with its last use here, never before.

Does not: decide which bodies are passed, or tell the ledger.
"""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from vaultairefs.buffer.body import Body, Phase
from vaultairefs.disk import leases
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import NotFound
from vaultairefs.model.values import Ino

if TYPE_CHECKING:
    from vaultairefs.buffer.buffer import Buffer

_BLOCK_BYTES: Final = 512


class Look(NamedTuple):
    """What fstat(2) says of a body file; ``allocated`` in bytes."""

    size: int
    mtime_ns: int
    ctime_ns: int
    allocated: int

    def is_same_file_as(self, other: "Look") -> bool:
        """Whether nobody wrote between the two (a store into a mapped page that is dirty already does not show)."""
        return self[:3] == other[:3]


def look_at(descriptor: int) -> Look:
    """fstat(2) of an open body file."""
    with translated("stat"):
        status = os.fstat(descriptor)
    return Look(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_blocks * _BLOCK_BYTES)


class PassedFile:
    """``fd`` is read-only, so that it does not count as a writer; ``seen`` is the file as the ledger knows it."""

    __slots__ = ("fd", "seen")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.seen = look_at(fd)


class PassedBodies:
    """The passed bodies of one buffer, by inode: exactly those of which ``Body.passed`` is set."""

    def __init__(self, buffer: "Buffer") -> None:
        self._buffer = buffer
        self.bodies: dict[Ino, Body] = {}

    def begin(self, body: Body, *, make: bool) -> PassedFile | None:
        """From now on the kernel may have the body's file; None where there is none and ``make`` is False."""
        if body.passed is None:
            path = self._buffer.files.path(body.ino, body.body_id)
            if make:
                self._buffer.files.make_parent(body.body_id)
            try:
                body.passed = PassedFile(leases.open_to_ask(path, make=make))
            except NotFound:
                return None
            self.bodies[body.ino] = body
        return body.passed

    def end(self, body: Body) -> None:
        """Nobody but us has the file for writing, and the kernel was told to forget it."""
        if body.passed is not None:
            os.close(body.passed.fd)
            body.passed = None
            del self.bodies[body.ino]

    def changed(self, body: Body) -> Look | None:
        """The body's file if it is not as it was ``seen``, which it is from now on."""
        passed = body.passed
        if passed is None:
            return None
        look = look_at(passed.fd)
        if look.is_same_file_as(passed.seen):
            return None
        passed.seen = look
        return look

    def is_unwritten(self, body: Body) -> bool:
        """Whether no program can write the file now; while a flush of ours holds it, that cannot be told."""
        return body.passed is None or (self._buffer.files.close_idle(body) and leases.is_unwritten(body.passed.fd))

    def may_be_replaced(self, body: Body) -> bool:
        """Whether no program has the file open or mapped, so that another file may take its place unnoticed."""
        if not body.was_passed:
            return True
        if not self._buffer.files.close_idle(body):
            return False
        if body.passed is not None:
            return leases.is_unused(body.passed.fd)
        try:
            descriptor = leases.open_to_ask(self._buffer.files.path(body.ino, body.body_id))
        except NotFound:
            return True
        try:
            return leases.is_unused(descriptor)
        finally:
            os.close(descriptor)

    @property
    def open_for_writing(self) -> list[Body]:
        """Those that programs may be writing."""
        return [body for body in self.bodies.values() if body.phase is Phase.OPEN]
