"""One HTTP/1.1 connection, and a pool of them: exactly the bytes that we say go out, nothing is normalised.

Promise: an answer is whole or an error.  ``Unsent`` means that the server has seen no complete request; ``Lost`` means
that it may have done what was asked.  Blocking, with time-outs; every connection is used by one thread at a time.
Not for servers in general: no redirects, no cookies, no compression.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import Final, NamedTuple

CONNECT_SECONDS_MAX: Final = 10.0
SILENCE_SECONDS_MAX: Final = 60.0
"""No single send or receive waits longer than this."""
_LINE_BYTES_MAX: Final = 65_536
_HEADERS_MAX: Final = 200
_TEXT_BYTES_MAX: Final = 64 << 20
"""Longer answers than this are taken only by a sink."""
_BLOCK_BYTES: Final = 1 << 20


class Unsent(Exception):
    """No connection, or it broke before the request was complete."""


class Lost(Exception):
    """The request went out and no whole answer came back."""


class Reply(NamedTuple):
    """An answer: header names in lower case; ``body`` is empty where a sink took it."""

    status: int
    headers: dict[str, str]
    body: bytes


class Origin(NamedTuple):
    """Where to connect: ``tunnel`` is the host and port that a proxy is asked for (https)."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    tunnel: str = ""


Blocks = Callable[[], Iterator[bytes]]
Sink = Callable[[int, dict[str, str]], Callable[[memoryview], object] | None]
"""Given status and headers, it answers what takes the body's bytes, or None to have them in ``Reply.body``."""


class Connection:
    """An open connection; after ``Lost``/``Unsent``, or when ``reusable`` is False, it is closed."""

    def __init__(self, origin: Origin) -> None:
        self.reusable = True
        try:
            self._socket = _connect(origin)
        except OSError as error:
            raise Unsent(str(error)) from error
        self._file = BufferedReader(socket.SocketIO(self._socket, "r"), _LINE_BYTES_MAX)

    def close(self) -> None:
        self.reusable = False
        self._file.close()
        self._socket.close()

    def is_stale(self) -> bool:
        """Whether the server closed it, or said something unasked, while it was idle."""
        try:
            return bool(select.select([self._socket], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    def exchange(self, head: bytes, body: bytes | Blocks, method: str, sink: Sink | None) -> Reply:
        """Send one request and read its answer."""
        self.reusable = False
        refused_early = False
        try:
            self._send(head, body)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise Lost("the server does not take the request") from error
            refused_early = True  # it may have answered before it hung up
        try:
            return self._receive(method, sink)
        except (OSError, ValueError, EOFError) as error:
            if refused_early:
                raise Unsent("the connection broke while the request was sent") from error
            raise Lost(str(error) or type(error).__name__) from error

    def _send(self, head: bytes, body: bytes | Blocks) -> None:
        if isinstance(body, bytes):
            self._socket.sendall(head + body if len(body) <= _LINE_BYTES_MAX else head)
            if len(body) > _LINE_BYTES_MAX:
                self._socket.sendall(body)
            return
        self._socket.sendall(head)
        for block in body():
            self._socket.sendall(block)

    def _receive(self, method: str, sink: Sink | None) -> Reply:
        status, persistent = self._status_line()
        headers = self._headers()
        while 100 <= status < 200:
            status, persistent = self._status_line()
            headers = self._headers()
        taker = sink(status, headers) if sink is not None else None
        body = bytearray()
        if method != "HEAD" and status not in (204, 304):
            length = self._body(headers, taker or _append_to(body))
            persistent = persistent and length
        if headers.get("connection", "").lower() == "close":
            persistent = False
        self.reusable = persistent
        return Reply(status, headers, bytes(body))

    def _status_line(self) -> tuple[int, bool]:
        line = self._line()
        version, _, rest = line.partition(b" ")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not rest[:3].isdigit():
            raise ValueError("this is no HTTP/1.1 server")
        return int(rest[:3]), version == b"HTTP/1.1"

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_HEADERS_MAX):
            line = self._line()
            if not line:
                return headers
            name, _, value = line.partition(b":")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        raise ValueError("too many headers")

    def _line(self) -> bytes:
        line = self._file.readline(_LINE_BYTES_MAX)
        if not line:
            raise EOFError("the server hung up without an answer")
        if not line.endswith(b"\n"):
            raise ValueError("a header line is too long or cut off")
        return line.rstrip(b"\r\n")

    def _body(self, headers: dict[str, str], take: Callable[[memoryview], object]) -> bool:
        """Read the body; returns whether its end was marked, so that the connection can go on."""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while size := int(self._line().split(b";")[0], 16):
                self._pass_on(size, take)
                if self._line():
                    raise ValueError("a chunk does not end where it says")
            self._headers()
            return True
        if "content-length" in headers:
            self._pass_on(int(headers["content-length"]), take)
            return True
        while block := self._file.read(_BLOCK_BYTES):
            take(memoryview(block))
        return False

    def _pass_on(self, length: int, take: Callable[[memoryview], object]) -> None:
        if length < 0:
            raise ValueError("a negative length")
        buffer = memoryview(bytearray(min(length, _BLOCK_BYTES)))
        while length:
            part = buffer[: min(length, _BLOCK_BYTES)]
            count = self._file.readinto(part)
            if not count:
                raise EOFError("the body ended early")
            take(part[:count])
            length -= count


class Pool:
    """Connections to one origin: the one used last is used next; at most ``idle_max`` wait."""

    def __init__(self, origin: Origin, idle_max: int) -> None:
        self._origin = origin
        self._idle_max = idle_max
        self._guard = threading.Lock()
        self._idle: list[Connection] = []

    def exchange(self, head: bytes, body: bytes | Blocks, method: str, sink: Sink | None = None) -> Reply:
        """One request over some connection; ``Unsent`` or ``Lost`` when there is no whole answer."""
        connection = self._take()
        try:
            reply = connection.exchange(head, body, method, sink)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            with self._guard:
                if len(self._idle) < self._idle_max:
                    self._idle.append(connection)
                    return reply
        connection.close()
        return reply

    def close(self) -> None:
        """Close what is idle, and whatever is still in use as soon as it no longer is."""
        with self._guard:
            self._idle_max = 0
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection:
        while True:
            with self._guard:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return Connection(self._origin)
            if not connection.is_stale():
                return connection
            connection.close()


def _connect(origin: Origin) -> socket.socket:
    raw = socket.create_connection((origin.host, origin.port), CONNECT_SECONDS_MAX)
    try:
        raw.settimeout(SILENCE_SECONDS_MAX)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if origin.tunnel:
            _open_tunnel(raw, origin.tunnel)
        if origin.tls is not None:
            return origin.tls.wrap_socket(raw, server_hostname=origin.server_name or origin.host)
    except BaseException:
        raw.close()
        raise
    return raw


def _open_tunnel(raw: socket.socket, target: str) -> None:
    raw.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LINE_BYTES_MAX:
        block = raw.recv(1)
        if not block:
            break
        answer += block
    if answer[9:12] != b"200":
        raise OSError(f"the proxy refuses a tunnel to {target}")


def _append_to(body: bytearray) -> Callable[[memoryview], None]:
    def take(block: memoryview) -> None:
        if len(body) + len(block) > _TEXT_BYTES_MAX:
            raise ValueError("the answer is too long")
        body.extend(block)

    return take
