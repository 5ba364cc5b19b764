"""What all parts of the flusher share: the rooms they work on, and the bookkeeping around one engine step.

A step goes: ``working_on`` (marks), ``begin`` (journalled doubt), ``secure`` (on the disk), the engine's verb, the
record of what it did.
Whatever interrupts it leaves the doubt, which ``settling`` resolves by asking the engine.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from vaultairefs.engine.interface import Engine, EntryInfo
from vaultairefs.flush.budget import ByteBudget, Gate
from vaultairefs.flush.failures import Failures, Item
from vaultairefs.flush.tally import Tally
from vaultairefs.flush.telling import Teller
from vaultairefs.ledger import Ledger
from vaultairefs.ledger.whereabouts import chain_of, entry_path
from vaultairefs.model.changes import AttributesSet, StepBegun, StepEnded
from vaultairefs.model.errors import NotAContainer, NotFound, Unavailable
from vaultairefs.model.values import ABSENT, STAGING, Attributes, EntryKey, EntryPath, Ino, Version

NOWHERE: Final = EntryKey(STAGING, b"")


class Completer(Protocol):
    """What the flusher needs of the fetcher."""

    async def complete(self, ino: Ino) -> None:
        """Make every byte of the file local."""
        ...

    async def ensure(self, ino: Ino, offset: int, length: int) -> None:
        """Make a range of the file local."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What a put carries, to tell later whether the file changed since; ``size`` in bytes, of which ``taken`` were in
    the engine already; ``mark`` is that of its group."""

    token: str
    generation: int
    attributes: Attributes
    size: int
    taken: int = 0
    mark: str = ""


class Desk:
    """Shared state of one flusher.

    ``overrides``: versions found in the engine that the next step at a name may replace although no record knows them
    (our own from before a power cut, or anybody's where the operator wants that).  ``sent``: see ``Sent``.
    ``flushed_at``: when inodes that are written all the time were last flushed.  ``awaited``: how many wait for each
    inode; ``flushed_generation``: which bytes of those were flushed last.  ``removed_containers``: stored inodes that
    programs have removed and the namespace has forgotten, but that are known to be containers.  ``marked``: versions
    that were sent with the mark of their group (``marks``).  ``is_listed``: whether
    all that the engine holds in a container was looked at just now.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        fetcher: Completer,
        *,
        mount_id: str,
        conflict: str,
        in_flight_bytes: int,
        is_listed: Callable[[Ino], bool],
        clock: Callable[[], float],
        clock_ns: Callable[[], int],
    ) -> None:
        self.ledger = ledger
        self.engine = engine
        self.fetcher = fetcher
        self.mount_id = mount_id
        self.conflict = conflict
        self.is_listed = is_listed
        self.clock = clock
        self.clock_ns = clock_ns
        self.budget = ByteBudget(in_flight_bytes)
        self.gate = Gate()
        self.failures = Failures(clock)
        self.tally = Tally()
        self.teller = Teller(ledger, self.failures, clock_ns)
        self.pins: dict[Ino, int] = {}
        self.overrides: dict[EntryKey, Version] = {}
        self.sent: dict[EntryKey, Sent] = {}
        self.flushed_at: dict[Ino, float] = {}
        self.flushed_generation: dict[Ino, int] = {}
        self.awaited: Counter[Ino] = Counter()
        self.removed_containers: set[Ino] = set()
        self.marked: dict[EntryKey, Version] = {}

    # Around a step

    @contextmanager
    def working_on(self, keys: Iterable[EntryKey], inos: Iterable[Ino] = ()) -> Iterator[None]:
        """Mark names and inodes as being worked on, and keep the containers above the names where they are."""
        backlog = self.ledger.backlog
        keys = tuple(dict.fromkeys(keys))
        marks: list[Item] = [*keys, *inos]
        above = [container for key in keys for container in self.containers_above(key)]
        for mark in marks:
            backlog.begin(mark)
        for container in above:
            self.pins[container] = self.pins.get(container, 0) + 1
        try:
            yield
        finally:
            for mark in marks:
                backlog.end(mark)
            for container in above:
                self.pins[container] -= 1
                if not self.pins[container]:
                    del self.pins[container]

    def containers_above(self, key: EntryKey) -> list[Ino]:
        """The stored containers that lead to ``key``, the nearest first, without the root."""
        backlog = self.ledger.backlog
        rows = map(backlog.stored, chain_of(backlog, key.container) or ())
        return [row.ino for row in rows if row is not None]

    def begin(
        self,
        verb: str,
        ino: Ino,
        key: EntryKey,
        *,
        version: Version = ABSENT,
        token: str = "",
        source: EntryKey = NOWHERE,
        upload_id: str = "",
    ) -> None:
        """Journal that the engine may change at ``key`` from now on."""
        replaced = self.ledger.backlog.stored(key)
        self.let_stand_alone(replaced.ino if replaced is not None else None)
        self.ledger.commit(
            StepBegun(ino, key.container, key.name, verb, version, token, source.container, source.name, upload_id)
        )

    def end(self, key: EntryKey) -> None:
        """Journal that nothing is in doubt at ``key`` any more."""
        if key in self.ledger.backlog.doubts.begun:
            self.ledger.commit(StepEnded(key.container, key.name))
        self.sent.pop(key, None)

    def new_token(self, ino: Ino) -> str:
        """What the engine keeps with a put, so that we know our own work again; never the same twice."""
        return f"{self.mount_id}:{ino}:{secrets.token_hex(8)}"

    def is_ours(self, ino: Ino, info: EntryInfo) -> bool:
        """Whether an entry is a put of ``ino`` of which the record was lost: power was cut before it was durable.

        An entry that we do know of under another name was moved by somebody else, token and all; but an engine that
        cannot move gives a copy of ours the same version as its source, and nobody loses anything by it.
        """
        if not info.token.startswith(f"{self.mount_id}:{ino}:"):
            return False
        if not self.engine.capabilities.moves:
            return True
        refs = map(self.ledger.backlog.stored, self.ledger.backlog.refs_of(ino))
        return all(ref is None or ref.version != info.version for ref in refs)

    def expected(self, key: EntryKey, planned: Version) -> Version:
        """The version that a step at ``key`` may replace."""
        return self.overrides.get(key, planned)

    def disturb(self, *containers: Ino) -> None:
        """The step changed the containers' own times in the engine: they are owed again (and so is that journalled)."""
        if not self.engine.capabilities.container_times_disturbed:
            return
        for ino in containers:
            inode = self.ledger.namespace.find(ino)
            owed = self.ledger.backlog.owed_inos.get(ino)
            if inode is not None and inode.nlink and (owed is None or not owed.attributes):
                self.owe_attributes(ino)

    def owe_attributes(self, ino: Ino) -> None:
        """Say that the engine does not have the attributes of ``ino`` (any more), by setting them to what they are."""
        inode = self.ledger.namespace.get(ino)
        self.ledger.commit(
            AttributesSet(ino, inode.mode, inode.uid, inode.gid, inode.atime_ns, inode.mtime_ns, inode.ctime_ns)
        )

    def let_stand_alone(self, *inos: Ino | None) -> None:
        """An open file without a name is about to have its bytes nowhere but here: nobody may evict them any more.

        Not journalled: no handle outlives the daemon.
        """
        for ino in inos:
            inode = self.ledger.namespace.find(ino) if ino is not None else None
            if inode is not None and not inode.nlink:
                self.ledger.buffer.keep_base(inode.ino, set())

    # Paths and looks

    def path(self, key: EntryKey) -> EntryPath:
        """Where ``key`` lies now; ``Unavailable`` where its container is not in the engine."""
        path = entry_path(self.ledger.backlog, key, self.engine.staging_path)
        if path is None:
            raise Unavailable("the container is not in the engine yet", artifact=key.name, operation="flush")
        return path

    async def look(self, path: EntryPath) -> EntryInfo | None:
        """What the engine holds at a path, None for nothing."""
        try:
            return await self.engine.stat(path)
        except (NotFound, NotAContainer):
            return None


async def secure(desk: Desk, ino: Ino | None = None) -> None:
    """Let a power cut take nothing back any more of what programs did, nor that this step was begun.

    Between ``begin`` and the verb: the engine is told of nothing that the journal may still forget, so that what is
    found there afterwards can be told from somebody else's work, and nothing is there that never happened.
    ``ino`` is a file of which a copy is sent, so that programs may have made newer bytes safe before the step began:
    they are on this side of it, too.  ``OutOfSpace``, ``DeviceFailed``: not safe, so do not go on.
    """
    if ino is not None:
        await desk.ledger.sync_body(ino)
    await desk.ledger.sync()
