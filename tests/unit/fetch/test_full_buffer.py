"""Reading goes on in a buffer that is full of what cannot leave."""

import trio

from tests.unit.fetch.test_fetcher import KIB, MIB, local, stored
from tests.unit.flush.world import World
from vaultairefs.model.values import ROOT


async def test_a_read_across_what_is_local_ends_although_nothing_else_can_leave(world: World) -> None:
    content = bytes(range(256)) * (8 * KIB)
    ino = await stored(world, b"a", content)
    await world.fetcher.ensure(ino, 900 * KIB, KIB)
    world.create(ROOT, b"owed", b"x" * MIB)
    world.ledger.buffer.buffer_size = MIB
    with trio.fail_after(5):
        await world.fetcher.ensure(ino, 600 * KIB, 800 * KIB)
    assert local(world, ino, 600 * KIB, 800 * KIB) == content[600 * KIB : 1400 * KIB]
