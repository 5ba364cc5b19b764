"""A volume with ``ttl=0``: nothing is believed for longer than a call, and nothing is listed that nobody lists."""

import os
from pathlib import Path

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.values import ANY, ROOT, Attributes, EntryPath, Kind
from vaultairefs.volume import RenameMode

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 8, 9)


async def test_many_creations_in_one_container_list_it_once(tmp_path: Path, engine: MemoryEngine) -> None:
    house = await House.open(tmp_path / "state", engine, ttl_seconds=0)
    with calling_as(ROOT_CALLER):
        for number in range(50):
            _, handle = await house.volume.files.create(ROOT, b"%d" % number, 0o600, os.O_WRONLY)
            await house.volume.files.release(handle)
            await house.volume.tree.lookup(ROOT, b"%d" % number)
            await house.volume.tree.rename(ROOT, b"%d" % number, ROOT, b"x%d" % number, RenameMode.REPLACE)
    assert house.discovery.listings == 1
    await house.close()


async def test_each_lookup_and_each_listing_sees_what_others_did_before(tmp_path: Path, engine: MemoryEngine) -> None:
    house = await House.open(tmp_path / "state", engine, ttl_seconds=0)
    with calling_as(ROOT_CALLER):
        await house.volume.inodes.getattr(ROOT)
        await engine.put(EntryPath(b"", b"a"), b"1", THEIRS, expected=ANY, token="")
        assert (await house.volume.tree.lookup(ROOT, b"a")).size == 1
        await engine.put(EntryPath(b"", b"b"), b"1", THEIRS, expected=ANY, token="")
        handle = await house.volume.listings.opendir(ROOT)
        rows = await house.volume.listings.readdir(handle, 0)
        assert [row.name for row in rows] == [b".", b"..", b"a", b"b"]
        await house.volume.listings.releasedir(handle)
    await house.close()
