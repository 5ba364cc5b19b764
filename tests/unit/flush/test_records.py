"""kill -9 between two records of one step."""

import pytest

from tests.unit.flush.world import Crash, World
from vaultairefs.journal import JournalEntry
from vaultairefs.model.changes import ArtifactFlushed
from vaultairefs.model.values import ROOT


async def test_a_container_whose_times_a_put_disturbed_gets_them_back(world: World) -> None:
    container = world.mkdir(ROOT, b"d")
    ino = world.create(container, b"a", b"1")
    await world.drain()
    world.write(ino, 0, b"2")
    append, is_over = world.ledger._journal.append, False

    def killed(entry: JournalEntry, *, is_urgent: bool = False) -> None:
        nonlocal is_over
        if is_over:
            raise Crash
        append(entry)
        is_over = isinstance(entry.change, ArtifactFlushed) and entry.change.ino == ino

    world.ledger._journal.append = killed  # type: ignore[method-assign]
    with pytest.raises(Crash):
        for _ in range(3):
            world.seconds += 60
            await world.tick()
    await world.crash()
    owed = world.ledger.backlog.owed_inos.get(container)
    assert owed is not None and owed.attributes
