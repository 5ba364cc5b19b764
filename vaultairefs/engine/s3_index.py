"""Index artifacts: one object tells the attributes of all artifacts of a container, so a listing needs no HEAD each.

``.vaultairefs/index/<sha256 of the container's key prefix>`` holds the first shard and says how many there are; the
others are ``<the same>.<shards>.<number>``.  Object metadata stays the truth: a row only saves asking for it.

Promise: an index that is missing, damaged or foreign costs HEADs and nothing else; it is written when its container has
been quiet for as long as makes every row certain, under If-Match where the store heeds that, and merged with what
another mount wrote.  A damaged one is reported and written anew.  Blocking, thread-safe.
"""

import hashlib
import threading
import time
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from vaultairefs.engine.s3_dialects import modified_ns_of
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Unsent
from vaultairefs.engine.s3_index_format import Shard, pack, split, unpack
from vaultairefs.engine.s3_known import PAYS_FROM, SETTLED_SECONDS, Index, Known
from vaultairefs.engine.s3_objects import AFTER_PREFIX, Listed, etag_of
from vaultairefs.engine.s3_store import S3Store
from vaultairefs.model.values import Version

QUIET_SECONDS: Final = SETTLED_SECONDS + 0.5
"""When nothing in a container has changed for so long, every row of its index will be certain."""
_REST_SECONDS: Final = 10.0
"""As long as a mount goes on, an index waits for so long: a program that makes one file after the other pays once."""
_LATE_SECONDS: Final = 300.0
"""A container that never rests gets its index at least so often, of what has rested in it."""
_READ_AGAIN_SECONDS: Final = 10.0

_log: Final = structlog.get_logger("vaultairefs.engine")


class S3Index:
    """The indexes of one namespace."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._known = store.known
        self._writing = threading.Lock()

    def load(self, prefix: bytes) -> None:
        """Read the container's index, unless that was done a moment ago."""
        index = self._known.index(prefix)
        if prefix in self._known.fresh or (index and time.monotonic() - index.read_at < _READ_AGAIN_SECONDS):
            return
        self._known.keep_index(prefix, self._read(prefix))

    def due(self, *, everything: bool) -> tuple[list[bytes], float | None]:
        """The prefixes whose index can be written now, and in how many seconds the next one can."""
        now, ready, waits = time.monotonic(), [], []
        for prefix, changed in list(self._known.changed.items()):
            if not changed.several:
                continue  # a HEAD at the next fresh listing is cheaper than a listing and a put now
            wait = changed.last + QUIET_SECONDS - now
            if not everything:
                wait = min(changed.last + _REST_SECONDS, changed.first + _LATE_SECONDS) - now
            if wait <= 0:
                ready.append(prefix)
            else:
                waits.append(wait)
        return ready, min(waits, default=None)

    def write(self, prefix: bytes) -> None:
        """Bring the container's index up to date.  What changes meanwhile makes it due again.

        A store that does not answer is asked again later; one that refuses is not, until something changes.
        """
        with self._writing:
            self._write(prefix)

    def _write(self, prefix: bytes) -> None:
        changed = self._known.changed.pop(prefix, None)
        if not self._store.abilities.tells_modified or changed is None:
            return
        try:
            self._bring_up_to_date(prefix)
        except (Lost, Unsent, Refused) as failure:
            if not isinstance(failure, Refused) or failure.is_for_now:
                self._known.changed.setdefault(prefix, changed._replace(last=time.monotonic()))
            raise

    def _bring_up_to_date(self, prefix: bytes) -> None:
        listed = self._list(prefix)
        seen_s = self._store.client.server_s()
        if len(listed) < PAYS_FROM:
            return
        for _ in range(2):
            index = self._known.index(prefix)
            if index is None:
                index = Index({}, (), 0.0) if prefix in self._known.fresh else self._read(prefix)
                self._known.keep_index(prefix, index)
            if self._put(prefix, index, self._rows(prefix, listed, seen_s)):
                return
            self._known.keep_index(prefix, self._read(prefix))  # another mount was quicker: on top of what it wrote

    def all_keys(self, prefix: bytes) -> list[bytes]:
        """The objects that the container's index may have."""
        index = self._known.index(prefix)
        if prefix in self._known.fresh or (index is not None and not any(index.etags)):
            return []
        shards = len(index.etags) if index is not None else 1
        return [self._key(prefix, shards, number) for number in range(shards)]

    def _key(self, prefix: bytes, shards: int, number: int) -> bytes:
        digest = hashlib.sha256(prefix[len(self._store.keys.base) :]).hexdigest()
        return self._store.keys.private("index", digest if not number else f"{digest}.{shards}.{number}")

    def _read(self, prefix: bytes) -> Index:
        first = self._read_shard(prefix, 1, 0)
        shards = [first]
        if first[0] is not None:
            shards += [self._read_shard(prefix, first[0].shards, number) for number in range(1, first[0].shards)]
        rows = {component: row for shard, _ in shards if shard is not None for component, row in shard.rows.items()}
        return Index(rows, tuple(etag for _, etag in shards), time.monotonic())

    def _read_shard(self, prefix: bytes, shards: int, number: int) -> tuple[Shard | None, str]:
        """The shard with those of its rows that are certain, and its ETag."""
        try:
            reply = self._store.objects.get(self._key(prefix, shards, number), {})
        except Refused as refusal:
            if refusal.is_for_now:
                raise
            if refusal.status != 404:
                _log.warning("index_refused", prefix=prefix.decode(errors="backslashreplace"), reason=str(refusal))
            return None, ""
        shard = unpack(reply.body, prefix[len(self._store.keys.base) :])
        if shard is None or shard.number != number or (number and shard.shards != shards):
            _log.warning("index_unreadable", prefix=prefix.decode(errors="backslashreplace"))
            return None, etag_of(reply)
        written_s = modified_ns_of(reply.headers.get("last-modified", "")) // 1_000_000_000
        certain = {}
        for component, packed in shard.rows.items():
            with suppress(msgspec.DecodeError):
                row = msgspec.msgpack.decode(packed, type=Known)
                if row.modified_s + SETTLED_SECONDS <= written_s:
                    certain[component] = packed
        return Shard(shard.container, shard.shards, shard.number, certain), etag_of(reply)

    def _list(self, prefix: bytes) -> list[Listed]:
        """The artifacts of the container."""
        found: list[Listed] = []
        after = b""
        marker = self._store.keys.marker_of(prefix)
        while True:
            page = self._store.objects.page(prefix, after=after)
            found += [line for line in page.objects if line.key not in (prefix, marker)]
            ends = [line.key for line in page.objects] + [found + AFTER_PREFIX for found in page.prefixes]
            if page.is_last or not ends:
                return found
            after = max(ends)

    def _rows(self, prefix: bytes, listed: list[Listed], seen_s: int) -> dict[bytes, bytes]:
        rows = {}
        for line in listed:
            known = self._known.match(line.key, line)
            if known is not None and line.modified_s + SETTLED_SECONDS <= seen_s:
                row = msgspec.structs.replace(known, modified_s=line.modified_s, seen_s=seen_s)
                rows[line.key[len(prefix) :]] = msgspec.msgpack.encode(row)
        return rows

    def _put(self, prefix: bytes, index: Index, rows: dict[bytes, bytes]) -> bool:
        """Write the shards that differ, the first one last; False when another mount wrote one meanwhile."""
        shards = split(prefix[len(self._store.keys.base) :], rows, max(1, len(index.etags)))
        old = split(b"", index.rows, len(index.etags)) if len(index.etags) == len(shards) else []
        etags = list(index.etags) if old else [""] * len(shards)
        etags[0] = index.etags[0] if index.etags else ""
        for number in reversed(range(len(shards))):
            free = not old and number > 0  # what an earlier index of that many shards left there is nobody's
            if old and not _differs(old[number].rows, shards[number].rows):
                continue
            key = self._key(prefix, len(shards), number)
            try:
                etags[number] = self._put_shard(key, shards[number], etags[number], free)
            except Refused as refusal:
                if not refusal.is_precondition:
                    raise
                return False
        if not old:
            for number in range(1, len(index.etags)):
                self._store.objects.delete(self._key(prefix, len(index.etags), number))
        self._known.fresh.discard(prefix)
        self._known.keep_index(prefix, Index(rows, tuple(etags), time.monotonic()))
        return True

    def _put_shard(self, key: bytes, shard: Shard, etag: str, free: bool) -> str:
        """``free``: whatever is there may be replaced; else what has ``etag``, or nothing."""
        abilities, conditions = self._store.abilities, {}
        if not free and (abilities.put_version if etag else abilities.put_absent):
            conditions = self._store.conditions(Version(etag))
        headers = {"content-type": "application/octet-stream", **conditions}
        return self._store.objects.put(key, pack(shard), headers, repeatable=not conditions)


def _differs(old: dict[bytes, bytes], new: dict[bytes, bytes]) -> bool:
    """Whether a row is new, gone or says something else than when it was seen."""
    if old.keys() != new.keys():
        return True
    decoder = msgspec.msgpack.Decoder(Known)
    return any(
        old[component] != row
        and msgspec.structs.replace(decoder.decode(row), seen_s=0)
        != msgspec.structs.replace(decoder.decode(old[component]), seen_s=0)
        for component, row in new.items()
    )
