"""The first exchange with the kernel, FUSE_INIT: what pyfuse3 cannot say is added to its answer.

The request is read from the connection and given to libfuse through a socket in the connection's place; libfuse
answers into that socket, the answer is completed here and goes to the kernel, and the connection gets its place back.
All of it happens inside pyfuse3's first two waits for a request, when no other request can come.  The layouts are
``struct fuse_init_in`` and ``fuse_init_out`` of linux/fuse.h, which the kernel never changes.

Promise: only what the kernel offered is asked for, and an answer of an unknown form goes on as it is.

Does not: decide what passthrough is used for; see ``docs/passthrough.md``.
"""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog
import trio

AUTO_INVAL_DATA: Final = 1 << 12
"""Drop an inode's cached pages whenever its mtime is another one: every write of ours would cost them."""
EXPLICIT_INVAL_DATA: Final = 1 << 25
"""Keep them until told otherwise; an inode's bytes change through this mount only."""
HANDLE_KILLPRIV_V2: Final = 1 << 28
"""We take setuid, setgid and file capabilities away ourselves, so the kernel need not ask before each write."""
INIT_EXT: Final = 1 << 30
PASSTHROUGH: Final = 1 << 37

BACKGROUND_MAX: Final = 64
"""Requests that nobody waits for (read-ahead, asynchronous I/O) under way at once; the kernel's own 12 starve it."""
_CONGESTED_AT: Final = BACKGROUND_MAX * 3 // 4

_STACK_DEPTH: Final = 1
"""A body may lie on an ordinary filesystem, not on another stacked one."""

_REQUEST_HEADER: Final = struct.Struct("=IIQQIIIHH")
_REQUEST: Final = struct.Struct("=IIIII")
_REPLY_HEADER: Final = struct.Struct("=IiQ")
_REPLY: Final = struct.Struct("=IIIIHHIIHHII")
_INIT_OPCODE: Final = 26
_MAJOR: Final = 7
_REQUEST_BYTES_MAX: Final = 1 << 17
_MESSAGE_BYTES_MAX: Final = 1 << 16

_log: Final = structlog.get_logger(__name__)


class Greeted(NamedTuple):
    """The answer for the kernel, and which flags are in it."""

    reply: bytes
    granted: int


def offered_by(request: bytes) -> int:
    """The flags that the kernel offers in its FUSE_INIT; 0 where the request is not one that we know."""
    if len(request) < _REQUEST_HEADER.size + _REQUEST.size or _REQUEST_HEADER.unpack_from(request)[1] != _INIT_OPCODE:
        return 0
    major, _, _, low, high = _REQUEST.unpack_from(request, _REQUEST_HEADER.size)
    if major != _MAJOR:
        return 0
    return int(low | high << 32 if low & INIT_EXT else low)


def completed(request: bytes, reply: bytes, wanted: int) -> Greeted:
    """libfuse's ``reply`` with those of the ``wanted`` flags that ``request`` offers."""
    offered = offered_by(request)
    if not offered or len(reply) < _REPLY_HEADER.size + _REPLY.size or _REPLY_HEADER.unpack_from(reply)[1] != 0:
        return Greeted(reply, 0)
    fields = list(_REPLY.unpack_from(reply, _REPLY_HEADER.size))
    flags = fields[3] | (fields[10] << 32 if fields[3] & INIT_EXT else 0)
    granted = wanted & offered
    flags |= granted
    if granted & EXPLICIT_INVAL_DATA:
        flags &= ~AUTO_INVAL_DATA
    if flags >> 32:
        flags |= INIT_EXT
    fields[3], fields[10] = flags & 0xFFFFFFFF, flags >> 32
    fields[4], fields[5] = BACKGROUND_MAX, _CONGESTED_AT
    if granted & PASSTHROUGH:
        fields[11] = _STACK_DEPTH
    body = _REPLY_HEADER.size + _REPLY.size
    return Greeted(reply[: _REPLY_HEADER.size] + _REPLY.pack(*fields) + reply[body:], granted)


class Greeting:
    """pyfuse3's wait for its first request, and the second call that shows that it was answered.

    ``then`` is the wait of all later requests; ``on_done`` is told which flags the kernel got.
    """

    def __init__(
        self, descriptor: int, wanted: int, then: Callable[[], Awaitable[bool]], on_done: Callable[[int], None]
    ) -> None:
        self._descriptor = descriptor
        self._wanted = wanted
        self._then = then
        self._on_done = on_done
        self._request = b""
        self._kernel = -1
        self._socket: socket.socket | None = None
        self._is_done = False

    async def __call__(self) -> bool:
        """True when a request can be read now, False when the session is over."""
        if self._socket is not None:
            self._finish()
        elif not self._is_done:
            return await self._begin()
        return await self._then()

    async def _begin(self) -> bool:
        await trio.lowlevel.wait_readable(self._descriptor)
        try:
            self._request = os.read(self._descriptor, _REQUEST_BYTES_MAX)
        except OSError:
            self._is_done = True
            return False  # unmounted before it began
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        with theirs:
            self._kernel = os.dup(self._descriptor)
            os.dup2(theirs.fileno(), self._descriptor, inheritable=False)
        ours.setblocking(False)
        ours.send(self._request)
        self._socket = ours
        return True

    def close(self) -> None:
        """The session is over; the connection gets its place back if it has not yet."""
        self._is_done = True
        if self._socket is not None:
            self._finish()

    def _finish(self) -> None:
        """libfuse has answered into the socket, or given up."""
        assert self._socket is not None
        with self._socket:
            try:
                reply = self._socket.recv(_MESSAGE_BYTES_MAX)
            except BlockingIOError:
                reply = b""
        self._socket, self._is_done = None, True
        os.dup2(self._kernel, self._descriptor, inheritable=False)
        os.close(self._kernel)
        greeted = completed(self._request, reply, self._wanted)
        if reply:
            os.write(self._descriptor, greeted.reply)
        self._on_done(greeted.granted)
