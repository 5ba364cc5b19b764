"""An answer is whole or an error, and the error says whether the request may have been done."""

import socket
from collections.abc import Callable

import pytest

from tests.support.scripted import HANG_UP, answer, scripted
from vaultairefs.engine.s3_http import Lost, Origin, Pool, Reply, Unsent

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def ask(pool: Pool, method: str = "GET", take: Callable[[memoryview], None] | None = None) -> Reply:
    return pool.exchange(HEAD, b"", method, None if take is None else lambda status, headers: take)


def pool(port: int) -> Pool:
    return Pool(Origin("127.0.0.1", port), 4)


def test_a_plain_answer_is_read_whole_and_the_connection_is_used_again() -> None:
    with scripted(answer(200, b"one", ETag='"e"'), answer(404, b"two")) as server:
        asking = pool(server.port)
        first = ask(asking)
        assert (first.status, first.headers["etag"], first.body) == (200, '"e"', b"one")
        assert ask(asking).body == b"two"
        assert len(server._connections) == 1
        asking.close()


def test_a_chunked_answer_is_put_together() -> None:
    text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\ntrailer: t\r\n\r\n"
    with scripted(text, answer(200, b"next")) as server:
        asking = pool(server.port)
        assert ask(asking).body == b"abcde"
        assert ask(asking).body == b"next"
        asking.close()


def test_interim_answers_are_passed_over() -> None:
    with scripted(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200, b"done")) as server:
        asking = pool(server.port)
        assert ask(asking).body == b"done"
        asking.close()


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    with scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", answer(200, b"next")) as server:
        asking = pool(server.port)
        assert ask(asking, "HEAD").headers["content-length"] == "99"
        assert ask(asking).body == b"next"
        asking.close()


def test_a_sink_gets_the_bytes_of_a_large_body() -> None:
    got = bytearray()
    with scripted(answer(200, bytes(5_000_000))) as server:
        asking = pool(server.port)
        assert ask(asking, take=got.extend).body == b""
        asking.close()
    assert len(got) == 5_000_000


@pytest.mark.parametrize(
    "text",
    [
        HANG_UP,
        b"HTTP/1.1 200 OK\r\ncontent-le" + HANG_UP,
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort" + HANG_UP,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab" + HANG_UP,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n" + HANG_UP,
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n" + HANG_UP,
        b"SSH-2.0-OpenSSH\r\n" + HANG_UP,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n" + HANG_UP,
        b"HTTP/1.1 200 " + b"x" * 70_000 + HANG_UP,
    ],
    ids=["nothing", "header", "body", "chunk", "chunk size", "length", "protocol", "many headers", "long line"],
)
def test_half_an_answer_is_lost(text: bytes) -> None:
    with scripted(text) as server:
        asking = pool(server.port)
        with pytest.raises(Lost):
            ask(asking)
        asking.close()


def test_a_server_that_is_not_there_has_seen_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(Unsent):
        ask(pool(port))


def test_a_connection_that_was_closed_while_idle_is_not_used_again() -> None:
    with scripted(answer(200, b"one") + HANG_UP, answer(200, b"two")) as server:
        asking = pool(server.port)
        assert ask(asking).body == b"one"
        server._connections[0].close()
        while not asking._idle[0].is_stale():
            pass
        assert ask(asking).body == b"two"
        asking.close()


def test_an_answer_that_says_close_ends_the_connection() -> None:
    with scripted(answer(200, b"one", connection="close"), answer(200, b"two")) as server:
        asking = pool(server.port)
        assert ask(asking).body == b"one"
        assert asking._idle == []
        asking.close()


def test_a_connection_that_was_in_use_when_the_pool_was_closed_is_closed_when_it_comes_back() -> None:
    with scripted(answer(200, b"one")) as server:
        asking = pool(server.port)
        ask(asking, take=lambda block: asking.close())
        assert asking._idle == []
