"""P5 for files that programs hold open for writing while others replace them in the engine."""

from tests.unit.flush.world import World
from vaultairefs.engine.interface import Deletion
from vaultairefs.fetch.discovery import Discovery
from vaultairefs.model.values import ANY, ROOT, Attributes, EntryPath, Kind

THEIRS = Attributes(Kind.FILE, 0o600, 5, 6, 7, 8, 9)


async def test_what_is_written_on_is_kept_beside_what_others_put_there(world: World, discovery: Discovery) -> None:
    """A log file, say, flushed and clean at the moment, whose writer has not gone."""
    ino = world.create(ROOT, b"log", b"one\n")
    world.ledger.buffer.hold(ino, writing=True)
    await world.drain()
    await world.engine.put(EntryPath(b"", b"log"), b"theirs", THEIRS, expected=ANY, token="")
    world.seconds += 10
    await discovery.ensure_listed(ROOT)
    world.write(ino, 4, b"two\n")
    world.ledger.buffer.let_go(ino, writing=True)
    await world.drain()
    kept = {path.name: content for path, _, content in world.engine.walk()}
    assert kept.pop(b"log") == b"theirs"
    assert list(kept.values()) == [b"one\ntwo\n"]


async def test_theirs_is_seen_when_the_writer_is_gone_and_wrote_no_more(world: World, discovery: Discovery) -> None:
    ino = world.create(ROOT, b"log", b"one\n")
    world.ledger.buffer.hold(ino, writing=True)
    await world.drain()
    await world.engine.put(EntryPath(b"", b"log"), b"theirs", THEIRS, expected=ANY, token="")
    world.seconds += 10
    await discovery.ensure_listed(ROOT)
    world.ledger.buffer.let_go(ino, writing=True)
    world.seconds += 10
    await discovery.ensure_listed(ROOT)
    inode = world.ledger.namespace.child(ROOT, b"log")
    assert inode is not None and inode.ino != ino and inode.size == 6


async def test_a_removal_by_others_is_one(world: World, discovery: Discovery) -> None:
    """As when a program here had removed the file under its writer."""
    ino = world.create(ROOT, b"log", b"one\n")
    world.ledger.buffer.hold(ino, writing=True)
    await world.drain()
    await world.engine.delete([Deletion(EntryPath(b"", b"log"), ANY)])
    world.seconds += 10
    await discovery.ensure_listed(ROOT)
    assert world.ledger.namespace.child(ROOT, b"log") is None


async def test_nor_does_a_chmod_give_it_up(world: World) -> None:
    """Attributes alone are not worth a conflict, but what is written next is."""
    ino = world.create(ROOT, b"log", b"one\n")
    world.ledger.buffer.hold(ino, writing=True)
    await world.drain()
    await world.engine.put(EntryPath(b"", b"log"), b"theirs", THEIRS, expected=ANY, token="")
    world.chmod(ino, 0o640)
    await world.drain()
    world.write(ino, 4, b"two\n")
    world.ledger.buffer.let_go(ino, writing=True)
    await world.drain()
    kept = {path.name: content for path, _, content in world.engine.walk()}
    assert kept.pop(b"log") == b"theirs"
    assert list(kept.values()) == [b"one\ntwo\n"]
