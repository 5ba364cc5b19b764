"""An HTTP server that answers what a test tells it to, byte for byte, and remembers what it was asked.

A script is a list of answers, one for each request: bytes to send, or a function of the request.  It stands in for the
failures that no honest server shows on demand.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

HANG_UP = b"\0hang up"
"""At the end of an answer: close the connection after it."""


class Asked(NamedTuple):
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


Answer = bytes | Callable[[Asked], bytes]


class Scripted:
    """The running server; ``asked`` grows with each request."""

    def __init__(self, script: Sequence[Answer]) -> None:
        self.asked: list[Asked] = []
        self._script = list(script)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        for one in (self._listener, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join()

    def _serve(self) -> None:
        """One connection after the other: the tests that need this ask one thing at a time."""
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self._connections.append(connection)
            with suppress(OSError, ValueError):
                self._converse(connection)
            connection.close()

    def _converse(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while line := reader.readline():
            headers = {}
            while (header := reader.readline().strip()) != b"":
                name, _, value = header.partition(b":")
                headers[name.decode().lower()] = value.strip().decode()
            body = reader.read(int(headers.get("content-length", "0")))
            asked = Asked(line.decode().strip(), headers, body)
            self.asked.append(asked)
            answer = self._script.pop(0) if self._script else HANG_UP
            text = answer if isinstance(answer, bytes) else answer(asked)
            connection.sendall(text.removesuffix(HANG_UP))
            if text.endswith(HANG_UP):
                return


@contextmanager
def scripted(*script: Answer) -> Iterator[Scripted]:
    server = Scripted(script)
    try:
        yield server
    finally:
        server.close()


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; ``_`` in header names stands for ``-``."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def refusal(status: int, code: str, **headers: str) -> bytes:
    """An error document."""
    return answer(status, f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode(), **headers)
