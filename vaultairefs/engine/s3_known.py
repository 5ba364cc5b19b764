"""What this process knows of objects without asking: the attributes behind a line of a listing.

A listing tells ETag, size and Last-Modified of an object.  A row says what attributes an object had that looked so.
Rows come from our own puts and copies, from HEADs, and from the index artifacts (``s3_index``).

Promise: a row stands for a line only while ETag, size and second of Last-Modified are the same, and only when it was
learnt two seconds after that, or by our own writing: a copy of an object onto itself changes attributes and leaves the
ETag as it is, and Last-Modified counts whole seconds.  Where the store's Last-Modified is something else
(``Abilities.tells_modified``), no row is used but those of an index.  An index is foreign input: a row that says what
no object can be is none.  Thread-safe.
"""

import math
import threading
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from cachetools import LRUCache

from vaultairefs.engine.s3_metadata import LINK_ID
from vaultairefs.engine.s3_objects import Listed
from vaultairefs.model.values import Attributes, Kind

PAYS_FROM: Final = 2
"""An index is worth reading or writing for so many artifacts."""
ROWS_MAX: Final = 50_000
"""Some 25 MB."""
INDEXED_MAX: Final = 200_000
"""Rows of index artifacts, packed: some 60 MB at the very most."""
_MARKERS_MAX: Final = 10_000
RECENT_SECONDS: Final = 5
"""So long what a listing or an answer showed counts as a look right before."""
SETTLED_SECONDS: Final = 2
"""After so long no other state of an object can have the same second of Last-Modified."""
UNKNOWN: Final = -1
_ID_MAX: Final = 0xFFFFFFFE
_TARGET_BYTES_MAX: Final = 4095
_TIME_NS_MAX: Final = 1 << 63


class Known(msgspec.Struct, frozen=True, array_like=True):
    """``modified_s``: Last-Modified in whole seconds, ``UNKNOWN`` for what we wrote and have not seen listed since;
    ``seen_s``: the store's clock when this was known to be so; ``name``: the true name where the key only hashes it;
    ``plain``: the object says nothing beside what we write; ``link``: the group whose mark it carries, ``links`` how
    many names that has with this one (1: it is none of them, 0: nobody has looked), ``same`` their other ETags."""

    etag: str
    size: int
    modified_s: int
    seen_s: int
    attributes: Attributes
    token: str = ""
    name: bytes = b""
    plain: bool = False
    link: str = ""
    links: int = 0
    same: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether an artifact can be so at all."""
        said = self.attributes
        in_range = 0 <= said.mode <= 0o7777 and 0 <= said.uid <= _ID_MAX and 0 <= said.gid <= _ID_MAX
        in_time = all(abs(time_ns) < _TIME_NS_MAX for time_ns in (said.atime_ns, said.mtime_ns, said.ctime_ns))
        is_link = said.kind is Kind.SYMLINK
        has_target = 0 < len(said.target) <= _TARGET_BYTES_MAX and b"\0" not in said.target
        is_artifact = said.kind is not Kind.CONTAINER and (has_target if is_link else not said.target)
        is_group = self.links >= 0 and (not self.link or LINK_ID.fullmatch(self.link) is not None)
        return in_range and in_time and is_artifact and is_group and self.size >= 0 and 0 <= said.rdev <= 0xFFFFFFFF

    def fits(self, listed: Listed) -> bool:
        """Whether it says how the object of that line is."""
        if self.etag != listed.etag or self.size != listed.size:
            return False
        if self.modified_s == UNKNOWN:
            return listed.modified_s <= self.seen_s + 1  # the clocks of two answers differ by their way here
        return self.modified_s == listed.modified_s and self.seen_s >= self.modified_s + SETTLED_SECONDS


class Changed(NamedTuple):
    """When a container's rows began to differ from its index, and when they last changed (monotonic seconds); whether
    rows of ``several`` artifacts did, or only that of ``key``."""

    first: float
    last: float
    key: bytes
    several: bool


class Index(NamedTuple):
    """An index as it was read: packed rows by key component, and the ETag of each shard (empty: not there)."""

    rows: Mapping[bytes, bytes]
    etags: tuple[str, ...]
    read_at: float


_decoder: Final[msgspec.msgpack.Decoder[Known]] = msgspec.msgpack.Decoder(Known)


class S3Known:
    """Rows by key, and indexes by prefix (a container's keys up to and with their last ``/``)."""

    def __init__(self) -> None:
        self.tells_modified = False
        self.changed: dict[bytes, Changed] = {}
        self.fresh: set[bytes] = set()
        """Prefixes of containers that were made here and have no index yet."""
        self._rows: LRUCache[bytes, Known] = LRUCache(ROWS_MAX)
        self._markers: LRUCache[bytes, tuple[str, float]] = LRUCache(_MARKERS_MAX)
        self._deleted: LRUCache[bytes, bool] = LRUCache(ROWS_MAX)
        self._indexes: LRUCache[bytes, Index] = LRUCache(INDEXED_MAX, getsizeof=lambda index: 1 + len(index.rows))
        self._guard = threading.Lock()

    def note(self, key: bytes, known: Known) -> None:
        """The object at the key is so now."""
        now = time.monotonic()
        prefix = prefix_of(key)
        with self._guard:
            old = self._rows.get(key)
            self._rows[key] = known
            self._deleted.pop(key, None)
            if old is not None and msgspec.structs.replace(old, seen_s=known.seen_s) == known:
                return
            changed = self.changed.get(prefix) or Changed(now, now, key, False)
            self.changed[prefix] = changed._replace(last=now, several=changed.several or changed.key != key)

    def forget(self, key: bytes) -> None:
        """Nobody knows what is at the key."""
        with self._guard:
            self._rows.pop(key, None)

    def note_deleted(self, key: bytes) -> None:
        """We deleted what was at the key."""
        with self._guard:
            self._rows.pop(key, None)
            self._deleted[key] = True

    def is_deleted(self, key: bytes) -> bool:
        """Whether we deleted what was at the key, and have put nothing there since."""
        with self._guard:
            return key in self._deleted

    def get(self, key: bytes) -> Known | None:
        """What was noted last."""
        with self._guard:
            return self._rows.get(key)

    def match(self, key: bytes, listed: Listed) -> Known | None:
        """The row for a line of a listing."""
        prefix = prefix_of(key)
        with self._guard:
            known = self._rows.get(key) if self.tells_modified else None
            index = self._indexes.get(prefix)
        if known is not None and known.fits(listed):
            return known
        packed = index.rows.get(key[len(prefix) :]) if index is not None else None
        if packed is None:
            return None
        known = _decoder.decode(packed)
        return known if known.fits(listed) and known.is_sound else None

    def confirm(self, key: bytes, known: Known, listed: Listed, seen_s: int) -> None:
        """A listing shows, at ``seen_s`` of the store's clock, that ``known``, a match of it, is still so."""
        if listed.modified_s + SETTLED_SECONDS <= seen_s:
            with self._guard:
                self._rows[key] = msgspec.structs.replace(known, modified_s=listed.modified_s, seen_s=seen_s)

    def note_marker(self, prefix: bytes, identity: str) -> None:
        """The container's own object is there now, has this identity and says nothing beside what we write."""
        with self._guard:
            self._markers[prefix] = (identity, time.monotonic())

    def marker(self, prefix: bytes, seconds_max: float) -> str | None:
        """The identity that was noted no longer ago than that."""
        with self._guard:
            identity, seen_at = self._markers.get(prefix, ("", -math.inf))
        return identity if time.monotonic() - seen_at <= seconds_max else None

    def index(self, prefix: bytes) -> Index | None:
        """The index that was read or written last."""
        with self._guard:
            return self._indexes.get(prefix)

    def keep_index(self, prefix: bytes, index: Index) -> None:
        """Remember it, unless it is too large for that."""
        with self._guard:
            if 1 + len(index.rows) <= INDEXED_MAX:
                self._indexes[prefix] = index

    def forget_container(self, prefix: bytes) -> None:
        """The container is gone."""
        with self._guard:
            self._indexes.pop(prefix, None)
            self.changed.pop(prefix, None)
            self._markers.pop(prefix, None)
            self.fresh.discard(prefix)


def prefix_of(key: bytes) -> bytes:
    """What the keys of everything in the same container begin with."""
    return key[: key.rfind(b"/") + 1]
