"""A file that others replaced in the engine while a program here holds it open."""

import os
from pathlib import Path

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.errors import Stale
from vaultairefs.model.values import ANY, ROOT, Attributes, EntryPath, Kind

THEIRS = Attributes(Kind.FILE, 0o644, 0, 0, 7, 8, 9)
MIB = 1 << 20


async def test_a_write_among_bytes_that_are_nowhere_any_more_is_refused(tmp_path: Path, engine: MemoryEngine) -> None:
    """It would succeed into a file without a name, and be lost with it."""
    await engine.put(EntryPath(b"", b"f"), b"1" * 3 * MIB, THEIRS, expected=ANY, token="")
    house = await House.open(tmp_path / "state", engine, ttl_seconds=0)
    with calling_as(ROOT_CALLER):
        found = await house.volume.tree.lookup(ROOT, b"f")
        handle = await house.volume.files.open(found.ino, os.O_RDWR)
        await house.volume.files.read(handle, 0, 10)
        await engine.put(EntryPath(b"", b"f"), b"theirs", THEIRS, expected=ANY, token="")
        assert (await house.volume.tree.lookup(ROOT, b"f")).ino != found.ino
        with pytest.raises(Stale):
            await house.volume.files.write(handle, 5, b"ours")
        await house.volume.files.release(handle)
    await house.close()


async def test_an_unlinked_file_can_be_written_on(tmp_path: Path, engine: MemoryEngine) -> None:
    await engine.put(EntryPath(b"", b"f"), b"1" * 3 * MIB, THEIRS, expected=ANY, token="")
    house = await House.open(tmp_path / "state", engine, ttl_seconds=0)
    with calling_as(ROOT_CALLER):
        found = await house.volume.tree.lookup(ROOT, b"f")
        handle = await house.volume.files.open(found.ino, os.O_RDWR)
        await house.volume.tree.unlink(ROOT, b"f")
        await house.volume.files.write(handle, 5, b"ours")
        await house.drain()
        await house.volume.files.write(handle, 9, b"!")
        assert await house.volume.files.read(handle, 4, 7) == b"1ours!1"
        await house.volume.files.release(handle)
    await house.close()
