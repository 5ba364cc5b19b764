"""Learn what the engine holds: list containers when they are used and are not fresh.

While the engine is away, what was listed before in this life is gone on with: programs read what is cached.

Promise: after ``ensure_listed`` the container's live entries are what the engine held at some moment during the call,
plus everything that is owed; after ``ensure_known`` that is so of one name.  One listing at a time per container,
shared by all who wait for it.  A listing that fails, or during which the container itself was moved, changes nothing.

Does not: remove what is owed, or take the absence of a whole container for a deletion: only its parent's listing
can say that.
"""

from collections.abc import Callable
from typing import Final

import trio

from vaultairefs.engine.interface import Engine
from vaultairefs.fetch.absorbing import Absorber
from vaultairefs.ledger import Ledger
from vaultairefs.ledger.whereabouts import ROOT_KEY, chain_of, container_path
from vaultairefs.model.changes import ArtifactDiscovered
from vaultairefs.model.errors import NotAContainer, NotFound, Stale, TimedOut, Unavailable, VaultaireError
from vaultairefs.model.values import ROOT, STAGING, EntryKey, EntryPath, Ino

_FORGET_ABOVE: Final = 65536
"""Containers of which the time of listing is remembered, before old ones are dropped."""

_MOVING_SECONDS: Final = 0.02
"""Between two looks at a container that a flusher's move has in its hands."""

_ATTEMPTS_MAX: Final = 50

_ENTRIES_AT_ONCE: Final = 200
"""Entries taken over before other tasks get their turn: a few milliseconds."""


GO_ON_SECONDS: Final = 5.0
"""How long an engine that did not answer is not asked again for the same listing."""

LISTING_SECONDS_MIN: Final = 1.0
"""Where listings stay fresh for less than this, one name is looked at alone: a program that makes n files would have
their container listed n times, and that costs n² in all."""


class _Listing:
    """A listing under way."""

    __slots__ = ("error", "finished")

    def __init__(self) -> None:
        self.finished = trio.Event()
        self.error: VaultaireError | None = None


class Discovery:
    """Listings of one volume; ``ttl_seconds`` is how long one stays fresh, in seconds of ``clock``."""

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        *,
        ttl_seconds: float,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._ledger = ledger
        self._engine = engine
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._absorber = Absorber(ledger, self.expire)
        self._listed: dict[Ino, float] = {}
        self._running: dict[Ino, _Listing] = {}
        self.listings = 0
        """How many listings were made."""

    def is_fresh(self, ino: Ino) -> bool:
        """Whether the container was listed in this life and less than ``ttl_seconds`` ago.  Costs nothing."""
        at = self._listed.get(ino)
        return at is not None and self._clock() - at < self._ttl_seconds

    def listed_at(self, ino: Ino) -> float:
        """When the container was last listed, in seconds of ``clock``; long ago if that is not known."""
        return self._listed.get(ino, float("-inf"))

    def expire(self, ino: Ino) -> None:
        """List the container anew at its next use."""
        self._listed.pop(ino, None)

    async def ensure_listed(self, ino: Ino) -> None:
        """Make the container fresh.  ``Stale`` (unknown, or it vanished), ``NotAContainer``, engine errors."""
        while not self.is_fresh(ino):
            running = self._running.get(ino)
            if running is None:
                await self._lead(ino)
                return
            await running.finished.wait()
            if running.error is not None:
                raise running.error
            if ino in self._listed:
                return

    async def ensure_known(self, container: Ino, name: bytes) -> None:
        """Make one name of the container fresh, by a listing only where that pays or is needed.

        Errors like ``ensure_listed``.
        """
        unmet = container == ROOT and ROOT not in self._listed
        if unmet or self._ttl_seconds >= LISTING_SECONDS_MIN or not await self._look(EntryKey(container, name)):
            await self.ensure_listed(container)

    async def _look(self, key: EntryKey) -> bool:
        """Take over what the engine holds at the name; False where only a listing can tell.

        That is so of a name that is gone: its container may be gone with it.
        """
        backlog = self._ledger.backlog
        chain = chain_of(backlog, key.container)
        path = container_path(backlog, key.container, self._engine.staging_path)
        if key in backlog.owed_names or chain is None or path is None:
            return True
        if self._is_moving(chain):
            return False
        with backlog.watch(key.container) as touched:
            try:
                info = await self._engine.stat(EntryPath(path, key.name))
            except NotFound:
                info = None
            except NotAContainer:
                return False
            except (Unavailable, TimedOut):
                if key.container not in self._listed:
                    raise
                return True
        if chain_of(backlog, key.container) != chain or self._is_moving(chain):
            return False
        if key.name in touched:
            return True
        if info is None:
            return backlog.stored(key) is None
        self._absorber.absorb(key.container, info)
        return True

    async def _lead(self, ino: Ino) -> None:
        listing = self._running[ino] = _Listing()
        try:
            await self._list(ino)
        except VaultaireError as error:
            if not self._goes_on(ino, error):
                listing.error = error
                raise
        finally:
            del self._running[ino]
            listing.finished.set()

    def _goes_on(self, ino: Ino, error: VaultaireError) -> bool:
        """Whether what the last listing showed is good enough for a while: the engine is away, so nobody knows better.

        Names that were forgotten since had their container expired, so none of them is taken for absent.
        """
        if ino not in self._listed or not isinstance(error, Unavailable | TimedOut):
            return False
        self._listed[ino] = self._clock() - self._ttl_seconds + min(self._ttl_seconds, GO_ON_SECONDS)
        return True

    async def _list(self, ino: Ino) -> None:
        for _ in range(_ATTEMPTS_MAX):
            inode = self._ledger.namespace.get(ino)
            if inode.children is None:
                raise NotAContainer(operation="list")
            if not inode.nlink:
                break
            if ino == ROOT and ino not in self._listed:
                await self._meet_root()
            chain = chain_of(self._ledger.backlog, ino)
            if chain is None:
                break
            if self._is_moving(chain):
                await trio.sleep(_MOVING_SECONDS)
            elif await self._list_stored(ino, chain):
                break
        else:
            raise Unavailable("the container kept moving while it was listed", operation="list")
        self._remember(ino)

    def _remember(self, ino: Ino) -> None:
        now = self._clock()
        if len(self._listed) >= _FORGET_ABOVE:
            fresh = {known: at for known, at in self._listed.items() if now - at < self._ttl_seconds}
            self._listed = fresh if len(fresh) < _FORGET_ABOVE else {ROOT: self._listed.get(ROOT, now)}
        self._listed[ino] = now

    async def _meet_root(self) -> None:
        """The root's own attributes, at its first use in this life."""
        info = await self._engine.stat(EntryPath(b"", b""))
        backlog = self._ledger.backlog
        if ROOT in backlog.owed_inos:
            if backlog.stored(ROOT_KEY) is not None:
                return
            # Something of the root changed before it was first met: ours is newer.
            info = info._replace(attributes=self._ledger.namespace.get(ROOT).attributes())
        self._ledger.commit(ArtifactDiscovered(ROOT, ROOT, b"", info.attributes, 0, info.version))

    def _is_moving(self, chain: list[EntryKey]) -> bool:
        """Whether a step that moves the container, or one above it, is under way or in doubt."""
        backlog = self._ledger.backlog
        refs = [backlog.stored(key) for key in chain]
        if any(ref is not None and backlog.is_busy(ref.ino) for ref in refs):
            return True
        sources = {EntryKey(step.source_container, step.source_name) for step in backlog.doubts.begun.values()}
        return not sources.isdisjoint(chain)

    async def _list_stored(self, ino: Ino, chain: list[EntryKey]) -> bool:
        """One attempt; False when the container moved meanwhile, so that the answer may be another container's."""
        backlog = self._ledger.backlog
        path = container_path(backlog, ino, self._engine.staging_path)
        assert path is not None

        def has_moved() -> bool:
            return chain_of(backlog, ino) != chain or self._is_moving(chain)

        self.listings += 1
        shown: set[bytes] = set()
        cursor: str | None = None
        with backlog.watch(ino) as touched:
            while True:
                try:
                    page = await self._engine.list(path, cursor)
                except (NotFound, NotAContainer) as error:
                    if not has_moved():
                        await self._ask_parent(ino, chain, error)
                    return False
                for start in range(0, len(page.entries), _ENTRIES_AT_ONCE):
                    await trio.lowlevel.checkpoint()
                    if has_moved():
                        return False
                    for info in page.entries[start : start + _ENTRIES_AT_ONCE]:
                        shown.add(info.name)
                        if info.name not in touched:
                            self._absorber.absorb(ino, info)
                cursor = page.cursor
                if cursor is None:
                    break
            if has_moved():
                return False
            self._absorber.note_missing(ino, shown, touched)
        return True

    async def _ask_parent(self, ino: Ino, chain: list[EntryKey], error: VaultaireError) -> None:
        """The engine does not know the container: only its parent's listing says what became of it."""
        if not chain:
            raise Unavailable("the engine does not hold the root of this namespace", operation="list") from error
        parent = chain[0].container
        if parent == STAGING:
            raise Unavailable("a parked container is missing in the engine", operation="list") from error
        self.expire(parent)
        await self.ensure_listed(parent)
        if (inode := self._ledger.namespace.find(ino)) is None or not inode.nlink:
            raise Stale("the container was removed in the engine", operation="list") from error
