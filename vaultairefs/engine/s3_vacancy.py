"""Which names are free in a container that was made here a moment ago: one listing stands for a look at each.

A directory that is renamed is a new container into which all of it is copied.  Where the store heeds no condition on a
copy's target, each copy needs a look right before; they all look at the same place.

Promise: a name is called free only when a listing that began less than a second ago shows it so, and only in a
container of which the store itself said that nobody had made it before us.  Blocking, thread-safe.
"""

import threading
import time
from typing import Final, NamedTuple

from cachetools import LRUCache

from vaultairefs.engine.s3_known import S3Known, prefix_of
from vaultairefs.engine.s3_objects import S3Objects

_LOOK_SECONDS: Final = 1.0
_REMEMBERED_MAX: Final = 100


class _Seen(NamedTuple):
    began_at: float
    keys: frozenset[bytes]
    is_whole: bool


class S3Vacancy:
    """The containers of one namespace that are new."""

    def __init__(self, objects: S3Objects, known: S3Known) -> None:
        self._objects = objects
        self._known = known
        self._guard = threading.Lock()
        self._seen: LRUCache[bytes, _Seen] = LRUCache(_REMEMBERED_MAX)

    def is_free(self, key: bytes) -> bool:
        """Whether nothing is at the key; False also where only a look at it can tell."""
        prefix = prefix_of(key)
        if prefix not in self._known.fresh:
            return False
        with self._guard:
            seen, now = self._seen.get(prefix), time.monotonic()
            if seen is None or now - seen.began_at >= _LOOK_SECONDS:
                seen = self._look(prefix, now)
                self._seen[prefix] = seen
        return seen.is_whole and key not in seen.keys

    def _look(self, prefix: bytes, now: float) -> _Seen:
        """One page: what is larger is no longer new."""
        page = self._objects.page(prefix)
        if not page.is_last:
            self._known.fresh.discard(prefix)
        return _Seen(now, frozenset(found.key for found in page.objects), page.is_last)
