"""The power fails right behind a verb of the engine, before anything of what it did is on the local disk."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import stores
from tests.support.ledgers import scratch_directory
from tests.support.power import Disk, Worst
from tests.unit.flush.directories import Directory
from tests.unit.flush.world import NATIVE, PLAIN, Crash, Interfering, World
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model.values import ROOT, EntryPath, Ino, Kind

OLD, NEW = bytes(range(200)), b"new bytes, "


class Cut:
    """An engine that is told of its verbs, and a disk of which only what was synced is left."""

    def __init__(self, engine: Any, base: Path, patch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.disk = Disk(patch)
        self.world = World(base / "0", engine)
        self.base = base
        self.lives = 0
        self.behind: set[str] = set()
        self.hook: Callable[[], Awaitable[None]] | None = None
        self.real: dict[str, Callable[..., Awaitable[Any]]] = {}
        for verb in ("put", "commit_upload", "move", "link", "copy", "delete", "set_attributes"):
            self.real[verb] = getattr(engine, verb)
            patch.setattr(engine, verb, self.cutting(verb))

    def cutting(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def cut(*args: Any, **options: Any) -> Any:
            answer = await self.real[verb](*args, **options)
            if self.hook is not None and verb in ("put", "commit_upload"):
                hook, self.hook = self.hook, None
                await hook()
            if verb in self.behind:
                self.behind.clear()
                self.lives += 1
                self.disk.lose(self.world.directory, self.base / str(self.lives), Worst())
                raise Crash
            return answer

        return cut

    def fsyncing(self, ino: Ino, data: bytes) -> Callable[[], Awaitable[None]]:
        """A program's write to the file's beginning and its fsync."""

        async def work() -> None:
            self.world.write(ino, 0, data, leave_open=True)
            await self.world.ledger.sync_body(ino)
            await self.world.ledger.sync()

        return work

    async def flush_until_the_power_fails(self, *verbs: str) -> None:
        """Behind the first of these verbs; then the next daemon opens what is left."""
        self.behind |= set(verbs)
        with pytest.raises(BaseException) as failed:
            await self.world.drain()
        assert "Crash" in repr(failed.value)
        self.world.drop_everything()
        self.world.held.clear()
        self.world.directory = self.base / str(self.lives)
        await self.world.open()
        assert self.world.ledger.recovered.power_was_cut

    async def holds(self) -> dict[bytes, bytes]:
        """Every file of the engine, as a program would read it."""
        discovery = Discovery(self.world.ledger, self.engine, ttl_seconds=3600.0)
        await discovery.ensure_listed(ROOT)
        found = {}
        for inode in self.world.inodes(Kind.FILE):
            await self.world.fetcher.ensure(inode.ino, 0, inode.size)
            for key in inode.refs:
                found[key.name] = self.world.ledger.buffer.read(inode.ino, 0, inode.size) if inode.size else b""
        return found

    async def clean_file(self, name: bytes, content: bytes) -> Ino:
        """A file of which nothing is owed and nothing local."""
        ino = self.world.create(ROOT, name, content)
        await self.world.drain()
        self.world.evict_everything()
        await self.world.ledger.sync()
        return ino


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


@asynccontextmanager
async def an_engine(kind: str, base: Path, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    if kind == "directory":
        engine = Directory(base / "engine")
        yield engine
        await engine.close()
    elif kind == "s3":
        async with stores.opened(request.getfixturevalue("server")) as store:
            yield store
    else:
        yield Interfering(capabilities=NATIVE if kind == "native" else PLAIN)


@pytest.fixture(params=["native", "plain", "directory", "s3"])
async def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cut]:
    base = scratch_directory()
    async with an_engine(request.param, base, request) as engine:
        cut = Cut(engine, base, monkeypatch)
        await cut.world.open()
        yield cut
        cut.world.drop_everything()
    shutil.rmtree(base)


async def test_a_put_whose_record_was_lost_is_our_own_and_holds_what_is_missing_here(cut: Cut) -> None:
    """Bytes written into a file of which the rest is only in the engine, and never fsynced."""
    ino = await cut.clean_file(b"a", OLD)
    cut.world.write(ino, 5, NEW)
    await cut.world.ledger.sync()
    wanted = cut.world.contents[ino]
    await cut.flush_until_the_power_fails("put", "commit_upload")
    await cut.world.drain()
    assert await cut.holds() == {b"a": wanted}
    assert cut.world.flusher.status().conflicts == 0


async def test_a_put_of_a_file_of_which_nothing_reached_the_disk_is_not_repeated(cut: Cut) -> None:
    ino = await cut.clean_file(b"a", OLD)
    cut.world.truncate(ino, 0)
    cut.world.write(ino, 0, NEW * 30)
    await cut.world.ledger.sync()
    wanted = cut.world.contents[ino]
    await cut.flush_until_the_power_fails("put", "commit_upload")
    version = (await cut.engine.stat(EntryPath(b"", b"a"))).version
    await cut.world.drain()
    assert await cut.holds() == {b"a": wanted}
    assert (await cut.engine.stat(EntryPath(b"", b"a"))).version == version
    assert cut.world.flusher.status().conflicts == 0


async def test_a_new_file_of_which_nothing_reached_the_disk_is_not_emptied_in_the_engine(cut: Cut) -> None:
    cut.world.create(ROOT, b"a", OLD)
    await cut.world.ledger.sync()
    await cut.flush_until_the_power_fails("put", "commit_upload")
    await cut.world.drain()
    assert await cut.holds() == {b"a": OLD}
    assert cut.world.flusher.status().conflicts == 0


async def test_what_was_fsynced_after_it_was_sent_is_newer_than_what_the_engine_has(cut: Cut) -> None:
    ino = cut.world.create(ROOT, b"a", OLD)
    cut.hook = cut.fsyncing(ino, NEW)
    await cut.flush_until_the_power_fails("put", "commit_upload")
    await cut.world.drain()
    assert await cut.holds() == {b"a": NEW + OLD[len(NEW) :]}


async def test_a_file_that_was_appended_to_is_as_long_as_the_engine_has_it(cut: Cut) -> None:
    ino = cut.world.create(ROOT, b"a", OLD)
    await cut.world.drain()
    cut.world.write(ino, len(OLD), NEW)
    await cut.world.ledger.sync()
    wanted = cut.world.contents[ino]
    await cut.flush_until_the_power_fails("put", "commit_upload")
    version = (await cut.engine.stat(EntryPath(b"", b"a"))).version
    await cut.world.drain()
    assert await cut.holds() == {b"a": wanted}
    assert (await cut.engine.stat(EntryPath(b"", b"a"))).version == version
    assert cut.world.flusher.status().conflicts == 0


async def test_a_move_whose_record_was_lost_is_our_own(cut: Cut) -> None:
    """The file itself did not change; programs name it anew before the flusher looks."""
    await cut.clean_file(b"a", OLD)
    cut.world.rename(ROOT, b"a", ROOT, b"b")
    await cut.flush_until_the_power_fails("move", "copy")
    assert [key.name for key in cut.world.names() if key.name] == [b"b"]
    cut.world.rename(ROOT, b"b", ROOT, b"c")
    await cut.world.drain()
    assert await cut.holds() == {b"c": OLD}
    assert cut.world.flusher.status().conflicts == 0


async def test_what_replaced_a_file_in_the_engine_replaced_it_here(cut: Cut) -> None:
    await cut.clean_file(b"a", OLD)
    await cut.clean_file(b"b", NEW)
    cut.world.rename(ROOT, b"b", ROOT, b"a")
    await cut.flush_until_the_power_fails("move", "copy")
    await cut.world.drain()
    assert await cut.holds() == {b"a": NEW}
    assert cut.world.flusher.status().conflicts == 0


async def test_a_name_that_is_gone_from_the_engine_is_gone_here(cut: Cut) -> None:
    await cut.clean_file(b"a", OLD)
    cut.world.remove(ROOT, b"a")
    await cut.flush_until_the_power_fails("delete")
    assert [key.name for key in cut.world.names() if key.name] == []
    await cut.world.drain()
    assert await cut.holds() == {}


async def test_a_file_that_was_written_on_while_it_was_sent_keeps_what_was_fsynced_meanwhile(cut: Cut) -> None:
    """The version that was sent is older than what was fsynced; its record must not make that worthless."""
    ino = cut.world.create(ROOT, b"a", OLD)
    await cut.world.drain()
    cut.world.write(ino, 100, NEW, leave_open=True)
    wanted = NEW + OLD[len(NEW) : 100] + NEW + OLD[100 + len(NEW) :]
    cut.hook = cut.fsyncing(ino, NEW)
    cut.world.seconds += 60
    with cut.world.flusher._urgency.everything():
        await cut.world.tick()
    assert cut.hook is None
    await cut.world.ledger.sync()
    cut.disk.lose(cut.world.directory, cut.base / "later", Worst())
    cut.world.drop_everything()
    cut.world.directory = cut.base / "later"
    await cut.world.open()
    await cut.world.drain()
    assert await cut.holds() == {b"a": wanted}
