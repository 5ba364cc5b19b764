"""A buffer that is full of what can leave, and a journal that is full."""

import os
from pathlib import Path

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import ROOT_CALLER, calling_as
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.changes import BodyClosed, Change
from vaultairefs.model.errors import OutOfSpace
from vaultairefs.model.values import ROOT

KIB = 1 << 10


async def test_room_is_made_for_many_writes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time costs a look at every body and a sync of the journal."""
    house = await House.open(tmp_path / "state", MemoryEngine(), buffer_size=1024 * KIB)
    with calling_as(ROOT_CALLER):
        for number in range(256):
            _, handle = await house.volume.files.create(ROOT, b"%d" % number, 0o644, os.O_RDWR)
            await house.volume.files.write(handle, 0, b"x" * 4 * KIB)
            await house.volume.files.release(handle)
        await house.drain()
        syncs = 0
        sync = house.ledger.sync

        async def counted() -> None:
            nonlocal syncs
            syncs += 1
            await sync()

        monkeypatch.setattr(house.ledger, "sync", counted)
        _, handle = await house.volume.files.create(ROOT, b"new", 0o644, os.O_RDWR)
        for number in range(32):
            await house.volume.files.write(handle, number * KIB, b"y" * KIB)
        assert 1 <= syncs <= 4
        await house.volume.files.release(handle)
    await house.close()


async def test_an_unlinked_file_goes_although_its_close_finds_no_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, handle = await house.volume.files.create(ROOT, b"f", 0o644, os.O_RDWR)
    await house.volume.files.write(handle, 0, b"x")
    await house.volume.tree.unlink(ROOT, b"f")
    house.volume.inodes.forget([(made.ino, 1)])
    commit = house.ledger.commit

    def full(change: Change) -> int:
        if isinstance(change, BodyClosed):
            raise OutOfSpace("no room")
        return commit(change)

    monkeypatch.setattr(house.ledger, "commit", full)
    with pytest.raises(OutOfSpace):
        await house.volume.files.release(handle)
    assert house.ledger.namespace.find(made.ino) is None
    assert house.ledger.buffer.find(made.ino) is None
