"""Other programs change the engine at any moment, too: nobody's bytes are lost, and in the end both see one tree."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.flush.acting import NAMES, acts
from tests.unit.flush.test_flusher_machine import VERBS, Machine
from tests.unit.flush.world import NATIVE, PLAIN, Interfering, World
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.memory_tree import Container
from vaultairefs.engine.paths import STAGING_CONTAINER
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model import changes
from vaultairefs.model.errors import Unavailable, VaultaireError
from vaultairefs.model.values import ABSENT, ANY, ROOT, Attributes, EntryPath, Ino, Kind

foreign_acts = st.tuples(
    st.sampled_from(["put", "put", "mkdir", "delete", "move"]),
    st.integers(0, 30),
    st.integers(0, 3),
    st.integers(0, 99),
)
steps = st.one_of(
    st.tuples(st.just("act"), acts),
    st.tuples(st.just("act"), acts),
    st.tuples(st.just("tick"), st.sampled_from([0.6, 2.0, 40.0])),
    st.tuples(st.just("foreign"), foreign_acts),
    st.tuples(st.just("foreign"), foreign_acts),
    st.tuples(st.just("list"), st.integers(0, 20)),
    st.tuples(st.just("list"), st.integers(0, 20)),
    st.tuples(st.just("during"), st.tuples(st.integers(0, 5), st.booleans(), acts)),
    st.tuples(st.just("foreign_during"), st.tuples(st.integers(0, 5), st.booleans(), foreign_acts)),
    st.tuples(st.just("fail"), st.tuples(st.sampled_from(VERBS), st.booleans(), st.just(False))),
    st.tuples(st.just("crash"), st.none()),
)


class Foreign:
    """Another program that works on the engine directly, and knows nothing of us."""

    def __init__(self, world: World) -> None:
        self.tree = world.engine._tree
        self.number = 0

    def act(self, act: tuple[str, int, int, int]) -> None:
        kind, first, name, second = act
        containers = [b"", *(path.joined for path, node in self.tree.walk() if isinstance(node, Container))]
        target = EntryPath(containers[first % len(containers)], NAMES[name])
        entries = [path for path, _ in self.tree.walk()]
        self.number += 1
        with suppress(VaultaireError):
            if kind == "put":
                attributes = Attributes(Kind.FILE, 0o600, 5, 6, 7, 10**16 + self.number, 9)
                self.tree.put(target, b"theirs %d" % self.number, attributes, ANY, "")
            elif kind == "mkdir":
                self.tree.create_container(target.joined, Attributes(Kind.CONTAINER, 0o700, 1, 2, 3, 4, 5))
            elif entries and kind == "delete":
                victim = entries[second % len(entries)]
                if isinstance(self.tree.find(victim), Container):
                    self.tree.delete_container(victim.joined)
                else:
                    self.tree.delete(victim, ANY)
            elif entries:
                source = entries[second % len(entries)]
                node = self.tree.find(source)
                if node is not None and STAGING_CONTAINER not in source.container:
                    self.tree.move(source, target, node.version, ABSENT)


class ForeignMachine(Machine):
    """Adds the other program, and listings."""

    def __init__(self, world: World) -> None:
        super().__init__(world, world.engine)
        self.foreign = Foreign(world)

    async def step(self, step: tuple[str, Any]) -> None:
        kind, value = step
        if kind == "foreign":
            self.foreign.act(value)
        elif kind == "foreign_during":
            self.agenda.append(list(value))
        elif kind == "list":
            containers = self.world.inodes(Kind.CONTAINER)
            await self.relist(containers[value % len(containers)].ino)
        elif kind == "act" and value[0] in ("evict", "hold", "let_go"):
            return  # bytes that are only there can be lost to the other program: no test of ours
        else:
            await super().step(step)
            self.guard()

    def perform(self, what: Any) -> None:
        if len(what) == 4:
            self.foreign.act(what)
        elif what[0] not in ("evict", "hold", "let_go"):
            self.programs.act(what)

    async def relist(self, ino: Ino) -> None:
        discovery = Discovery(self.world.ledger, self.world.engine, ttl_seconds=0.0, clock=lambda: self.world.seconds)
        with suppress(VaultaireError):
            await discovery.ensure_listed(ino)

    def guard(self) -> None:
        """Nothing that is owed may vanish."""
        ledger = self.world.ledger
        if getattr(ledger, "guarded", False):
            return
        commit = ledger.commit

        def checked(change: Any) -> Any:
            if isinstance(change, changes.EntryVanished):
                below = [change.ino]
                while below:
                    ino = below.pop()
                    inode = ledger.namespace.find(ino)
                    body = ledger.buffer.find(ino)
                    is_here = body is not None and (body.unflushed or bool(body.dirty))
                    assert not (is_here and ledger.backlog.owes_content(ino)), f"{change} takes what is nowhere else"
                    below += list((inode.children or {}).values()) if inode else []
            return commit(change)

        ledger.commit = checked  # type: ignore[method-assign]
        ledger.guarded = True  # type: ignore[attr-defined]

    async def finish(self) -> None:
        self.agenda.clear()
        self.engine._failures.clear()
        for _ in range(4):
            await self.world.drain()
            listed: set[Ino] = set()
            while todo := [inode for inode in self.world.inodes(Kind.CONTAINER) if inode.ino not in listed]:
                for inode in todo:
                    listed.add(inode.ino)
                    await self.relist(inode.ino)
        assert self.world.is_idle()
        await self.check_same()

    async def check_same(self) -> None:
        world, namespace = self.world, self.world.ledger.namespace
        seen: dict[bytes, Any] = {}
        for key in world.names():
            inode = namespace.child(*key)
            assert inode is not None
            parent = namespace.path(key.container)
            content = inode.target
            if inode.kind is Kind.FILE:
                await world.fetcher.ensure(inode.ino, 0, inode.size)
                content = world.ledger.buffer.read(inode.ino, 0, inode.size)
                assert content == world.contents.get(inode.ino, content)
            seen[parent + b"/" + key.name if parent else key.name] = (inode.kind, oct(inode.mode), content)
        held = {
            path.joined: (info.attributes.kind, oct(info.attributes.mode), content or info.attributes.target)
            for path, info, content in world.engine.walk()
        }
        assert seen == held
        assert world.engine.parked() == []


async def live(capabilities: Capabilities, history: list[tuple[str, Any]]) -> None:
    directory = Path(tempfile.mkdtemp(prefix="vaultairefs-foreign-"))
    try:
        world = World(directory / "state", Interfering(capabilities=capabilities))
        await world.open()
        machine = ForeignMachine(world)
        machine.guard()
        await machine.relist(ROOT)
        for step in history:
            await machine.step(step)
        with suppress(Unavailable):
            await machine.finish()
        await machine.finish()
        world.drop_everything()
    finally:
        shutil.rmtree(directory)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("capabilities", [NATIVE, PLAIN], ids=["native", "plain"])
@given(history=st.lists(steps, max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_two_sides_end_with_one_tree_and_all_bytes(capabilities: Capabilities, history: list[tuple[str, Any]]) -> None:
    trio.run(live, capabilities, history)
