"""One simulated history: a volume with all its rooms, programs, a store, and one kill after the other.

``Simulation(seed, directory).run()`` lives it and raises where a promise is broken.  P1: nothing that had returned is
lost; P3: names are exactly those of before the kill; P4: no read mixes versions; P5: no text of another program is
overwritten unseen, and the loser stays; P6: nothing is kept apart without reason; P9: events are dense, one for each
operation; P11: what is drained is in the store, exactly, and nothing of ours is left lying there.
"""

import logging
from collections import Counter
from collections.abc import Callable, MutableMapping
from pathlib import Path
from random import Random
from typing import Any, Final

import structlog
import trio
import trio.testing

from tests.model.engines import memory_tree
from tests.model.programs import Program
from tests.simulation import plants
from tests.simulation.calm import CALLER, Player, Shown
from tests.simulation.contended import DIRECTORY, Bank, Contender, Stranger
from tests.simulation.machine import Machine, inhabit
from tests.simulation.network import Network, Store, Weather
from tests.simulation.rooms import Plan, Rooms
from vaultairefs.engine.memory_tree import Container
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Attributes, EntryPath, Kind

_PHASE_SECONDS_MAX: Final = 100_000.0
"""More than any outage and all retries can take: a phase that takes longer hangs."""

_DRAIN_SECONDS_MAX: Final = 7200.0
_ROUNDS_MAX: Final = 12


class Simulation:
    """``trace`` is what happened, one line each; ``fault`` is planted in it (``plants.py``)."""

    def __init__(self, seed: int, directory: Path, fault: str | None = None) -> None:
        self.seed = seed
        self._fault = fault
        self.trace: list[str] = []
        self.machine = Machine(Random(f"machine {seed}"), self._tell)
        self._directory = directory
        self._random = Random(f"history {seed}")
        self._plan = Plan.drawn(self._random)
        self._weather = Weather(Random(f"weather {seed}"))
        self._store = Store(self._plan.capabilities(self._weather), self._plan.page_entries)
        self._bank = Bank(self._store)
        self._players = [
            Player(home, Random(f"player {home!r} {seed}"), self.machine)
            for home in (b"p0", b"p1")[: self._random.choice((1, 2, 2))]
        ]
        has_stranger = self._random.random() < 0.5
        self._contender = Contender(self._bank, Random(f"contender {seed}"), self.machine) if has_stranger else None
        self._stranger = Stranger(self._bank, self._store, Random(f"stranger {seed}"), self.machine)
        self._complaints: list[str] = []
        self._network: Network

    def run(self) -> None:
        """Live it; whatever is wrong is raised."""
        inhabit(self.machine, self.seed)
        structlog.configure(processors=[self._judge_log], cache_logger_on_first_use=False)
        logging.disable(logging.CRITICAL)
        self._prepare_store()
        if self._fault in plants.AT_START:
            plants.AT_START[self._fault](self._store, self._directory / "state")
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(self._live, clock=clock, instruments=[self.machine])
        assert not self._complaints, self._complaints

    def _tell(self, what: str) -> None:
        self.trace.append(f"{trio.current_time():.3f} {what}")

    def _judge_log(self, logger: Any, method: str, entry: MutableMapping[str, Any]) -> str:
        """Of structlog: a defect inside, which the product logs and survives, is a complaint here."""
        text = str({key: value for key, value in entry.items() if key != "exc_info"})
        self.trace.append(f"log {method} {text}")
        if method in ("error", "critical", "exception") and not self.machine.is_dead and not self.machine.has_torn:
            self._complaints.append(f"{text} {entry.get('exc_info')!r}")
        raise structlog.DropEvent

    def _prepare_store(self) -> None:
        """The directories that the players work in are there from the beginning."""
        homes = [player.home for player in self._players] + ([DIRECTORY] if self._contender else [])
        for home in homes:
            self._store.tree.create_container(home, Attributes(Kind.CONTAINER, 0o755, 0, 0, 1, 1, 1))

    # Lives

    async def _live(self) -> None:
        self._tell(f"{self._plan} {self._weather}")
        async with trio.open_nursery() as servers:
            self._network = Network(self._store, self._weather, self.machine, servers)
            servers.start_soon(self._weather.blow)
            if self._contender:
                servers.start_soon(self._stranger.run)
            for _ in range(self._plan.lives):
                await self._one_life()
                await trio.sleep(self._random.choice((0.0, 0.1, 100.0)))
                await self._network.all_settled()
            self._weather.clear()
            self._stranger.is_done = True
            await self._process(self._last_life, {})
            servers.cancel_scope.cancel()

    async def _one_life(self) -> None:
        if self._random.random() < 0.3:
            end = {"calls": self._random.randint(1, 60)}
        elif self._random.random() < 0.4:
            end = {"calls": int(10 ** self._random.uniform(1, 3.2))}
        else:
            end = {"steps": int(10 ** self._random.uniform(1, 3.8))}
        await self._process(self._working_life, end)

    async def _process(self, life: Callable[[Rooms], Any], end: dict[str, int]) -> None:
        """A process from its start to its end, or to its being killed."""
        self._tell(f"a process begins, to be killed after {end}")
        with trio.CancelScope() as scope:
            self.machine.begin(scope, **end)
            try:
                with trio.fail_after(_PHASE_SECONDS_MAX):
                    rooms = await Rooms.open(self._directory / "state", self._network, self._plan, self.machine)
                    await rooms.inhabited(life, self._random)
            except BaseException:
                if not self.machine.is_dead:
                    raise
        was_killed = self.machine.is_dead
        self.machine.end()
        if was_killed:
            self._after_kill()

    def _after_kill(self) -> None:
        if self._fault in plants.AFTER_KILL:
            plants.AFTER_KILL[self._fault](self._store, self._directory / "state")
        for player in self._players:
            player.forget_handles()
        step = self.machine.killed_at_step
        for upload, learned in list(self._network.known_uploads.items()):
            if learned == step:  # killed before it could be written down
                del self._network.known_uploads[upload]

    async def _working_life(self, rooms: Rooms) -> None:
        await self._enter(rooms, thorough=self._random.random() < 0.4)
        async with trio.open_nursery() as programs:
            for player in self._players:
                programs.start_soon(player.play, self._random.choice((0, 5, 20, 40)))
            if self._contender:
                programs.start_soon(self._contender.play, self._random.choice((0, 5, 15)))
        how = self._random.choice(("killed", "killed", "drained", "clean"))
        if how == "killed":
            self.machine.kill("at rest")
            await trio.lowlevel.checkpoint()
        await self._close_all()
        if how == "drained":
            with trio.move_on_after(300):
                await rooms.flusher.drain()
        self._tell("ends in good order")
        await rooms.end()

    async def _enter(self, rooms: Rooms, *, thorough: bool) -> None:
        """Everybody meets the new process, and what it shows is compared with what had returned."""
        for player in self._players:
            player.enter(rooms.volume)
        if self._contender:
            self._contender.enter(rooms.volume)
        if thorough or any(player.is_in_doubt() for player in self._players):
            shown = await self._look(rooms)
            for player in self._players:
                player.judge(shown)
            self._check_texts(shown)

    async def _close_all(self) -> None:
        for player in self._players:
            await player.close_all()

    async def _look(self, rooms: Rooms) -> Shown:
        """Every path and every byte that the volume shows."""
        program = Program(rooms.volume, CALLER)
        while True:
            try:
                inodes = await program.walk()
                files = [path for path, inode in inodes.items() if inode.kind is Kind.FILE]
                return Shown(inodes, {path: await program.content(path) for path in files})
            except VaultaireError as error:
                self.machine.check_alive()
                self._tell(f"nothing to be seen: {error!r}")
                await trio.sleep(5)

    def _check_texts(self, shown: Shown) -> None:
        for path, content in shown.contents.items():
            if path[0] == DIRECTORY:
                assert self._bank.is_text(content), f"{path} holds {content[:80]!r}: nobody wrote that"

    # The end

    async def _last_life(self, rooms: Rooms) -> None:
        await self._enter(rooms, thorough=True)
        async with trio.open_nursery() as programs:
            for player in self._players:
                programs.start_soon(player.play, self._random.choice((0, 10)))
        await self._close_all()
        shown = await self._drained(rooms)
        for player in self._players:
            player.judge(shown)
        self._check_texts(shown)
        self._compare_with_store(shown)
        self._check_leftovers(rooms)
        self._check_events(rooms)
        await rooms.end()

    async def _drained(self, rooms: Rooms) -> Shown:
        """Drain and look until a look brings nothing new; what it shows then."""
        for _ in range(_ROUNDS_MAX):
            with trio.fail_after(_DRAIN_SECONDS_MAX):
                await rooms.flusher.drain()
            await trio.sleep(self._plan.ttl_seconds + 1)
            shown = await self._look(rooms)
            backlog = rooms.ledger.backlog
            if not (backlog.owed_names or backlog.owed_inos or backlog.doubts.begun):
                return shown
        raise AssertionError(f"never drained: {rooms.flusher.status().flush_errors}")

    def _compare_with_store(self, shown: Shown) -> None:
        """The store holds what the mount shows, and nothing else."""
        stored = memory_tree(self._store)
        names = {path for path in shown.inodes if path}
        assert set(stored) == names, f"only stored {sorted(set(stored) - names)}, not {sorted(names - set(stored))}"
        for path, held in stored.items():
            inode = shown.inodes[path]
            if not self._is_implicit(path):
                wanted = (inode.kind, inode.mode, inode.uid, inode.gid, inode.target, dict(inode.xattrs or {}))
                got = (held.kind, held.mode, held.uid, held.gid, held.target, dict(held.xattrs))
                assert got == wanted, f"stored {path}: {got} instead of {wanted}"
            assert held.content == shown.contents.get(path, b""), f"stored {path}: other bytes"
        missing = self._bank.missing({held.content for held in stored.values()})
        assert not missing, f"gone without having been replaced or removed: {missing}"

    def _is_implicit(self, path: tuple[bytes, ...]) -> bool:
        """Whether a container exists by what is in it alone, so that nobody keeps its attributes."""
        node = self._store.tree.find(EntryPath(b"/".join(path[:-1]), path[-1]))
        return isinstance(node, Container) and node.version == "implicit"

    def _check_leftovers(self, rooms: Rooms) -> None:
        ours = [upload for upload in self._store.uploads() if upload in self._network.known_uploads]
        assert not ours, f"uploads of ours left in the store: {ours}"
        status = rooms.flusher.status()
        assert not status.flush_errors, status.flush_errors
        kept = rooms.state.quarantined()
        assert not kept or self.machine.has_torn, kept

    def _check_events(self, rooms: Rooms) -> None:
        """Dense, and one for each operation; a few that were under way at a kill may have changed nothing."""
        records = list(rooms.ledger.events.read())
        assert [record.sequence for record in records] == list(range(1, len(records) + 1)), "events are not dense"
        told = Counter(record.operation_id for record in records if record.operation_id)
        twice = {number: count for number, count in told.items() if count > 1}
        assert not twice, f"operations with more than one event: {twice}"
        untold = max(told, default=0) - len(told)
        at_once = len(self._players) + 2
        assert untold <= at_once * self.machine.kills, f"{untold} operations without an event"
        assert rooms.volume.door.lost_events == 0
