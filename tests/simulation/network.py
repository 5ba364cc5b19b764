"""The simulated store behind a simulated network, as one ``Engine``.

A request travels, is carried out by the store at one moment, and its answer travels back.  On the way it can be lost,
refused, carried out without an answer, and carried out twice; a store can be away for a while, and can be without
conditions.

Promise: nothing happens here that the seam's contract (``engine/interface.py``) does not allow.  A request whose sender
was killed is carried out before the next process begins, or never; one whose sender was told of a failure has been
carried out or never will be.
"""

import math
import zlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import trio

from tests.simulation.machine import Machine
from vaultairefs.disk.copying import read_all
from vaultairefs.engine.conditions import holds
from vaultairefs.engine.interface import Capabilities, Deletion, EntryInfo, ListingPage, Upload
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.engine.memory_tree import Artifact
from vaultairefs.engine.receipts import receipt_of
from vaultairefs.model.errors import Conflict, Unavailable, VaultaireError
from vaultairefs.model.values import ANY, Attributes, EntryPath, Version

REQUESTS: Final = frozenset(
    {
        "stat",
        "list",
        "put",
        "begin_upload",
        "copy_chunk",
        "commit_upload",
        "abort_upload",
        "list_uploads",
        "set_attributes",
        "move",
        "copy",
        "link",
        "delete",
        "create_container",
        "delete_container",
    }
)
CONDITIONAL: Final = ("put", "commit_upload", "copy", "delete", "set_attributes")
"""The verbs that a store can be without conditions for."""


class Weather:
    """What the network and the store do; all chances are per request.  ``away_until`` ends an outage (trio's clock)."""

    def __init__(self, random: Random) -> None:
        rough = random.choice((0.0, 0.0, 0.02, 0.1, 0.3))
        self.random = random
        self.latency_seconds = random.choice((0.0, 0.005, 0.05, 0.4))
        self.lost_before = rough * random.random()
        self.lost_after = rough * random.random()
        self.throttled = rough * random.random()
        self.twice = rough * random.random()
        self.away_until = -math.inf
        self.outage_every_seconds = random.choice((math.inf, math.inf, 60.0, 300.0))
        self.unconditional = frozenset(verb for verb in CONDITIONAL if random.random() < 0.5)
        if random.random() < 0.7:
            self.unconditional = frozenset()

    def __str__(self) -> str:
        told = {name: value for name, value in vars(self).items() if name not in ("random", "unconditional")}
        return f"{told} unconditional {sorted(self.unconditional)}"

    def clear(self) -> None:
        """Fine from here on."""
        self.lost_before = self.lost_after = self.throttled = self.twice = 0.0
        self.away_until, self.outage_every_seconds = -math.inf, math.inf

    async def blow(self) -> None:
        """Outages, until cancelled."""
        while self.outage_every_seconds < math.inf:
            await trio.sleep(self.random.expovariate(1 / self.outage_every_seconds))
            if self.outage_every_seconds < math.inf:
                self.away_until = trio.current_time() + self.random.choice((1.0, 20.0, 200.0))

    async def travel(self) -> None:
        """One way."""
        if self.latency_seconds and self.random.random() < 0.8:
            await trio.sleep(self.random.expovariate(1 / self.latency_seconds))
        else:
            await trio.lowlevel.checkpoint()


class Store(MemoryEngine):
    """The store itself, which never fails.

    ``shown`` is the content of every artifact that it ever told anybody of; ``lost_to_a_check`` are the contents that
    were overwritten between the check and the act of a store without conditions, which nobody can help.
    """

    def __init__(self, capabilities: Capabilities, page_entries: int) -> None:
        super().__init__("simulated:", capabilities=capabilities, page_entries=page_entries)
        self.lost_to_a_check: set[bytes] = set()
        self.shown: set[bytes] = set()

    @property
    def tree(self) -> Any:
        return self._tree

    def uploads(self) -> list[str]:
        """The ids of those that are neither committed nor aborted."""
        return sorted(self._uploads)

    def version_at(self, path: EntryPath) -> Version | None:
        try:
            node = self._tree.find(path)
        except VaultaireError:
            return None
        return None if node is None else node.version

    def content_of(self, path: EntryPath) -> bytes | None:
        try:
            node = self._tree.find(path)
        except VaultaireError:
            return None
        return node.content if isinstance(node, Artifact) else None

    async def stat(self, path: EntryPath) -> EntryInfo:
        info = await super().stat(path)
        self._show(path)
        return info

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        page = await super().list(container, cursor)
        for entry in page.entries:
            self._show(EntryPath(container, entry.name))
        return page

    def _show(self, path: EntryPath) -> None:
        content = self.content_of(path)
        if content is not None:
            self.shown.add(content)

    def take_chunk(self, upload: Upload, number: int, offset: int, data: bytes) -> str:
        self._pending(upload).chunks[number] = data
        return receipt_of(number, offset, len(data))


class Network:
    """The ``Engine`` that a volume is given.  ``servers`` outlives every process of the machine."""

    def __init__(self, store: Store, weather: Weather, machine: Machine, servers: trio.Nursery) -> None:
        self.store = store
        self._weather = weather
        self._machine = machine
        self._servers = servers
        self._random = weather.random
        self._under_way: dict[trio.Event, None] = {}
        self.known_uploads: dict[str, int] = {}
        """The ids that a process has learned, and at which step of the machine."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.store, name)
        if name not in REQUESTS:
            return value

        async def asking(*args: Any, **options: Any) -> Any:
            return await self._ask(name, lambda: self._act(name, args, options), _subject(args))

        self.__dict__[name] = asking
        return asking

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        """In two pieces with a wait between them, of which the second may not come."""
        half = self._random.choice((length, length // 2))
        count = await self._read(path, version, offset, half, descriptor, position)
        if half == length or count < half:
            return count
        return count + await self._read(path, version, offset + half, length - half, descriptor, position + half)

    async def _read(self, path: EntryPath, version: Version, *where: int) -> int:
        await self._go(f"read {path.joined!r}")
        count = await self.store.read(path, version, *where)
        await self._come(f"read {path.joined!r}")
        return count

    async def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        """The bytes leave the descriptor in two pieces; what has left may arrive after we are gone."""
        half = self._random.randrange(length + 1)
        data = read_all(descriptor, offset, half)
        await self._weather.travel()
        self._machine.check_alive()
        data += read_all(descriptor, offset + half, length - half)

        async def act() -> str:
            return self.store.take_chunk(upload, number, offset, data)

        receipt: str = await self._ask("put_chunk", act, f"{upload.path} {number}")
        return receipt

    async def all_settled(self) -> None:
        """Wait until nothing of a process that was killed is on its way any more."""
        while self._under_way:
            await next(iter(self._under_way)).wait()

    # A request's way

    async def _ask(self, verb: str, act: Callable[[], Awaitable[Any]], subject: str) -> Any:
        what = f"{verb} {subject}"
        await self._go(what)
        answer: list[Any] = []
        arrived = trio.Event()
        dies_with = self._machine.kills if self._random.random() < 0.5 else -1
        repeats = verb != "begin_upload" and verb not in self._weather.unconditional
        self._under_way[arrived] = None
        self._servers.start_soon(self._serve, act, answer, arrived, repeats, dies_with)
        await arrived.wait()
        self._machine.check_alive()
        await self._come(what)
        if isinstance(answer[0], VaultaireError):
            self._machine.tell(f"  {what}: {type(answer[0]).__name__}")
            raise answer[0]
        if verb == "begin_upload":
            self.known_uploads[answer[0].upload_id] = self._machine.steps
        return answer[0]

    async def _serve(
        self, act: Callable[[], Awaitable[Any]], answer: list[Any], arrived: trio.Event, repeats: bool, dies_with: int
    ) -> None:
        """The store's side, which no kill of a client ends; ``dies_with``: the process whose request never arrives when
        it is killed first."""
        try:
            await self._weather.travel()
            if dies_with in (-1, self._machine.kills):
                answer.append(await _outcome(act))
                if repeats and self._random.random() < self._weather.twice:
                    await self._weather.travel()
                    again = await _outcome(act)
                    answer[0] = self._random.choice((answer[0], again))
                    self._machine.tell("  that was carried out twice")
        finally:
            arrived.set()
            del self._under_way[arrived]

    async def _go(self, what: str) -> None:
        """The way there: lost, refused or come."""
        self._machine.check_alive()
        await self._weather.travel()
        self._machine.check_alive()
        self._machine.tell(f"  {what}")
        chance = self._random.random()
        if trio.current_time() < self._weather.away_until:
            await trio.sleep(self._random.choice((0.0, 1.0)))
            raise Unavailable("the store is away")
        if chance < self._weather.lost_before:
            await trio.sleep(self._random.choice((0.0, 5.0)))
            self._machine.tell(f"  {what}: lost on its way")
            raise Unavailable("lost on its way")
        if chance < self._weather.lost_before + self._weather.throttled:
            raise Unavailable("slow down")

    async def _come(self, what: str) -> None:
        """The way back."""
        await self._weather.travel()
        self._machine.check_alive()
        if self._random.random() < self._weather.lost_after:
            self._machine.tell(f"  {what}: answer lost")
            raise Unavailable("the answer was lost")

    # The store's side

    async def _act(self, verb: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        call = getattr(self.store, verb)
        if verb not in self._weather.unconditional:
            return await call(*args, **options)
        if verb == "delete":
            return [await self._delete_checked(one) for one in args[0]]
        target: EntryPath | Upload = args[1] if verb == "copy" else args[0]
        path, expected = target.path if isinstance(target, Upload) else target, options["expected"]
        seen = self.store.version_at(path)
        if not holds(seen, expected):
            return await call(*args, **options)  # which tells a repetition of our own from a conflict
        await self._weather.travel()
        self._note_overwritten(path, seen)
        return await call(*args, **{**options, "expected": ANY})

    async def _delete_checked(self, one: Deletion) -> VaultaireError | None:
        seen = self.store.version_at(one.path)
        if seen is not None and not holds(seen, one.expected):
            return Conflict(container=one.path.container, artifact=one.path.name, operation="delete")
        await self._weather.travel()
        self._note_overwritten(one.path, seen)
        return (await self.store.delete([one._replace(expected=ANY)]))[0]

    def _note_overwritten(self, path: EntryPath, seen: Version | None) -> None:
        content = self.store.content_of(path)
        if content is not None and self.store.version_at(path) != seen:
            self.store.lost_to_a_check.add(content)


async def _outcome(act: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await act()
    except VaultaireError as error:
        return error


def _subject(args: tuple[Any, ...]) -> str:
    """What a request is about, for the trace."""
    return " ".join(_brief(one) for one in args)


def _brief(one: Any) -> str:
    if isinstance(one, EntryPath):
        return repr(one.joined)
    if isinstance(one, Attributes):
        return f"{one.mode:o} {one.mtime_ns}"
    if isinstance(one, bytes):
        return f"{len(one)}:{zlib.crc32(one):x}"
    return str(one)
