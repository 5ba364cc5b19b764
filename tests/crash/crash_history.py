"""A seeded history of one volume on a disk that is recorded, with all that the promises say about every moment of it.

Programs work on a ``World``; the flusher runs when a step says so.  Nothing here waits for a clock or a thread, so a
seed gives the same history each time.
"""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import trio

from tests.support.recording_disk import RecordingDisk
from tests.unit.flush.acting import NAMES, Programs
from tests.unit.flush.world import NATIVE, PLAIN, Interfering, World
from vaultairefs.events import EventLog
from vaultairefs.journal import Journal
from vaultairefs.ledger import compaction
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Ino, Kind

ACTS: Final = (
    *(
        "create",
        "create",
        "write",
        "write",
        "write_open",
        "write_open",
        "truncate",
        "mkdir",
        "symlink",
        "link",
        "remove",
    ),
    *("rename", "rename", "rename_over", "rename_over", "exchange", "chmod", "evict"),
)
STEPS: Final = (
    *("act",) * 14,
    *("fsync", "fsync", "fsync", "sync", "tick", "tick", "tick", "fetch", "drain", "checkpoint", "compact", "kill"),
)

Tree = dict[bytes, tuple[Ino, Kind]]
Stored = tuple[Any, Any, Any]


@dataclass
class States:
    """All contents that one file had, each with the op from which on it may be there; see ``promise``."""

    seen: list[tuple[int, bytes]] = field(default_factory=lambda: [(0, b"")])
    promises: list[tuple[int, int]] = field(default_factory=list)

    def see(self, since: int, content: bytes) -> None:
        if self.seen[-1][1] != content:
            self.seen.append((since, content))

    def promise(self, op: int) -> None:
        """Once so many ops were done, what the file holds now, or anything later, is there."""
        self.promises.append((op, len(self.seen) - 1))

    def why_not(self, content: bytes, point: int, since: int = 0) -> str:
        """What is wrong with finding ``content`` after a power cut at ``point``; nothing older than state ``since``."""
        first = max([since, *(index for op, index in self.promises if op <= point)])
        states = [state for at, state in self.seen[first:] if at <= point] or [self.seen[first][1]]
        if len(content) < min(map(len, states)):
            return f"{len(content)} bytes, and it had at least {min(map(len, states))}"
        for at, byte in enumerate(content):
            if not any(state[at : at + 1] == content[at : at + 1] for state in states) and (
                byte or all(at < len(state) for state in states)
            ):
                return (
                    f"byte {at} is {byte}, and was one of {sorted({state[at] for state in states if at < len(state)})}"
                )
        return ""


class EngineLog:
    """What a memory engine held when, by ops of the disk."""

    def __init__(self, engine: Interfering, disk: RecordingDisk) -> None:
        self._engine = engine
        self._disk = disk
        self._begun: dict[trio.lowlevel.Task, int] = {}
        self.held: list[tuple[int, int, Stored]] = [(0, 0, self._copy())]
        engine.before, engine.after = self._before, self._after

    def _copy(self) -> Stored:
        engine = self._engine
        return copy.deepcopy((engine._tree, engine._uploads, engine._groups))

    def _before(self, verb: str) -> None:
        self._begun[trio.lowlevel.current_task()] = len(self._disk.ops)

    def _after(self, verb: str) -> None:
        begun = self._begun.pop(trio.lowlevel.current_task())
        if verb not in ("stat", "list", "read", "usage"):
            self.held.append((begun, len(self._disk.ops), self._copy()))

    def at(self, point: int, *, late: bool) -> Stored:
        """What the engine holds when the next daemon comes; ``late``: what was asked for is done after all."""
        found = [held for begun, applied, held in self.held if applied <= point]
        if late:
            for begun, applied, held in self.held:
                if applied > point:
                    if begun > point:
                        break
                    found.append(held)
        return copy.deepcopy(found[-1])


def engine_of(capabilities: Any, stored: Stored) -> Interfering:
    """Another engine that holds the same."""
    engine = Interfering(capabilities=capabilities)
    engine._tree, engine._uploads, engine._groups = stored
    return engine


def tree_of(world: World) -> Tree:
    """What programs find, by path."""
    namespace, found = world.ledger.namespace, {}
    for key in world.names():
        inode = namespace.child(*key)
        assert inode is not None
        found[namespace.path(key.container) + b"/" + key.name] = (inode.ino, inode.kind)
    return found


class CrashHistory:
    """One history, made by ``live``; then ask it about any moment.

    ``trees``: (op from which on it may be there, what programs found); ``floors``: (op, index in ``trees``) of what may
    not be lost once so many ops were done; ``replaced``: (index in ``trees``, path, inode, index of the state) of
    renames over a file.
    """

    def __init__(self, directory: Path, seed: int, patch: pytest.MonkeyPatch) -> None:
        directory.mkdir()
        self.random = Random(seed)
        self.capabilities = NATIVE if seed % 2 else PLAIN
        self.disk = RecordingDisk(patch, directory)
        engine = Interfering(capabilities=self.capabilities)
        self.engine = EngineLog(engine, self.disk)
        self.world = World(directory, engine)
        self.programs = Programs(self.world)
        self.trees: list[tuple[int, Tree]] = []
        self.floors: list[tuple[int, int]] = [(0, 0)]
        self.states: dict[Ino, States] = {}
        self.replaced: list[tuple[int, bytes, Ino, int]] = []
        self._step_began = 0
        engine.on_call = self._meanwhile

    async def live(self, steps: int) -> None:
        await self._open()
        for _ in range(steps):
            self._step_began = len(self.disk.ops)
            await self._do(self.random.choice(STEPS))
            self._remember()
        self.world.drop_everything()
        self.disk.stop()

    async def _open(self) -> None:
        await self.world.open()
        commit, sync = self.world.ledger.commit, self.world.ledger.sync

        def remembered(change: Any) -> Any:
            sequence = commit(change)
            self._remember()
            return sequence

        async def promised() -> None:
            tree, stored = len(self.trees) - 1, self._stored()
            await sync()
            self.floors.append((len(self.disk.ops), tree))
            for ino, index in stored.items():
                self.states[ino].promises.append((len(self.disk.ops), index))

        self.world.ledger.commit = remembered  # type: ignore[method-assign]
        self.world.ledger.sync = promised  # type: ignore[method-assign]
        self._remember()

    def _stored(self) -> dict[Ino, int]:
        """The files of which the engine has all, by what they hold."""
        backlog = self.world.ledger.backlog
        return {
            ino: len(states.seen) - 1
            for ino, states in self.states.items()
            if not backlog.owes_content(ino) and backlog.fresh_ref(ino) is not None
        }

    def _remember(self) -> None:
        tree = tree_of(self.world)
        before = self.trees[-1][1] if self.trees else {}
        for ino, content in self.world.contents.items():
            self.states.setdefault(ino, States()).see(self._step_began, content)
        if tree == before and self.trees:
            return
        for path, (ino, kind) in tree.items():
            there = before.get(path)
            if kind is Kind.FILE and there is not None and there[0] != ino:
                self.replaced.append((len(self.trees), path, ino, len(self.states.setdefault(ino, States()).seen) - 1))
        self.trees.append((self._step_began, tree))

    async def _meanwhile(self, verb: str) -> None:
        """Programs do not wait for the engine."""
        if verb in ("put", "put_chunk", "commit_upload", "copy", "move") and self.random.random() < 0.3:
            self._step_began = len(self.disk.ops)
            await self._do(self.random.choice(("act", "act", "fsync", "sync")))
            self._remember()

    # Steps

    async def _do(self, kind: str) -> None:
        world, random = self.world, self.random
        files = world.inodes(Kind.FILE)
        if kind == "act":
            self._act(random.choice(ACTS))
        elif kind == "tick":
            world.seconds += random.choice((0.6, 2.0, 40.0))
            await world.tick()
        elif kind == "sync":
            await world.ledger.sync()
        elif kind == "fsync" and files:
            ino = random.choice(files).ino
            state = len(self.states[ino].seen) - 1
            await world.ledger.sync_body(ino)
            await world.ledger.sync()
            self.states[ino].promises.append((len(self.disk.ops), state))
        elif kind == "fetch" and files:
            with suppress(VaultaireError):
                await world.fetcher.ensure(random.choice(files).ino, random.randrange(900), random.randrange(1, 400))
        elif kind == "drain":
            await world.drain()
            await world.ledger.sync()
        elif kind == "checkpoint":
            await world.ledger.checkpoint()
        elif kind == "compact":
            await world.ledger.checkpoint_elsewhere(compaction.compact)
        elif kind == "kill":
            world.drop_everything()
            world.held.clear()
            await self._open()

    def _act(self, act: str) -> None:
        world, random = self.world, self.random
        files = world.inodes(Kind.FILE)
        if act == "rename_over":
            names = [key for inode in files for key in inode.refs]
            if len(names) > 1:
                one, other = random.sample(names, 2)
                if world.ledger.namespace.child(*one) is not world.ledger.namespace.child(*other):
                    world.rename(*one, *other)
        else:
            numbers = random.randrange(30), random.randrange(600)
            self.programs.act((act, *numbers, random.randrange(len(NAMES)), random.randrange(900)))


SEGMENT_BYTES: Final = 4096


def without_threads(patch: pytest.MonkeyPatch) -> None:
    """Let what belongs into a thread happen at once, tasks in the same order each time, and logs rotate soon."""
    for log in (Journal, EventLog):
        defaults = log.__init__.__kwdefaults__  # type: ignore[misc]
        patch.setitem(defaults, "segment_bytes", SEGMENT_BYTES)

    async def at_once(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return function(*args)

    patch.setattr(trio.to_thread, "run_sync", at_once)
    patch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    patch.setattr(trio._core._run, "_r", Random(0))
