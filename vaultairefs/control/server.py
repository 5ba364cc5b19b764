"""The daemon's side of the control socket.

Promise: the socket is the owner's alone (mode 0600 in a 0700 directory, and the peer's uid is checked: SO_PEERCRED,
unix(7)); a request that fails is answered with a sentence and never ends the daemon; a client that hangs up cancels
its own request only; at most ``CLIENTS_MAX`` are served at once.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
import trio

from vaultairefs.control.protocol import LINE_BYTES_MAX, SOCKET_NAME, Message, decode, encode
from vaultairefs.model.errors import BadInput, DeviceFailed, VaultaireError

CLIENTS_MAX: Final = 32
REQUEST_SECONDS_MAX: Final = 30.0
"""How long a client may take to send its one line."""

_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)
"""The client hung up, or never said what it wants."""

Send = Callable[[Message], Awaitable[None]]
Verb = Callable[[Message, Send], Awaitable[Message]]
"""Given the request and a way to send progress, returns the last reply, to which the server adds ``"done": true``."""

_log = structlog.get_logger("vaultairefs.control")


def listen(state_directory: Path) -> trio.SocketListener:
    """A listening socket ``control`` in the state directory; one left by a dead daemon is replaced.

    The caller holds the lock of the state directory.  ``DeviceFailed`` when it cannot be made.
    """
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        (state_directory / SOCKET_NAME).unlink(missing_ok=True)
        directory = os.open(state_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mask = os.umask(0o177)
        try:
            _bind(listener, f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.umask(mask)
            os.close(directory)
        listener.listen(CLIENTS_MAX)
    except OSError as error:
        listener.close()
        raise DeviceFailed(f"the control socket in {state_directory} cannot be made: {error.strerror}") from error
    return trio.SocketListener(listener)


def _bind(listener: trio.socket.SocketType, path: str) -> None:
    """bind(2) now: trio's own ``bind`` is async for the sake of host names."""
    plain = socket.socket(fileno=os.dup(listener.fileno()))
    try:
        plain.bind(path)
    finally:
        plain.close()


class ControlServer:
    """Answers at ``listener``, which ``listen`` made.  The socket stays behind: the next daemon replaces it."""

    def __init__(self, listener: trio.SocketListener, verbs: Mapping[str, Verb]) -> None:
        self._listener = listener
        self._verbs = verbs
        self._limiter = trio.CapacityLimiter(CLIENTS_MAX)
        self._under_way = 0
        self._idle = trio.Event()

    async def run(self) -> None:
        """Answer until cancelled."""
        await trio.serve_listeners(self._serve_one, [self._listener])

    async def finish(self) -> None:
        """Wait until nobody waits for an answer; the caller says for how long."""
        while self._under_way:
            self._idle = trio.Event()
            await self._idle.wait()

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        self._under_way += 1
        try:
            async with self._limiter, stream:
                await _answer(stream, self._verbs)
        except Exception as error:
            if not isinstance(innermost(error), _GONE):
                _log.exception("control_request_failed")
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


async def _answer(stream: trio.SocketStream, verbs: Mapping[str, Verb]) -> None:
    async with trio.open_nursery() as nursery:
        try:
            if _peer_uid(stream) not in (0, os.geteuid()):
                raise BadInput("only the owner of this mount and root may use its control socket")
            with trio.fail_after(REQUEST_SECONDS_MAX):
                request = await _receive_line(stream)
            verb = verbs.get(str(request.get("verb")))
            if verb is None:
                raise BadInput(f"this daemon does not know the request {request.get('verb')!r}")
            nursery.start_soon(_watch_hangup, stream, nursery.cancel_scope)
            last = await verb(request, lambda reply: stream.send_all(encode(reply)))
            await stream.send_all(encode({**last, "done": True}))
        except Exception as error:
            await _send_error(stream, innermost(error))
        nursery.cancel_scope.cancel()


async def _receive_line(stream: trio.SocketStream) -> Message:
    received = b""
    while b"\n" not in received:
        if len(received) > LINE_BYTES_MAX:
            raise BadInput("the request is too long")
        piece = await stream.receive_some(65536)
        if not piece:
            raise trio.BrokenResourceError
        received += piece
    return decode(received.partition(b"\n")[0])


async def _watch_hangup(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """A client that goes away no longer wants its answer."""
    with contextlib.suppress(*_GONE):
        while await stream.receive_some(4096):
            pass
    scope.cancel()


async def _send_error(stream: trio.SocketStream, error: BaseException) -> None:
    if isinstance(error, _GONE):
        return
    if isinstance(error, VaultaireError):
        sentence = str(error.args[0])
    else:
        _log.error("control_request_failed", exc_info=error)
        sentence = f"the daemon failed to answer: {type(error).__name__}: {error}"
    with contextlib.suppress(*_GONE):
        await stream.send_all(encode({"error": sentence, "done": True}))


def innermost(error: BaseException) -> BaseException:
    """What a nursery's group of errors is about: the first of them; the rest are followers."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _peer_uid(stream: trio.SocketStream) -> int:
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)
