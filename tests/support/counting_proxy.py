"""What a client asks of an S3 server, counted on the wire between the two.

Promise: every request that reached the server is counted once, by its operation; bytes are those of bodies
alone.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.support.http_relay import Forwarder, Request, relay


class Counts(NamedTuple):
    """``requests`` by operation (``http_relay.OPERATIONS``); bytes of bodies ``up`` to the server and ``down``."""

    requests: Counter[str]
    up: int
    down: int

    def since(self, earlier: "Counts") -> "Counts":
        """What came after ``earlier``; nothing is counted below zero."""
        requests = self.requests - earlier.requests
        return Counts(requests, max(self.up - earlier.up, 0), max(self.down - earlier.down, 0))


class Counting:
    """A counter that runs on."""

    def __init__(self) -> None:
        self._requests: Counter[str] = Counter()
        self._up = self._down = 0

    @property
    def now(self) -> Counts:
        """Everything up to now."""
        return Counts(self._requests.copy(), self._up, self._down)

    async def handle(self, request: Request, forward: Forwarder) -> bytes:
        """Pass it on."""
        self._requests[request.operation] += 1
        self._up += len(request.body)
        answer = await forward(request)
        self._down += len(answer.body)
        return answer.head + answer.body


@contextmanager
def counting_proxy(endpoint_url: str, counting: Counting) -> Iterator[str]:
    """The endpoint of a proxy in front of the other one that counts what passes."""
    with relay(endpoint_url, counting.handle) as endpoint:
        yield endpoint
