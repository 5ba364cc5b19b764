"""``-o uid=,gid=,umask=``: whose entries are that others put into the store, and with which permissions.

Promise: a wrapper around any engine; only what it *tells* of an entry is changed, so attributes that a program sets
through the mount are stored as they are.
"""

from typing import Any

import msgspec

from vaultairefs.engine.interface import Engine, EntryInfo, ListingPage
from vaultairefs.model.values import EntryPath


class Owned:
    """``engine``, with every entry shown as owned by ``uid``/``gid`` and without the permissions in ``umask``."""

    def __init__(self, engine: Engine, *, uid: int | None, gid: int | None, umask: int | None) -> None:
        self._engine = engine
        self._owner = {name: value for name, value in (("uid", uid), ("gid", gid)) if value is not None}
        self._allowed = ~(umask or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def stat(self, path: EntryPath) -> EntryInfo:
        return self._shown(await self._engine.stat(path))

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        page = await self._engine.list(container, cursor)
        return ListingPage([self._shown(entry) for entry in page.entries], page.cursor)

    def _shown(self, entry: EntryInfo) -> EntryInfo:
        attributes = entry.attributes
        changed = msgspec.structs.replace(attributes, mode=attributes.mode & self._allowed, **self._owner)
        return entry._replace(attributes=changed)
