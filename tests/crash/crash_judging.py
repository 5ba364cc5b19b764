"""Recover what a power cut left, let the next daemon go on, and say what of the promises it breaks."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from tests.crash.crash_history import CrashHistory, EngineLog, Stored, Tree, engine_of, tree_of
from tests.support.ledgers import OTHER_BOOT
from tests.support.recording_disk import Moment, RecordingDisk
from tests.unit.flush.world import World
from vaultairefs.backlog import snapshot as backlog_snapshot
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Kind
from vaultairefs.namespace import snapshot as namespace_snapshot

State = tuple[int, ...]


class Case(NamedTuple):
    """One disk and one engine that a power cut may leave."""

    point: int
    state: State
    late: bool


def states_of(radices: list[int], random: Random, most: int) -> list[State]:
    """All states where there are few, else the four extremes and a sample."""
    total = 1
    for radix in radices:
        total *= radix
        if total > most:
            break
    else:
        return list(itertools.product(*(range(radix) for radix in radices)))
    lowest, highest = tuple(0 for _ in radices), tuple(radix - 1 for radix in radices)
    found = {lowest: None, highest: None, (highest[0], *lowest[1:]): None, (0, *highest[1:]): None}
    for _ in range(50 * most):
        if len(found) >= most:
            break
        kept = random.choice((0.1, 0.5, 0.9))
        sectors = (radix - 1 if random.random() < kept else random.randrange(radix) for radix in radices[1:])
        found[random.choice((0, highest[0], random.randrange(radices[0]))), *sectors] = None
    return random.sample(list(found), most)


class Judge:
    """Judges every case of one history; ``tried`` counts them, ``again`` those whose recovery was cut as well."""

    def __init__(self, history: CrashHistory, base: Path) -> None:
        self.history = history
        self.base = base
        self.tried = self.again = self.points = 0
        self._names = itertools.count()

    def cases(self, points: Iterator[int], random: Random, most: int) -> Iterator[Case]:
        """At each point at most so many states."""
        for point in points:
            self.points += 1
            moment = Moment(self.history.disk.ops, point)
            for number, state in enumerate(states_of(moment.radices, random, most)):
                yield Case(point, state, late=bool((number + point) % 2))

    async def judge(self, case: Case) -> str:
        """What is wrong, or nothing."""
        self.tried += 1
        world = self._world_of(self.history.disk.ops, case, self.history.engine)
        return await self._live_on(world, case.point)

    async def judge_twice(self, case: Case, random: Random, patch: pytest.MonkeyPatch) -> str:
        """The same, where the power fails once more while the next daemon recovers and drains."""
        self.tried += 1
        self.again += 1
        world = self._world_of(self.history.disk.ops, case, self.history.engine)
        with patch.context() as watching:
            disk = RecordingDisk(watching, world.directory)
            engine = EngineLog(world.engine, disk)
            problem = await self._live_on(world, case.point)
            disk.stop()
        if problem:
            return problem
        point = random.randrange(disk.begun, len(disk.ops) + 1)
        state = random.choice(states_of(Moment(disk.ops, point).radices, random, 8))
        again = self._world_of(disk.ops, Case(point, state, late=random.random() < 0.5), engine)
        return await self._live_on(again, case.point)

    def _world_of(self, ops: Any, case: Case, engine: EngineLog) -> World:
        directory = self.base / f"disk-{next(self._names)}"
        Moment(ops, case.point).write_down(case.state, directory)
        machine = directory / "machine.json"
        if machine.exists() and machine.stat().st_size:
            machine.write_bytes(OTHER_BOOT)
        stored: Stored = engine.at(case.point, late=case.late)
        world = World(directory, engine_of(self.history.capabilities, stored))
        world.now_ns = self.history.world.now_ns
        return world

    async def _live_on(self, world: World, point: int) -> str:
        await world.open()
        try:
            return self._names_wrong(tree_of(world), point) or await self._after_drain(world, point)
        except (AssertionError, VaultaireError) as error:
            return repr(error)
        finally:
            world.drop_everything()

    def _names_wrong(self, tree: Tree, point: int) -> str:
        history = self.history
        floor = max(index for op, index in history.floors if op <= point)
        allowed = [seen for at, seen in history.trees[floor:] if at <= point] or [history.trees[floor][1]]
        return "" if tree in allowed else f"names {tree} are none of {allowed}"

    async def _after_drain(self, world: World, point: int) -> str:
        ledger = world.ledger
        problems = namespace_snapshot.audit(ledger.namespace) + backlog_snapshot.audit(ledger.backlog)
        tree = tree_of(world)
        await world.drain()
        if tree_of(world) != tree:
            return f"names changed while it was drained: {tree} to {tree_of(world)}"
        contents = {}
        for path, (ino, kind) in tree.items():
            if kind is Kind.FILE:
                size = ledger.namespace.get(ino).size
                await world.fetcher.ensure(ino, 0, size)
                contents[path] = ledger.buffer.read(ino, 0, size) if size else b""
                problems += self._content_wrong(path, tree, contents[path], point)
        held = {}
        for place, info, content in world.engine.walk():
            held[place.joined] = (info.attributes.kind, content if info.attributes.kind is Kind.FILE else b"")
        wanted = {path.strip(b"/"): (kind, contents.get(path, b"")) for path, (_, kind) in tree.items()}
        wanted.pop(b"", None)
        held.pop(b"", None)
        if held != wanted:
            problems.append(f"the engine holds {held}, programs see {wanted}")
        if world.engine.parked() or world.flusher.status().conflicts or world.flusher.status().flush_errors:
            problems.append(f"parked {world.engine.parked()}, {world.flusher.status()}")
        return "; ".join(problems)

    def _content_wrong(self, path: bytes, tree: Tree, content: bytes, point: int) -> list[str]:
        history, ino = self.history, tree[path][0]
        if why := history.states[ino].why_not(content, point):
            return [f"{path!r}: {why}"]
        first = min(index for index, (_, seen) in enumerate(history.trees) if seen == tree)
        renames = [since for at, name, moved, since in history.replaced if (name, moved) == (path, ino) and at <= first]
        if renames and all(history.states[ino].why_not(content, point, since) for since in renames):
            return [
                f"{path!r} was replaced by what nobody wrote: {history.states[ino].why_not(content, point, renames[0])}"
            ]
        return []
