"""Tell the kernel what it must no longer believe: names and attributes that the volume itself changed.

A notice is written to the connection like an answer (fuse_out_header in linux/fuse.h with ``unique`` 0); the kernel
then asks again at the next use.  Expiring a name waits in the kernel for the lock of its directory, which a program
holds whose request is still unanswered.  So notices are written by a thread, and only while no call about names is
under way: a daemon that is killed while its thread waits for such a lock could not be cleared away.

Promise: never waits in a handler, and never keeps more than ``NOTICES_MAX``; what is not told in time ends with the
kernel's own ttl, as without this module.
"""

import os
import struct
from collections.abc import Callable, Iterable
from typing import Final

import trio

from vaultairefs.model.values import ROOT, Ino

NOTICES_MAX: Final = 65536
"""More would be a listing that changed everything; remembering names for it would cost more than asking again."""

_AT_ONCE: Final = 256
_LOOK_SECONDS: Final = 0.02

_HEADER: Final = struct.Struct("=IiQ")
_INODE: Final = struct.Struct("=Qqq")
_ENTRY: Final = struct.Struct("=QII")
_INVALIDATE_INODE: Final = 2
_INVALIDATE_ENTRY: Final = 3
_ATTRIBUTES_ONLY: Final = -1
"""As the offset: the inode's cached pages stay."""
_EXPIRE_ONLY: Final = 1
"""Linux 6.2 asks again and keeps what turns out to be unchanged; older ones drop the name from their cache."""


def attributes_notice(ino: Ino) -> bytes:
    """FUSE_NOTIFY_INVAL_INODE without pages."""
    return _HEADER.pack(_HEADER.size + _INODE.size, _INVALIDATE_INODE, 0) + _INODE.pack(ino, _ATTRIBUTES_ONLY, 0)


def entry_notice(container: Ino, name: bytes) -> bytes:
    """FUSE_NOTIFY_INVAL_ENTRY."""
    length = _HEADER.size + _ENTRY.size + len(name) + 1
    entry = _ENTRY.pack(container, len(name), _EXPIRE_ONLY)
    return _HEADER.pack(length, _INVALIDATE_ENTRY, 0) + entry + name + b"\0"


class Teller:
    """A ``Witness`` of the ledger.  ``knows``: whether the kernel holds an inode; ``is_idle``: see the module's text.

    ``_with_free_names`` are containers of which the kernel was told that a name is free, as long as it holds them.
    """

    def __init__(self, knows: Callable[[Ino], bool], is_idle: Callable[[], bool]) -> None:
        self._knows = knows
        self._is_idle = is_idle
        self._with_free_names: set[Ino] = set()
        self._notices: dict[Ino | tuple[Ino, bytes], None] = {}
        self._woken = trio.Event()
        self._descriptor: int | None = None

    def entry_changed(self, container: Ino, name: bytes, *, was_free: bool) -> None:
        """See ``Witness``."""
        if container in self._with_free_names or (not was_free and (container == ROOT or self._knows(container))):
            self._note((container, name))

    def attributes_changed(self, ino: Ino) -> None:
        """See ``Witness``."""
        if ino == ROOT or self._knows(ino):
            self._note(ino)

    def tell_now(self, ino: Ino) -> None:
        """The kernel must not believe the inode's attributes any more.  Only in a call that holds the inode: then the
        kernel never waits for anything here."""
        if self._descriptor is not None:
            _write_notice(self._descriptor, attributes_notice(ino))

    def told_free(self, container: Ino) -> None:
        """The kernel was told that some name in the container is free."""
        self._with_free_names.add(container)

    def forgotten(self, inos: Iterable[Ino]) -> None:
        """The kernel forgot lookups of these; an inode it does not hold has no names to be told of."""
        if self._with_free_names:
            self._with_free_names.difference_update([ino for ino in inos if ino != ROOT and not self._knows(ino)])

    def _note(self, notice: Ino | tuple[Ino, bytes]) -> None:
        if len(self._notices) < NOTICES_MAX:
            self._notices[notice] = None
            self._woken.set()

    async def run(self, descriptor: int) -> None:
        """Write notices to the connection until cancelled."""
        self._descriptor = descriptor
        try:
            await self._tell(descriptor)
        finally:
            self._descriptor = None

    async def _tell(self, descriptor: int) -> None:
        while True:
            await self._woken.wait()
            if not self._is_idle():
                await trio.sleep(_LOOK_SECONDS)
                continue
            batch = [_encoded(notice) for notice in self._take()]
            # A descriptor of its own: the thread may outlive this task, and the number may be another file's by then.
            own = os.dup(descriptor)
            await trio.to_thread.run_sync(_write, own, batch, abandon_on_cancel=True)

    def _take(self) -> list[Ino | tuple[Ino, bytes]]:
        taken = list(self._notices)[:_AT_ONCE]
        for notice in taken:
            del self._notices[notice]
        if not self._notices:
            self._woken = trio.Event()
        return taken


def _encoded(notice: Ino | tuple[Ino, bytes]) -> bytes:
    return entry_notice(*notice) if isinstance(notice, tuple) else attributes_notice(notice)


def _write(descriptor: int, notices: list[bytes]) -> None:
    try:
        for notice in notices:
            _write_notice(descriptor, notice)
    finally:
        os.close(descriptor)


def _write_notice(descriptor: int, notice: bytes) -> None:
    try:
        os.write(descriptor, notice)
    except OSError:
        pass  # the kernel does not hold it (any more), or the connection is gone: nobody to be told
