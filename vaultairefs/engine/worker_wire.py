"""The socket between the daemon and its engine worker: whole messages, and open files with them.

A frame is a length (4 bytes), a count of descriptors (2 bytes), both little-endian, and a msgpack message.  The
descriptors go with the first byte of their frame (SCM_RIGHTS, unix(7)), so they are there when the frame is whole, and
come in the frames' order.

Promise: ``send`` never waits and keeps nothing of the caller's but what it copies; a frame is sent whole, whatever is
cancelled meanwhile; what the other side takes slowly is held here, and the callers' number bounds how much that is.
"""

import array
import os
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
import trio

from vaultairefs.engine.worker_errors import ErrorForm
from vaultairefs.model.context import OperationContext

_HEADER: Final = struct.Struct("<IH")
_RECEIVE_BYTES: Final = 128 << 10
_RIGHTS_BYTES: Final = socket.CMSG_SPACE(253 * 4)
"""Room for as many descriptors as the kernel hands over at once (SCM_MAX_FD)."""
_RECEIVE_FLAGS: Final = socket.MSG_CMSG_CLOEXEC


class Open(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Open an engine: ``factory`` is ``module:function``.  With ``knowledge`` it need not be probed again.

    A descriptor that comes along is held, unused, until the worker's end (see ``Keep``).
    """

    factory: str
    arguments: dict[str, Any]
    knowledge: bytes | None = None


class Keep(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Hold the descriptor that comes along: a lock that tells others whether this process still lives."""


class Call(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A verb.  ``context`` is None for nobody's; ``seconds`` is how long the caller will wait, None for ever."""

    call_id: int
    verb: str
    arguments: bytes
    apart: tuple[str, ...] = ()
    context: OperationContext | None = None
    seconds: float | None = None


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Nobody waits for that call any more; it is answered all the same, when it has ended."""

    call_id: int


class News(msgspec.Struct, frozen=True, array_like=True):
    """What is to be known beside an answer: requests that went out since, facts that changed."""

    requests: dict[str, int] = {}
    facts: dict[str, bytes] = {}
    knowledge: bytes | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What a call returned."""

    call_id: int
    value: msgspec.Raw
    news: News | None = None


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What a call raised; None when it was cancelled."""

    call_id: int
    error: ErrorForm | None
    news: News | None = None


Question = Open | Keep | Call | Cancel
Reply = Answer | Failure


class Gone(Exception):
    """The other side has closed the connection, or nothing sensible comes from it any more."""


class Wire:
    """One end.  ``run`` must be running, for what cannot be sent at once; it ends with ``close``."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._encoder = msgspec.msgpack.Encoder()
        self._unsent: deque[tuple[memoryview, list[int]]] = deque()
        self._more = trio.Event()
        self._block = memoryview(bytearray(_RECEIVE_BYTES))
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._is_broken = False

    def send(self, message: Question | Reply, descriptors: Sequence[int] = ()) -> None:
        """To a side that is gone nothing is sent; ``receive`` tells of that."""
        payload = self._encoder.encode(message)
        frame = memoryview(_HEADER.pack(len(payload), len(descriptors)) + payload)
        sent = 0
        if not self._unsent:
            sent = self._send_some(frame, descriptors)
        if sent < len(frame) and not self._is_broken:
            copies = [] if sent else [os.dup(descriptor) for descriptor in descriptors]
            self._unsent.append((frame[sent:], copies))
            self._more.set()

    async def run(self) -> None:
        """Send what ``send`` could not, until ``close``; cannot be cancelled."""
        with trio.CancelScope(shield=True), suppress(trio.ClosedResourceError):
            while not self._is_broken:
                await self._more.wait()
                self._more = trio.Event()
                while self._unsent:
                    await trio.lowlevel.wait_writable(self._socket)
                    self._send_more()

    async def receive(self) -> tuple[bytes, list[int]]:
        """The next message, and its descriptors, which are the caller's to close.  ``Gone`` at the end."""
        while True:
            if len(self._received) >= _HEADER.size:
                length, count = _HEADER.unpack_from(self._received)
                end = _HEADER.size + length
                if len(self._received) >= end and len(self._descriptors) >= count:
                    message = bytes(memoryview(self._received)[_HEADER.size : end])
                    del self._received[:end]
                    return message, [self._descriptors.popleft() for _ in range(count)]
            if self._socket.fileno() < 0:
                raise Gone("the connection was closed here")
            with suppress(trio.ClosedResourceError):
                await trio.lowlevel.wait_readable(self._socket)
            self._receive_some()

    def close(self) -> None:
        """No message is sent or received afterwards."""
        self._break()
        _close_all(self._descriptors)
        self._descriptors.clear()
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _send_some(self, frame: memoryview, descriptors: Sequence[int]) -> int:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            return self._socket.sendmsg([frame], rights, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            self._break()
            return 0

    def _send_more(self) -> None:
        if not self._unsent:
            return
        frame, copies = self._unsent[0]
        sent = self._send_some(frame, copies)
        if sent:
            _close_all(copies)
            self._unsent.popleft()
            if sent < len(frame):
                self._unsent.appendleft((frame[sent:], []))

    def _break(self) -> None:
        self._is_broken = True
        self._more.set()
        while self._unsent:
            _close_all(self._unsent.popleft()[1])

    def _receive_some(self) -> None:
        try:
            length, ancillary, flags, _ = self._socket.recvmsg_into([self._block], _RIGHTS_BYTES, _RECEIVE_FLAGS)
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone(str(error)) from error
        for level, kind, rights in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(rights[: len(rights) - len(rights) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if flags & socket.MSG_CTRUNC:
            raise Gone("descriptors were lost: this process may open no more files")
        if not length:
            raise Gone("the connection was closed")
        self._received += self._block[:length]


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
