"""Compare what we believe with what the engine holds: ``vaultairefs check`` of a running volume.

Promise: what is owed, under way or in doubt is left out, for there the two differ rightly.  Repair takes over what the
engine says of clean entries, as a listing does, and drops local copies of bytes that are in the engine: nothing that
only we have is touched, and nothing in the engine.

Does not: judge containers that no program has looked into yet; their entries are counted as ``unseen``.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final

import msgspec
import trio

from vaultairefs.app.build import Rooms
from vaultairefs.app.findings import path_of
from vaultairefs.backlog import StoredRef
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.fetch.absorbing import Absorber
from vaultairefs.fetch.merging import differs
from vaultairefs.ledger.whereabouts import container_path, entry_path
from vaultairefs.model.changes import BodyEvicted
from vaultairefs.model.errors import NotAContainer, NotFound, VaultaireError
from vaultairefs.model.values import ROOT, EntryKey, Ino, Kind

_PART_BYTES: Final = 8 << 20
_ENTRIES_AT_ONCE: Final = 200


class Difference(msgspec.Struct, kw_only=True):
    """``kind``: ``missing`` or ``unseen`` in the engine or here, another ``version``, other ``attributes``, other
    ``content`` than the local copy, a local ``body`` that is not whole."""

    kind: str
    path: str
    detail: str = ""
    repaired: bool = False


class Counts(msgspec.Struct):
    """``owed`` entries were left out; ``bytes`` were compared."""

    containers: int = 0
    entries: int = 0
    owed: int = 0
    unseen: int = 0
    files_compared: int = 0
    bytes: int = 0


class Checking:
    """One run.  ``tell`` is given each difference."""

    def __init__(
        self, rooms: Rooms, tell: Callable[[Difference], Awaitable[None]], *, deep: bool, repair: bool
    ) -> None:
        self._rooms = rooms
        self._ledger = rooms.ledger
        self._tell = tell
        self._deep = deep
        self._repair = repair
        self._absorber = Absorber(rooms.ledger, rooms.discovery.expire)
        self.counts = Counts()

    async def run(self) -> None:
        """Everything that is stored, containers before what they hold.  Errors of the engine end it."""
        await self._bodies()
        waiting = [ROOT]
        while waiting:
            waiting += await self._container(waiting.pop())

    async def _container(self, ino: Ino) -> list[Ino]:
        """Compare one container's entries; the stored containers in it."""
        backlog = self._ledger.backlog
        path = container_path(backlog, ino, self._rooms.engine.staging_path)
        if path is None:
            return []
        with backlog.watch(ino) as touched:
            try:
                shown = {entry.name: entry async for entry in self._listed(path)}
            except (NotFound, NotAContainer):
                return []  # told of as missing in the container above, or it has moved since
            if container_path(backlog, ino, self._rooms.engine.staging_path) != path:
                return []
            self.counts.containers += 1
            inside: list[Ino] = []
            for name in sorted(backlog.stored_names(ino) | shown.keys()):
                if self.counts.entries % _ENTRIES_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
                key, info = EntryKey(ino, name), shown.get(name)
                ref = backlog.stored(key)
                if self._is_left_out(key, ref, name in touched):
                    self.counts.owed += 1
                    continue
                self.counts.entries += 1
                await self._entry(key, ref, info)
                if info is not None and info.attributes.kind is Kind.CONTAINER and ref is not None:
                    inside.append(ref.ino)
        return inside

    async def _listed(self, path: bytes) -> AsyncIterator[EntryInfo]:
        cursor: str | None = None
        while True:
            page = await self._rooms.engine.list(path, cursor)
            for entry in page.entries:
                yield entry
            cursor = page.cursor
            if cursor is None:
                return

    def _is_left_out(self, key: EntryKey, ref: StoredRef | None, is_touched: bool) -> bool:
        backlog = self._ledger.backlog
        if is_touched or key in backlog.owed_names or backlog.is_busy(key) or backlog.doubts.about(key) is not None:
            return True
        if ref is None:
            return False
        return ref.ino in backlog.owed_inos or ref.stale or backlog.is_busy(ref.ino)

    async def _entry(self, key: EntryKey, ref: StoredRef | None, info: EntryInfo | None) -> None:
        kind, detail = self._difference(ref, info)
        if not kind:
            if self._deep and ref is not None and info is not None and info.attributes.kind is Kind.FILE:
                await self._content(key, ref)
            return
        if kind == "unseen":
            self.counts.unseen += 1
            if not self._rooms.discovery.is_fresh(key.container):
                return  # nobody has looked into this container yet, or not lately: that is how new things come
        found = Difference(kind=kind, path=self._path(key), detail=detail)
        if self._repair:
            if info is not None:
                self._absorber.absorb(key.container, info)
            else:
                self._absorber.note_missing(key.container, self._all_but(key), set())
            after = self._ledger.backlog.stored(key)
            found.repaired = not self._difference(after, info)[0]
        await self._tell(found)

    def _difference(self, ref: StoredRef | None, info: EntryInfo | None) -> tuple[str, str]:
        if ref is None:
            return ("", "") if info is None else ("unseen", "the engine holds it and nobody here knows of it")
        if info is None:
            return "missing", "the engine does not hold it any more"
        if info.version != ref.version:
            return "version", f"the engine holds {info.version}, we know {ref.version}"
        inode = self._ledger.namespace.peek(ref.ino)
        if inode is None:
            return "", ""
        if inode.kind is Kind.FILE and inode.size != info.size:
            return "attributes", f"{info.size} bytes in the engine, {inode.size} here"
        if differs(inode.attributes(), info.attributes):
            return "attributes", "mode, owner, times or extended attributes"
        return "", ""

    def _all_but(self, key: EntryKey) -> set[bytes]:
        return self._ledger.backlog.stored_names(key.container) - {key.name}

    def _path(self, key: EntryKey) -> str:
        above = path_of(self._rooms.ledger, key.container)
        return f"{above}/{os.fsdecode(key.name)}" if above else os.fsdecode(key.name)

    # Bytes

    async def _bodies(self) -> None:
        """Bodies that only we have: their files must be there and as long as they should be."""
        for body in self._ledger.buffer.all():
            if not body.unflushed or not body.complete or not body.size:
                continue
            status = None if body.failed else self._ledger.buffer.stat(body.ino)
            if status is None or status.st_size < body.size:
                length = 0 if status is None else status.st_size
                detail = f"{length} of {body.size} bytes are on the local disk"
                await self._tell(Difference(kind="body", path=path_of(self._ledger, body.ino), detail=detail))

    async def _content(self, key: EntryKey, ref: StoredRef) -> None:
        """A clean complete body must have the bytes that the engine has."""
        buffer = self._ledger.buffer
        body = buffer.find(ref.ino)
        if body is None or not body.complete or body.unflushed or body.writers or body.is_moving or body.failed:
            return
        changes, body_id = body.changes, body.body_id
        try:
            same = await self._is_same(key, ref, body.size)
        except VaultaireError as error:
            await self._tell(Difference(kind="content", path=self._path(key), detail=str(error)))
            return
        self.counts.files_compared += 1
        now = buffer.find(ref.ino)
        if same or now is None or (now.body_id, now.changes, now.unflushed) != (body_id, changes, False):
            return
        detail = "the local copy differs from the engine's bytes"
        found = Difference(kind="content", path=self._path(key), detail=detail)
        if self._repair and ref.ino in buffer.evictable(buffer.used_bytes + 1):
            self._ledger.commit(BodyEvicted(ref.ino))
            found.repaired = True
        await self._tell(found)

    async def _is_same(self, key: EntryKey, ref: StoredRef, size: int) -> bool:
        path = entry_path(self._ledger.backlog, key, self._rooms.engine.staging_path)
        if path is None:
            return True
        descriptor = os.memfd_create("check", os.MFD_CLOEXEC)
        try:
            with self._ledger.buffer.pinned(ref.ino) as body:
                for offset, length in _parts(size):
                    os.ftruncate(descriptor, 0)
                    count = await self._rooms.engine.read(path, ref.version, offset, length, descriptor, 0)
                    self.counts.bytes += count
                    if count != length or not await trio.to_thread.run_sync(_equal, body, offset, descriptor, length):
                        return False
        finally:
            os.close(descriptor)
        return True


def _parts(size: int) -> Iterator[tuple[int, int]]:
    for offset in range(0, size, _PART_BYTES):
        yield offset, min(_PART_BYTES, size - offset)


def _equal(body: int, offset: int, copy: int, length: int) -> bool:
    ours, theirs = os.pread(body, length, offset), os.pread(copy, length, 0)
    return hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest()
