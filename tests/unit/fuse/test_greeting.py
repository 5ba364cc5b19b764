"""The first exchange with the kernel: what libfuse's answer gains, and that the connection gets its place back."""

import os
import socket
import struct
from collections.abc import Awaitable, Iterator

import pyfuse3
import pytest

from vaultairefs.fuse import greeting
from vaultairefs.fuse.waiting import installed

INIT = 26
READ_AHEAD = 1 << 17
LIBFUSE_FLAGS = greeting.AUTO_INVAL_DATA | 1
UNIQUE = 2


def request(offered: int, *, opcode: int = INIT, major: int = 7) -> bytes:
    body = struct.pack("=IIIII", major, 40, READ_AHEAD, offered & 0xFFFFFFFF, offered >> 32) + bytes(44)
    return struct.pack("=IIQQIIIHH", 40 + len(body), opcode, UNIQUE, 0, 0, 0, 0, 0, 0) + body


def reply(flags: int = LIBFUSE_FLAGS, *, error: int = 0) -> bytes:
    body = struct.pack("=IIIIHHIIHHII", 7, 38, READ_AHEAD, flags, 0, 0, 1 << 20, 1, 256, 0, 0, 0) + bytes(24)
    return struct.pack("=IiQ", 16 + len(body), error, UNIQUE) + body


def fields(answer: bytes) -> tuple[int, int, int, int]:
    """Flags, max_background, congestion threshold and stacking depth of an answer."""
    found = struct.unpack_from("=IIIIHHIIHHII", answer, 16)
    return found[3] | found[10] << 32, found[4], found[5], found[11]


ALL = greeting.HANDLE_KILLPRIV_V2 | greeting.EXPLICIT_INVAL_DATA | greeting.PASSTHROUGH


def test_what_is_offered_and_wanted_is_asked_for() -> None:
    answer, granted = greeting.completed(request(ALL | greeting.INIT_EXT), reply(), ALL)
    flags, background, congested, depth = fields(answer)
    assert granted == ALL
    assert flags == ALL | greeting.INIT_EXT | 1
    assert (background, congested, depth) == (64, 48, 1)
    assert len(answer) == len(reply())
    assert answer[:28] == reply()[:28]


@pytest.mark.parametrize("offered", [1, greeting.PASSTHROUGH, greeting.EXPLICIT_INVAL_DATA])
def test_what_is_not_offered_is_never_asked_for(offered: int) -> None:
    """High flags that come without ``INIT_EXT`` are not flags."""
    answer, granted = greeting.completed(request(offered), reply(), ALL)
    assert granted == offered & ALL & 0xFFFFFFFF
    flags, _, _, depth = fields(answer)
    assert flags & ALL == granted
    assert depth == 0
    assert bool(flags & greeting.AUTO_INVAL_DATA) is not bool(granted)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (request(ALL | greeting.INIT_EXT, opcode=3), reply()),
        (request(ALL | greeting.INIT_EXT, major=8), reply()),
        (request(ALL | greeting.INIT_EXT)[:50], reply()),
        (request(ALL | greeting.INIT_EXT), reply(error=-71)),
        (request(ALL | greeting.INIT_EXT), reply()[:24]),
    ],
)
def test_an_unknown_form_goes_on_as_it_is(asked: bytes, answered: bytes) -> None:
    assert greeting.completed(asked, answered, ALL) == (answered, 0)


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    kernel, daemon = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with kernel, daemon:
        yield kernel, daemon


def next_wait() -> Awaitable[bool]:
    """What pyfuse3 awaits before it reads a request."""
    found: Awaitable[bool] = pyfuse3._wait_fuse_readable()  # type: ignore[attr-defined]
    return found


async def test_the_kernel_gets_the_completed_answer_and_later_requests_come_by_themselves(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    kernel, daemon = connection
    said: list[int] = []
    kernel.send(request(ALL | greeting.INIT_EXT))
    with installed(daemon.fileno(), ALL, said.append) as wait:
        assert await next_wait()
        assert os.read(daemon.fileno(), 1 << 17) == request(ALL | greeting.INIT_EXT)
        os.write(daemon.fileno(), reply())
        kernel.send(b"the next request")
        assert await next_wait()
        assert kernel.recv(1000) == greeting.completed(request(ALL | greeting.INIT_EXT), reply(), ALL).reply
        assert daemon.recv(1000) == b"the next request"
        assert said == [ALL]
        assert pyfuse3._wait_fuse_readable is wait  # type: ignore[attr-defined]


async def test_a_session_that_ends_before_its_answer_leaves_the_connection_in_place(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    kernel, daemon = connection
    kernel.send(request(ALL))
    with installed(daemon.fileno(), ALL):
        assert await next_wait()
    kernel.send(b"for the connection itself")
    assert daemon.recv(1000) == b"for the connection itself"
