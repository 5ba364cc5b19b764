"""Sends requests about one bucket: addressed, signed, counted, and repeated where that can do no harm.

Promise: a request that is not ``repeatable`` reaches the server at most once; for others ``Unsent``, ``Lost`` and
refusals for now are tried again a few times, after a growing, random pause or what Retry-After says.  Blocking,
thread-safe.
"""

import email.utils
import hashlib
import os
import random
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Pool, Reply, Sink, Unsent
from vaultairefs.engine.s3_session import Session
from vaultairefs.engine.s3_signing import EMPTY_SHA256, UNSIGNED
from vaultairefs.model.errors import Corrupt

ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.1
_PAUSE_SECONDS_MAX: Final = 8.0
_BLOCK_BYTES: Final = 1 << 20


class FileRange(NamedTuple):
    """Bytes of an open file, as the body of a request that can be sent again."""

    descriptor: int
    offset: int
    length: int

    def blocks(self) -> Iterator[bytes]:
        """All of them; ``Corrupt`` when the file is shorter."""
        position, end = self.offset, self.offset + self.length
        while position < end:
            block = os.pread(self.descriptor, min(_BLOCK_BYTES, end - position), position)
            if not block:
                raise Corrupt("the source of a chunk ended early")
            position += len(block)
            yield block


class Request(NamedTuple):
    """What to ask about a key, or about the bucket itself where ``key`` is None."""

    operation: str
    method: str
    key: bytes | None = None
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes | FileRange = b""
    sink: Sink | None = None
    repeatable: bool = True
    plain: bool = False
    """What is read or copied was stored without the customer's key that the policy names."""


class S3Client:
    """Requests about ``bucket``; about the account where that is empty."""

    def __init__(
        self,
        session: Session,
        bucket: str,
        connections_max: int,
        *,
        requests: Counter[str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.session = session
        self.bucket = bucket
        self.requests: Counter[str] = Counter() if requests is None else requests
        """How many requests went out, by operation."""
        self._sleep = sleep
        self.policy = session.policy
        self._signer = session.signer()
        self._site = session.bucket(bucket) if bucket else session.service()
        self._pool = Pool(self._site.origin, connections_max)
        self._connections_max = connections_max
        self._date = ""
        self._ahead_seconds = 0.0

    def about(self, bucket: str) -> "S3Client":
        """A client of the same account for another bucket."""
        return S3Client(self.session, bucket, self._connections_max, requests=self.requests, sleep=self._sleep)

    @property
    def signs_bodies(self) -> bool:
        """Whether the signature covers what is sent: under TLS nobody can change it on its way."""
        return not (self._site.is_tls or self.policy.unsigned_payload)

    def send(self, request: Request) -> Reply:
        """The answer to a request, which is a success; ``Refused``, ``Lost`` or ``Unsent`` else."""
        renewed = False
        for attempt in range(ATTEMPTS):
            is_last = attempt == ATTEMPTS - 1
            try:
                return self._send_once(request)
            except Unsent:
                if is_last:
                    raise
                self.pause(attempt)
            except Lost:
                if is_last or not request.repeatable:
                    raise
                self.pause(attempt)
            except Refused as refusal:
                if refusal.is_stale_credential and not renewed and not is_last:
                    renewed = True
                    self._signer = self.session.renewed_signer()
                    continue
                if refusal.status == 400 and not request.plain and self.policy.may_be_plain(request.operation):
                    request = request._replace(plain=True)
                    continue
                if is_last or not request.repeatable or not refusal.is_for_now:
                    raise
                self.pause(attempt, refusal.retry_after)
        raise AssertionError("the last attempt returns or raises")

    def send_about_bucket(self) -> None:
        """Ask whether the bucket is there."""
        self.send(Request("head-bucket", "HEAD"))

    def pause(self, attempt: int, retry_after: str = "") -> None:
        """Wait before attempt ``attempt + 2``."""
        longest = min(_PAUSE_SECONDS * 4.0**attempt, _PAUSE_SECONDS_MAX)
        seconds = random.uniform(longest / 2, longest)
        if retry_after.isdecimal():
            seconds = max(seconds, min(float(retry_after), _PAUSE_SECONDS_MAX))
        self._sleep(seconds)

    def server_s(self) -> int:
        """The store's clock as its last answer told it, in whole seconds since 1970."""
        return int(time.time() + self._ahead_seconds)

    def move_to(self, region: str) -> None:
        """The bucket turned out to be in another region."""
        self.session = self.session.in_region(region)
        self._signer = self.session.signer()
        self._pool.close()
        self._site = self.session.bucket(self.bucket) if self.bucket else self.session.service()
        self._pool = Pool(self._site.origin, self._connections_max)

    def close(self) -> None:
        self._pool.close()

    def _send_once(self, request: Request) -> Reply:
        site = self._site
        tail = "/" + urllib.parse.quote(request.key, safe="/~") if request.key is not None else ""
        query = "&".join(sorted(f"{name}={urllib.parse.quote(value, safe='~')}" for name, value in request.query))
        body = request.body
        length = len(body) if isinstance(body, bytes) else body.length
        dressed = self.policy.dressed(request.operation, request.headers, plain=request.plain)
        headers = {"host": site.host, **dressed}
        path = site.path + tail or "/"
        signed = self._signer.sign(request.method, path, query, headers, self._payload_sha256(body))
        target = (site.root + tail or "/") + (f"?{query}" if query else "")
        lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.items())]
        if length or request.method in ("PUT", "POST"):
            lines.append(f"content-length: {length}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.requests[request.operation] += 1
        content = body if isinstance(body, bytes) else body.blocks
        reply = self._pool.exchange(head, content, request.method, request.sink)
        self._set_clock(reply.headers.get("date", ""))
        if not 200 <= reply.status < 300:
            raise Refused(reply, request.operation)
        return reply

    def _set_clock(self, date: str) -> None:
        if date and date != self._date:
            self._date = date
            with suppress(ValueError, TypeError):
                self._ahead_seconds = email.utils.parsedate_to_datetime(date).timestamp() - time.time()

    def _payload_sha256(self, body: bytes | FileRange) -> str:
        if not self.signs_bodies:
            return UNSIGNED
        if isinstance(body, bytes):
            return hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
        digest = hashlib.sha256()
        for block in body.blocks():
            digest.update(block)
        return digest.hexdigest()
