"""Which opens go past us: the kernel gets the body of a complete file and programs use it without the daemon.

The first open of a file decides for all until the last release, because the kernel refuses to mix (EIO): while a file
is open in the ordinary way, or passed, further opens are likewise.  An open of a passed file whose reads and writes we
must see (O_SYNC, O_DIRECT, level ``stored``) is *direct*: only its mappings are passed, nothing is cached.
A body that programs may still write after the last release, by a mapping or after the death of an earlier daemon,
stays passed until a lease says that nobody can (``disk/leases.py``).

One store makes all of a passed file owed.  So a large file is passed for writing only where all of it is owed already
or its clean chunks would save nothing at the next flush; and any file only above a floor of free space, because the
kernel's writes wait for no flush.

Promise: without a ``Gateway``, or where anything fails, an open takes the ordinary path.

Does not: talk to the kernel; ``fuse/passthrough.py`` does.
"""

import os
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import structlog
import trio

from vaultairefs.buffer import Body, Phase
from vaultairefs.ledger import observing
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import ABSENT, Ino, Sequence
from vaultairefs.volume.core import Core

if TYPE_CHECKING:
    from vaultairefs.volume.files import OpenFile

WRITTEN_BYTES_MAX: Final = 64 << 20
"""A larger file, of which a flush would send parts only, is written through us: we see which of them are owed."""

ROOM_BYTES: Final = 256 << 20
"""What must fit the buffer and the state filesystem yet for an open for writing to be passed."""

LOOK_SECONDS: Final = 0.5
"""How often passed files are looked at that nobody asks for."""

_IDLE_MAX: Final = 64
"""Files of which the kernel keeps the descriptor until the next look: a program that opens one again and again."""

_SOON_SECONDS: Final = 0.01
"""A descriptor is let go by the kernel right after the release that tells of it."""

_log: Final = structlog.get_logger(__name__)


class Gateway(Protocol):
    """The kernel's side of a session."""

    def register(self, fd: int) -> int:
        """Give the kernel a body's descriptor; the number that stands for it.  ``VaultaireError`` when it refuses."""
        ...

    def unregister(self, backing: int) -> None:
        """Take it back; open files keep what they have."""
        ...


class Way(NamedTuple):
    """How an open file is to be answered.  ``backing`` 0: nothing of it is passed; ``direct``: nothing is cached."""

    backing: int
    direct: bool


class _Handed:
    """What the kernel was given of one inode, and by how many open files it is used."""

    __slots__ = ("backing", "body_id", "handles")

    def __init__(self, backing: int, body_id: Sequence) -> None:
        self.backing = backing
        self.body_id = body_id
        self.handles = 0


class Passing:
    """See the module's text.  ``state`` is for ``status``: ``on``, or ``off: `` and why.

    ``bodies`` are those that the kernel has or had a moment ago, by inode.
    Invariant: an inode is in ``_handed`` while an open file of it is passed, and for a moment after; then it is in
    ``_idle``, too, those longest idle first.
    """

    def __init__(self, core: Core, why_not: str) -> None:
        self._core = core
        self._buffer = core.buffer
        self.bodies = core.buffer.passed.bodies
        self._gateway: Gateway | None = None
        self._handed: dict[Ino, _Handed] = {}
        self._idle: dict[Ino, None] = {}
        self._woken = trio.Event()
        self.is_wanted = not why_not
        self.state = f"off: {why_not or 'not mounted'}"

    def start(self, gateway: Gateway) -> None:
        """The session can pass files from now on."""
        self._gateway, self.state = gateway, "on"

    def stay_off(self, reason: str) -> None:
        """The session cannot; ``reason`` in a few words."""
        self.state = f"off: {reason}"

    def stop(self) -> None:
        """The session is over: nothing more is passed, and nothing is left to be taken back."""
        if self._gateway is not None:
            self._gateway, self.state = None, "off: not mounted"
        self._handed.clear()
        self._idle.clear()

    @property
    def may_pass(self) -> bool:
        """Whether ``begin`` could answer anything but None."""
        return self._gateway is not None or bool(self.bodies)

    @property
    def count(self) -> int:
        """How many files programs read or write without us now."""
        return len(self.bodies) - len(self._idle)

    def begin(self, opened: "OpenFile", flags: int, *, stored: bool) -> Way | None:
        """How the file that was just opened, and counted as open, is passed; None for the ordinary path.

        ``stored``: it is at sync level ``stored``.  Errors of ``Ledger.commit`` where it must be passed for writing and
        that cannot be journalled.
        """
        body = self._buffer.known(opened.inode.ino)
        is_seen = stored or opened.sync_each or bool(flags & os.O_DIRECT)
        if not self._is_in_force(body):
            is_fit = self._gateway is not None and not is_seen and self._may_begin(opened, body)
            handed = self._hand(opened, body) if is_fit else None
            if handed is None:
                self._forget(body.ino)
                return None
        else:
            is_seen = is_seen or (opened.writable and not self._buffer.has_room(ROOM_BYTES))
            if opened.writable:
                observing.hand_out(self._core.ledger, body.ino, writing=True)
            handed = self._hand(opened, body)
            if handed is None:
                return Way(0, True)
        self._idle.pop(body.ino, None)
        handed.handles += 1
        return Way(handed.backing, is_seen)

    def _is_in_force(self, body: Body) -> bool:
        """Whether a program has the file from the kernel already, which decides for all others."""
        handed = self._handed.get(body.ino)
        return body.is_moving or (handed is not None and handed.handles > 0)

    def _may_begin(self, opened: "OpenFile", body: Body) -> bool:
        """Whether the first open of a file may be passed."""
        if body.handles > 1 or body.failed or not body.complete:
            return False
        if not opened.writable:
            return body.size > 0
        return self._goes_up_whole(body) and self._buffer.has_room(ROOM_BYTES)

    def _goes_up_whole(self, body: Body) -> bool:
        """Whether the next flush costs as much when all of the body is owed as when a part of it is."""
        if body.size <= WRITTEN_BYTES_MAX or body.base_version == ABSENT or body.dirty.covers(0, body.size):
            return True
        able = self._core.engine.capabilities
        return not (able.copies_chunks and able.copied_chunks_save)

    def _hand(self, opened: "OpenFile", body: Body) -> _Handed | None:
        """Give the kernel the body's file, unless it has it; None where it cannot have it."""
        handed = self._handed.get(body.ino)
        if handed is not None and handed.body_id != body.body_id:
            self._forget(body.ino)
            handed = None
        if self._gateway is None:
            return None
        is_new = body.passed is None
        try:
            fd = observing.hand_out(self._core.ledger, body.ino, writing=opened.writable)
            if fd is None:
                return None
            if handed is None:
                handed = self._handed[body.ino] = _Handed(self._gateway.register(fd), body.body_id)
        except VaultaireError as error:
            _log.info("an open takes the ordinary path", inode=body.ino, reason=str(error))
            if is_new:
                self._buffer.passed.end(body)
            return None
        body.was_passed = True
        return handed

    def _forget(self, ino: Ino) -> None:
        """Take back from the kernel what no open file uses."""
        self._idle.pop(ino, None)
        handed = self._handed.pop(ino, None)
        if handed is not None and self._gateway is not None:
            self._gateway.unregister(handed.backing)
        body = self.bodies.get(ino)
        if body is not None and not body.is_moving:
            self._buffer.passed.end(body)

    def end(self, ino: Ino) -> None:
        """A passed file was released; for a moment the kernel keeps what it was given, for the next open."""
        handed = self._handed.get(ino)
        if handed is None:
            return
        handed.handles -= 1
        if not handed.handles:
            self._idle[ino] = None
            if len(self._idle) > _IDLE_MAX:
                self._forget(next(iter(self._idle)))

    def settle(self, body: Body) -> None:
        """After a release: close the body if nobody writes it any more, and let go of it if nobody uses it."""
        if body.passed is not None and not body.writers and not self._settle(body):
            self._woken.set()

    def _settle(self, body: Body) -> bool:
        if not observing.settle(self._core.ledger, body.ino):
            return False
        if body.ino not in self._handed:
            self._buffer.passed.end(body)
        return True

    def look(self, ino: Ino) -> None:
        """Know what programs did to a passed file so far."""
        if ino in self.bodies:
            observing.observe(self._core.ledger, ino)

    def is_moving(self, ino: Ino) -> bool:
        """Whether attributes are only true at this moment."""
        body = self.bodies.get(ino)
        return body is not None and body.phase is Phase.OPEN

    async def run(self) -> None:
        """Look at passed files now and then, until cancelled."""
        while True:
            with trio.move_on_after(LOOK_SECONDS):
                await self._woken.wait()
                await trio.sleep(_SOON_SECONDS)
            self._woken = trio.Event()
            self.look_at_all()

    def look_at_all(self) -> None:
        """Know what programs did to every passed file, and close those that nobody writes any more."""
        for ino in list(self._idle):
            self._forget(ino)
        for body in list(self.bodies.values()):
            try:
                observing.observe(self._core.ledger, body.ino)
                self._settle(body)
            except VaultaireError as error:
                _log.warning("a passed file could not be looked at", inode=body.ino, error=str(error))
