"""The kernel remembers names and attributes for long, and is told when the volume itself changes them."""

import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.daemon import mounted_daemon, workshop
from tests.support.rooms import House
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.fuse import mounting, session
from vaultairefs.fuse.mounting import MountOptions
from vaultairefs.model.values import ANY, Attributes, EntryPath, Kind

LONG = 3600.0
SECONDS_MAX = 20.0


class Shown:
    """A volume over a memory engine, mounted in this process; nothing in it is fresh, and the kernel believes all."""

    def __init__(self, mountpoint: Path, engine: MemoryEngine) -> None:
        self.mountpoint = mountpoint
        self.engine = engine

    async def put(self, name: bytes, content: bytes, mode: int = 0o600) -> None:
        """What others do to the engine."""
        theirs = Attributes(Kind.FILE, mode, 0, 0, 7, 8, 9)
        await self.engine.put(EntryPath(b"", name), content, theirs, expected=ANY, token="")

    async def ask(self, call: Callable[..., Any], name: str, *arguments: Any) -> Any:
        return await trio.to_thread.run_sync(call, self.mountpoint / name, *arguments)

    async def list(self) -> None:
        """A program lists the folder, so that the volume learns what others did."""
        await trio.to_thread.run_sync(os.listdir, self.mountpoint)

    async def until(self, call: Callable[[Path], Any], name: str, expected: Any) -> None:
        """The kernel is told by a thread, a moment after the listing."""
        deadline = time.monotonic() + SECONDS_MAX
        while (seen := await self.ask(call, name)) != expected:
            assert time.monotonic() < deadline, f"{name} is still {seen}"
            await trio.sleep(0.01)


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[Shown]:
    engine = MemoryEngine()
    house = await House.open(tmp_path / "state", engine, ttl_seconds=0)
    with workshop() as base:
        mountpoint = base / "mount"
        mountpoint.mkdir()
        ready = trio.Event()
        async with trio.open_nursery() as nursery:
            options = MountOptions(source="memory", ttl_seconds=LONG)
            nursery.start_soon(session.serve, house.volume, str(mountpoint), options, ready.set)
            await ready.wait()
            yield Shown(mountpoint, engine)
            await trio.to_thread.run_sync(mounting.unmount, str(mountpoint))
    await house.close()


def size_of(path: Path) -> int:
    return path.stat().st_size


def exists(path: Path) -> bool:
    return path.exists()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_new_version_of_others_is_seen_after_the_next_listing(shown: Shown) -> None:
    await shown.put(b"a", b"1")
    assert await shown.ask(size_of, "a") == 1
    await shown.put(b"a", b"22")
    assert await shown.ask(size_of, "a") == 1, "the kernel believes what it was told"
    await shown.list()
    await shown.until(size_of, "a", 2)


async def test_a_name_that_others_take_is_no_longer_free(shown: Shown) -> None:
    assert not await shown.ask(exists, "a")
    await shown.put(b"a", b"1")
    assert not await shown.ask(exists, "a"), "the kernel believes what it was told"
    await shown.list()
    await shown.until(exists, "a", True)


async def test_attributes_that_others_change_are_seen(shown: Shown) -> None:
    await shown.put(b"a", b"1")
    assert await shown.ask(mode_of, "a") == 0o600
    path = EntryPath(b"", b"a")
    info = await shown.engine.stat(path)
    await shown.engine.set_attributes(path, Attributes(Kind.FILE, 0o640, 0, 0, 7, 8, 9), expected=info.version)
    assert await shown.ask(mode_of, "a") == 0o600, "the kernel believes what it was told"
    await shown.list()
    await shown.until(mode_of, "a", 0o640)


def test_a_conflict_is_seen_although_the_kernel_believes_the_name_for_long() -> None:
    with workshop() as base, mounted_daemon(base, options=[f"ttl={LONG:.0f}", "flush_delay=3600"]) as daemon:
        ours = daemon.mountpoint / "a"
        ours.write_bytes(b"ours")
        assert ours.stat().st_size == 4
        (daemon.engine / "a").write_bytes(b"of others")
        daemon.flush()
        deadline = time.monotonic() + SECONDS_MAX
        while ours.stat().st_size != 9:
            assert time.monotonic() < deadline, "the kernel still shows our file under the name"
        assert ours.read_bytes() == b"of others"
        (kept,) = (path for path in daemon.mountpoint.iterdir() if path.name.startswith("a.conflict-"))
        assert kept.read_bytes() == b"ours"
