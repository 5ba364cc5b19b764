"""A bad network and a bad server between an S3 client and a good one, deterministic by seed.

It breaks each operation in a way that happens.  A plan says for each request, by its operation and how many of those
came before, which of ``FAULTS`` it meets.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from tests.support.http_relay import Forwarder, Hangup, Request, relay

STALL_SECONDS: Final = 1.0


def refusal(status: int, code: str, *headers: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>a fault of the proxy</Message></Error>'.encode()
    lines = [f"HTTP/1.1 {status} {code}", f"Content-Length: {len(body)}", "Content-Type: application/xml", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def refuse(status: int, code: str, request: Request, forward: Forwarder, *headers: str) -> bytes:
    """Nothing is done, and the answer says so."""
    answer = refusal(status, code, *headers)
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else answer


async def lose_the_bucket(request: Request, forward: Forwarder) -> bytes:
    """Nothing is done, as if the bucket were away.  (HEAD cannot tell that from a missing object: a store that says
    there is nothing is believed.)"""
    if request.method == "HEAD":
        answer = await forward(request)
        return answer.head + answer.body
    return refusal(404, "NoSuchBucket")


async def reset(request: Request, forward: Forwarder) -> bytes:
    """Nothing is done, and nothing is said."""
    raise Hangup


async def apply_and_reset(request: Request, forward: Forwarder) -> bytes:
    """It is done, and nobody hears of it."""
    await forward(request)
    raise Hangup


async def apply_and_refuse(request: Request, forward: Forwarder) -> bytes:
    """It is done, and the answer says that it is not."""
    await forward(request)
    return await refuse(503, "SlowDown", request, forward, "Retry-After: 0")


async def truncate(request: Request, forward: Forwarder) -> bytes:
    """It is done, and the answer breaks off in the middle of its body, or of its head where there is none."""
    answer = await forward(request)
    raise Hangup(answer.head + answer.body[: len(answer.body) // 2] if answer.body else answer.head[:-20])


async def stall(request: Request, forward: Forwarder) -> bytes:
    """It is done late."""
    await trio.sleep(STALL_SECONDS)
    answer = await forward(request)
    return answer.head + answer.body


async def repeat(request: Request, forward: Forwarder) -> bytes:
    """It is done twice; the second answer arrives."""
    await forward(request)
    answer = await forward(request)
    return answer.head + answer.body


async def mistell(request: Request, forward: Forwarder) -> bytes:
    """It is done, and the answer names another version."""
    answer = await forward(request)
    lines = answer.head.split(b"\r\n")
    return b"\r\n".join(b'ETag: "0123456789abcdef0123456789abcdef"' if line.lower().startswith(b"etag:") else line
                        for line in lines) + answer.body  # fmt: skip


Fault = Callable[[Request, Forwarder], Awaitable[bytes]]
FAULTS: Final[dict[str, Fault]] = {
    "500": partial(refuse, 500, "InternalError"),
    "503": partial(refuse, 503, "ServiceUnavailable"),
    "slow down": lambda request, forward: refuse(503, "SlowDown", request, forward, "Retry-After: 1"),
    "reset": reset,
    "applied and reset": apply_and_reset,
    "applied and 503": apply_and_refuse,
    "truncated": truncate,
    "stalled": stall,
    "repeated": repeat,
    "wrong etag": mistell,
    "403": partial(refuse, 403, "AccessDenied"),
    "404": lose_the_bucket,
    "409": partial(refuse, 409, "ConditionalRequestConflict"),
    "412": partial(refuse, 412, "PreconditionFailed"),
    "expired": partial(refuse, 400, "ExpiredToken"),
}


class Plan:
    """Which fault the request meets; ``hits`` counts those met, by operation and fault."""

    def __init__(self, choose: Callable[[str, int], str | None]) -> None:
        self.hits: Counter[tuple[str, str]] = Counter()
        self.is_on = True
        self._choose = choose
        self._seen: Counter[str] = Counter()

    def fault(self, operation: str) -> Fault | None:
        number = self._seen[operation]
        self._seen[operation] += 1
        name = self._choose(operation, number) if self.is_on else None
        if name is None:
            return None
        self.hits[operation, name] += 1
        return FAULTS[name]


@contextmanager
def fault_proxy(endpoint_url: str, plan: Plan) -> Iterator[str]:
    """The endpoint of a proxy in front of the other one that does to each request what the plan says."""

    async def handle(request: Request, forward: Forwarder) -> bytes:
        fault = plan.fault(request.operation)
        if fault is not None:
            return await fault(request, forward)
        answer = await forward(request)
        return answer.head + answer.body

    with relay(endpoint_url, handle) as endpoint:
        yield endpoint
