"""Random things that may happen to a ledger, each done the way the rooms above do it."""

from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeVar

from tests.support.ledgers import Lab
from vaultairefs.buffer import Phase
from vaultairefs.buffer.posting import can_leave
from vaultairefs.model import changes
from vaultairefs.model.values import ROOT, STAGING, EntryKey, Ino, Kind
from vaultairefs.namespace import Inode

T = TypeVar("T")

NAMES: Final = (b"a", b"b", b"c", b"d", b"e", b"f")


class Life:
    """What happens to ``lab``; ``open`` lists the inodes held open for writing, one entry per handle."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.open: list[Ino] = []

    def restart(self, lab: Lab) -> None:
        """Go on with another life of the same state."""
        lab.engine = self.lab.engine
        self.lab = lab
        self.open.clear()

    def act(self, action: str, seed: int) -> None:
        """Do one of ``ACTIONS`` if there is anything to do it to."""
        ACTIONS[action](self, Random(seed))

    # Choosing

    def inodes(self, *kinds: Kind) -> list[Inode]:
        found = self.lab.inodes()
        return [inode for inode in found if inode.nlink and inode.ino != ROOT and (not kinds or inode.kind in kinds)]

    def container(self, random: Random) -> Ino:
        return random.choice([ROOT, *(inode.ino for inode in self.inodes(Kind.CONTAINER))])

    def place(self, random: Random) -> tuple[bytes, Ino] | None:
        """A free name and its container."""
        container, name = self.container(random), random.choice(NAMES)
        return (name, container) if self.lab.ledger.namespace.child(container, name) is None else None

    def file(self, random: Random) -> Ino | None:
        inode = pick(random, self.inodes(Kind.FILE))
        return inode and inode.ino

    def entry(self, random: Random) -> EntryKey | None:
        return pick(random, [ref for inode in self.inodes() for ref in inode.refs])

    def may_overwrite(self, key: EntryKey, ino: Ino) -> bool:
        """Whether the engine may put ``ino`` there: not over the only copy of something else (flush/ sees to that)."""
        backlog = self.lab.ledger.backlog
        ref = backlog.stored(key)
        return ref is None or ref.ino == ino or self.is_spare(key, ref.ino)

    def is_spare(self, key: EntryKey, ino: Ino) -> bool:
        """Whether the engine may lose ``ino`` at this name and nobody misses a byte."""
        backlog = self.lab.ledger.backlog
        others = (backlog.stored(other) for other in backlog.refs_of(ino) if other != key)
        return any(ref is not None and not ref.stale for ref in others) or not self.needs_engine(ino)

    def needs_engine(self, ino: Ino) -> bool:
        """Whether bytes that somebody may still ask for are only in the engine."""
        body = self.lab.ledger.buffer.find(ino)
        wanted = self.lab.ledger.backlog.is_artifact(ino) or ino in self.open
        return wanted and not (body is not None and body.complete)

    def hold(self, ino: Ino) -> None:
        self.lab.open(ino)
        self.open.append(ino)


def pick(random: Random, found: list[T]) -> T | None:
    return random.choice(found) if found else None


# Programs


def create(life: Life, random: Random) -> None:
    place = life.place(random)
    if place is None:
        return
    opened = random.random() < 0.7
    ino = life.lab.file(*place, opened=opened)
    if opened:
        life.open.append(ino)


def mkdir(life: Life, random: Random) -> None:
    place = life.place(random)
    if place is not None:
        life.lab.container(*place)


def symlink(life: Life, random: Random) -> None:
    place = life.place(random)
    if place is not None:
        life.lab.symlink(place[0], b"target", place[1])


def link(life: Life, random: Random) -> None:
    ino, place = life.file(random), life.place(random)
    if ino is not None and place is not None:
        life.lab.commit(changes.EntryLinked(ino, place[1], place[0], life.lab.now()))


def remove(life: Life, random: Random) -> None:
    key = life.entry(random)
    if key is not None and not life.lab.child(key.name, key.container).children:
        life.lab.remove(key.name, key.container)


def rename(life: Life, random: Random) -> None:
    key, parent, name = life.entry(random), life.container(random), random.choice(NAMES)
    if key is None:
        return
    tree = life.lab.ledger.namespace
    moved, target = life.lab.child(key.name, key.container), tree.child(parent, name)
    swap = target is not None and random.random() < 0.4
    if moved is target or (moved.is_container and tree.is_ancestor(moved.ino, parent)):
        return
    if target is not None and target.is_container and swap and tree.is_ancestor(target.ino, key.container):
        return
    if target is not None and not swap and (target.children or target.is_container != moved.is_container):
        return
    life.lab.rename(key.name, name, key.container, parent, swap=swap)


def chmod(life: Life, random: Random) -> None:
    inode = pick(random, life.inodes())
    if inode is not None:
        times = inode.atime_ns, inode.mtime_ns, life.lab.now()
        mode = random.choice((0o600, 0o755))
        life.lab.commit(changes.AttributesSet(inode.ino, mode, inode.uid, inode.gid, *times))


def set_xattr(life: Life, random: Random) -> None:
    inode = pick(random, life.inodes())
    if inode is not None:
        value = random.choice((b"x", b"y", None))
        life.lab.commit(changes.XattrSet(inode.ino, b"user.x", value, life.lab.now()))


def open_file(life: Life, random: Random) -> None:
    ino = life.file(random)
    if ino is not None:
        life.hold(ino)


def write(life: Life, random: Random) -> None:
    """Into an open file mostly, orphans included; else into any, after opening it."""
    ino = pick(random, life.open) if random.random() < 0.7 else life.file(random)
    if ino is not None:
        if ino not in life.open:
            life.hold(ino)
        fill = bytes([random.randrange(1, 256)])
        life.lab.write(ino, random.randrange(6000), fill * random.randrange(1, 3000))


def truncate(life: Life, random: Random) -> None:
    ino = life.file(random)
    if ino is not None:
        life.lab.truncate(ino, random.choice((0, 0, 1, 500, 4096, 9000)))


def close_file(life: Life, random: Random) -> None:
    ino = pick(random, life.open)
    if ino is not None:
        life.open.remove(ino)
        life.lab.close(ino)


def fsync(life: Life, random: Random) -> None:
    ino = life.file(random)
    if ino is not None:
        life.lab.fsync(ino)


# The engine and the rooms around it


def discover(life: Life, random: Random) -> None:
    place = life.place(random)
    if place is not None and EntryKey(place[1], place[0]) not in life.lab.ledger.backlog.owed_names:
        data = bytes([random.randrange(1, 256)]) * random.randrange(6000)
        life.lab.discover(place[0], data, place[1])


def fetch(life: Life, random: Random) -> None:
    stored = [inode for inode in life.inodes(Kind.FILE) if life.lab.ledger.backlog.fresh_ref(inode.ino)]
    inode = pick(random, stored)
    if inode is not None:
        life.lab.fetch(inode.ino, random.randrange(5000), random.randrange(1, 6000))


def flush(life: Life, random: Random) -> None:
    inode = pick(random, life.inodes())
    if inode is not None and life.may_overwrite(inode.refs[0], inode.ino):
        life.lab.flush(inode.ino, late=inode.kind is Kind.FILE and random.random() < 0.3)


def flush_attributes(life: Life, random: Random) -> None:
    backlog = life.lab.ledger.backlog
    clean = [i for i in life.inodes(Kind.FILE) if backlog.fresh_ref(i.ino) and not backlog.owes_content(i.ino)]
    inode = pick(random, clean)
    key = inode and backlog.fresh_ref(inode.ino)
    old = key and backlog.stored(key)
    if inode is None or key is None or old is None:
        return
    version = changes.Version(f"{old.version}+" if random.random() < 0.5 else old.version)
    life.lab.engine[version] = life.lab.engine[old.version]
    life.lab.commit(changes.ArtifactFlushed(inode.ino, key.container, key.name, version, False, True))


def stored_keys(life: Life) -> list[tuple[EntryKey, Ino]]:
    life.lab.inodes()
    tree = life.lab.ledger.backlog.tree
    return [(EntryKey(container, name), ref.ino) for container, names in tree.items() for name, ref in names.items()]


def engine_moves(life: Life, random: Random) -> None:
    found = pick(random, stored_keys(life))
    if found is None:
        return
    key, ino = found
    inode = life.lab.ledger.namespace.find(ino)
    parked = inode is None or not inode.refs or random.random() < 0.3
    target = EntryKey(STAGING, b"%x" % ino) if inode is None or parked else inode.refs[0]
    if life.lab.ledger.backlog.stored(target) is None:
        life.lab.commit(changes.ArtifactMoved(ino, key.container, key.name, target.container, target.name))


def engine_copies(life: Life, random: Random) -> None:
    """To another name, or over a stale one."""
    found = pick(random, stored_keys(life))
    inode = None if found is None else life.lab.ledger.namespace.find(found[1])
    if found is None or inode is None or inode.children is not None or not inode.refs:
        return
    backlog, target = life.lab.ledger.backlog, random.choice(inode.refs)
    source, there = backlog.stored(found[0]), backlog.stored(target)
    assert source is not None
    if source.stale or (there is not None and (there.ino != inode.ino or not there.stale)):
        return
    version = changes.Version(f"{source.version}c" if random.random() < 0.5 else source.version)
    life.lab.engine[version] = life.lab.engine.get(source.version, b"")
    life.lab.commit(
        changes.ArtifactCopied(inode.ino, target.container, target.name, version, source.version, random.random() < 0.7)
    )


def container_is_handed_over(life: Life, random: Random) -> None:
    namespace, backlog = life.lab.ledger.namespace, life.lab.ledger.backlog
    places = [(key, ino) for key, ino in stored_keys(life) if ino in backlog.containers and key.name]
    found = pick(random, [(key, ino) for key, ino in places if backlog.live(key) != ino])
    if found is None:
        return
    key, ino = found
    live = backlog.live(key)
    heir = None if live is None or backlog.refs_of(live) else namespace.find(live)
    to = heir.ino if heir is not None and heir.children is not None else namespace.allocate()
    life.lab.commit(changes.ContainerHandedOver(ino, to, key.container, key.name))


def forget_container(life: Life, random: Random) -> None:
    ledger = life.lab.ledger
    life.lab.put_away_what_can_be()
    containers = [inode.ino for inode in ledger.namespace.inodes.values() if inode.children is not None]
    ino = pick(random, [ino for ino in containers if ledger.may_forget(ino)])
    if ino is not None:
        life.lab.commit(changes.ContainerForgotten(ino))


def engine_deletes(life: Life, random: Random) -> None:
    """Only what is stored elsewhere as well, or wanted by nobody."""
    owed = life.lab.ledger.backlog.owed_names
    spare = [(key, ino) for key, ino in stored_keys(life) if key in owed and life.is_spare(key, ino)]
    found = pick(random, spare)
    if found is not None:
        life.lab.commit(changes.ArtifactDeleted(found[1], found[0].container, found[0].name))


def entry_vanishes(life: Life, random: Random) -> None:
    backlog = life.lab.ledger.backlog
    clean = [
        (inode.refs[0], inode.ino)
        for inode in life.inodes(Kind.FILE)
        if len(inode.refs) == 1 and inode.ino not in life.open and not backlog.owes_content(inode.ino)
    ]
    clean = [(key, ino) for key, ino in clean if key not in backlog.owed_names]
    found = pick(random, clean)
    if found is not None:
        life.lab.commit(changes.EntryVanished(found[1], found[0].container, found[0].name))
        life.lab.ledger.drop(found[1])


def conflict(life: Life, random: Random) -> None:
    bodies = {body.ino for body in life.lab.ledger.buffer.all() if body.complete}
    inode = pick(random, [inode for inode in life.inodes(Kind.FILE) if inode.ino in bodies])
    name = random.choice(NAMES)
    if inode is not None:
        key = inode.refs[0]
        if life.lab.ledger.namespace.child(key.container, name) is None and life.may_overwrite(key, inode.ino):
            life.lab.commit(changes.ArtifactConflicted(inode.ino, key.container, key.name, name, life.lab.now()))


def evict(life: Life, random: Random) -> None:
    ledger = life.lab.ledger
    bodies = [body for body in ledger.buffer.all() if can_leave(body) and body.phase is not Phase.ABSENT]
    body = pick(random, [body for body in bodies if ledger.backlog.fresh_ref(body.ino)])
    if body is not None:
        life.lab.commit(changes.BodyEvicted(body.ino))


def step(life: Life, random: Random) -> None:
    container, name = life.container(random), random.choice(NAMES)
    begins = random.random() < 0.6
    life.lab.commit(changes.StepBegun(ROOT, container, name, "put") if begins else changes.StepEnded(container, name))


def sync(life: Life, random: Random) -> None:
    life.lab.sync()


def checkpoint(life: Life, random: Random) -> None:
    life.lab.checkpoint()


def compact(life: Life, random: Random) -> None:
    life.lab.compact()


_ALL: Final[tuple[Callable[[Life, Random], Any], ...]] = (
    create,
    mkdir,
    symlink,
    link,
    remove,
    rename,
    chmod,
    set_xattr,
    open_file,
    write,
    truncate,
    close_file,
    fsync,
    discover,
    fetch,
    flush,
    flush_attributes,
    engine_moves,
    engine_copies,
    container_is_handed_over,
    forget_container,
    engine_deletes,
    entry_vanishes,
    conflict,
    evict,
    step,
    sync,
    checkpoint,
    compact,
)
ACTIONS: Final = {action.__name__: action for action in _ALL}
WEIGHTED: Final = (*sorted(ACTIONS), "create", "create", "write", "write", "write", "flush", "rename", "discover")
