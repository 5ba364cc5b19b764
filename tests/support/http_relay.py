"""Between an S3 client and a server: understands just enough HTTP/1.1 to see each request and each answer whole.

What becomes of a request is decided by a ``Handler``; ``relay`` serves it in a thread of this process.
"""

import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple

import trio

_BLOCK_BYTES: Final = 1 << 16
_EXPECT: Final = re.compile(rb"(?i)(?<=\r\n)expect:[^\r]*\r\n")


class Request(NamedTuple):
    """One request as it came: ``head`` ends with the empty line."""

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def operation(self) -> str:
        """One of ``OPERATIONS``."""
        path, _, query = self.target.partition("?")
        words = urllib.parse.parse_qs(query, keep_blank_values=True)
        is_bucket = "/" not in path.strip("/")
        if self.method == "PUT":
            kind = "part" if "partNumber" in words else "put"
            return f"copy-{kind}" if b"\nx-amz-copy-source:" in self.head.lower() else kind
        if self.method == "POST":
            return "delete-many" if "delete" in words else "begin" if "uploads" in words else "commit"
        if self.method == "GET":
            return "list" if is_bucket else "get"
        return {"DELETE": "abort" if "uploadId" in words else "delete", "HEAD": "head"}[self.method]


OPERATIONS: Final = (
    "put",
    "part",
    "copy-put",
    "begin",
    "commit",
    "abort",
    "delete-many",
    "delete",
    "get",
    "head",
    "list",
)


class Answer(NamedTuple):
    """An answer as it came; ``head`` ends with the empty line."""

    head: bytes
    body: bytes


class Hangup(Exception):
    """The connection ends here: reset, or closed in good order after what is said."""

    def __init__(self, last: bytes = b"") -> None:
        self.last = last


Handler = Callable[[Request, "Forwarder"], Awaitable[bytes]]
"""What is sent back to the client for a request; ``Hangup`` ends the connection."""


class Forwarder:
    """A connection to the good server for one of the client's, opened anew when that one was closed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._stream: trio.SocketStream | None = None
        self._reader: _Reader

    async def __call__(self, request: Request) -> Answer:
        for is_last in (False, True):
            if self._stream is None:
                self._stream = await trio.open_tcp_stream(*self._address)
                self._reader = _Reader(self._stream)
            try:
                await self._stream.send_all(request.head + request.body)
                return await self._reader.answer(request.method)
            except (trio.BrokenResourceError, EOFError):
                await self.aclose()
                if is_last:
                    raise
        raise AssertionError

    async def aclose(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
            self._stream = None


class _Reader:
    """Messages out of a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def request(self) -> Request | None:
        """The next one; None at the end."""
        head = await self._until(b"\r\n\r\n", may_end=True)
        if head is None:
            return None
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        if _header(head, b"expect") == b"100-continue":
            await self._stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = _EXPECT.sub(b"", head)
        return Request(method, target, head, await self._exactly(int(_header(head, b"content-length") or 0)))

    async def answer(self, method: str) -> Answer:
        head = await self._until(b"\r\n\r\n")
        assert head is not None
        status = int(head.split(b" ", 2)[1])
        if method == "HEAD" or status in (204, 304):
            return Answer(head, b"")
        if b"chunked" in (_header(head, b"transfer-encoding") or b""):
            return Answer(head, await self._chunks())
        length = _header(head, b"content-length")
        assert length is not None, "the server neither counts its bytes nor chunks them"
        return Answer(head, await self._exactly(int(length)))

    async def _chunks(self) -> bytes:
        """The body as it stands on the wire."""
        found = b""
        while True:
            line = await self._until(b"\r\n")
            assert line is not None
            size = int(line.split(b";")[0], 16)
            found += line + await self._exactly(size + 2)
            if size == 0:
                return found

    async def _until(self, end: bytes, *, may_end: bool = False) -> bytes | None:
        while (place := self._buffer.find(end)) < 0:
            if not await self._more():
                if may_end and not self._buffer:
                    return None
                raise EOFError
        return self._take(place + len(end))

    async def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not await self._more():
                raise EOFError
        return self._take(length)

    async def _more(self) -> bool:
        block = await self._stream.receive_some(_BLOCK_BYTES)
        self._buffer += block
        return bool(block)

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().lower()
    return None


async def _serve(handler: Handler, upstream: tuple[str, int], stream: trio.SocketStream) -> None:
    reader, forward = _Reader(stream), Forwarder(upstream)
    try:
        while (request := await reader.request()) is not None:
            await stream.send_all(await handler(request, forward))
    except Hangup as hangup:
        if hangup.last:
            await stream.send_all(hangup.last)
        else:  # SO_LINGER of no time: close(2) sends a reset
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except (trio.BrokenResourceError, EOFError):
        pass  # the client has gone, or ends in the middle of a request, as killed ones do
    finally:
        await forward.aclose()
        await stream.aclose()


@contextmanager
def relay(endpoint_url: str, handler: Handler) -> Iterator[str]:
    """The endpoint of a proxy in front of the other one, in a thread of this process."""
    parts = urllib.parse.urlsplit(endpoint_url)
    upstream = (str(parts.hostname), int(parts.port or 80))
    ready = threading.Event()
    found: list[int] = []
    scopes: list[tuple[trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def run() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                listeners = await nursery.start(
                    partial(trio.serve_tcp, partial(_serve, handler, upstream), 0, host="127.0.0.1")
                )
                found.append(listeners[0].socket.getsockname()[1])
                scopes.append((trio.lowlevel.current_trio_token(), scope))
                ready.set()

    thread = threading.Thread(target=trio.run, args=(run,))
    thread.start()
    assert ready.wait(60)
    try:
        yield f"http://127.0.0.1:{found[0]}"
    finally:
        token, scope = scopes[0]
        token.run_sync_soon(scope.cancel)
        thread.join()
