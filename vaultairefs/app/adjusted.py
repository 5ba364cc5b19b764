"""An engine as the options want it: ``uid=``, ``gid=``, ``umask=``, ``chunk_size=``.

Promise: a wrapper around any engine.  Of an entry only what is *told* changes, so attributes that a program sets
through the mount are stored as they are.
"""

from typing import Any

import msgspec

from vaultairefs.engine.interface import Capabilities, Engine, EntryInfo, ListingPage
from vaultairefs.model.values import EntryPath


class Adjusted:
    """``engine``, with every entry shown as owned by ``uid``/``gid`` and without the permissions in ``umask``, and
    with chunks of ``chunk_bytes``; None leaves a thing as it is."""

    def __init__(
        self, engine: Engine, *, uid: int | None, gid: int | None, umask: int | None, chunk_bytes: int | None
    ) -> None:
        self._engine = engine
        self._owner = {name: value for name, value in (("uid", uid), ("gid", gid)) if value is not None}
        self._allowed = ~(umask or 0)
        self._chunk_bytes = chunk_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @property
    def capabilities(self) -> Capabilities:
        found = self._engine.capabilities
        return found if self._chunk_bytes is None else msgspec.structs.replace(found, chunk_bytes=self._chunk_bytes)

    async def stat(self, path: EntryPath) -> EntryInfo:
        return self._shown(await self._engine.stat(path))

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        page = await self._engine.list(container, cursor)
        return ListingPage([self._shown(entry) for entry in page.entries], page.cursor)

    def _shown(self, entry: EntryInfo) -> EntryInfo:
        attributes = entry.attributes
        changed = msgspec.structs.replace(attributes, mode=attributes.mode & self._allowed, **self._owner)
        return entry._replace(attributes=changed)
