"""A toy engine and a toy live tree, to test the planner without anything else."""

from collections.abc import Iterable, Iterator

from vaultairefs.backlog import StoredRef
from vaultairefs.flush.steps import (
    Copy,
    CreateContainer,
    Delete,
    DeleteContainer,
    HandOver,
    Link,
    Move,
    Put,
    Settle,
    Stage,
    Step,
)
from vaultairefs.model.values import ABSENT, ROOT, STAGING, EntryKey, Ino, Version

ROOT_KEY = EntryKey(ROOT, b"")


class Toy:
    """Two trees.  ``stored`` rows carry the version; a fresh version of inode 7 is "7.<n>"."""

    moves = True
    links = True
    times_disturbed = True

    def __init__(self) -> None:
        self.names: dict[EntryKey, Ino] = {}
        self.rows: dict[EntryKey, StoredRef] = {ROOT_KEY: StoredRef(ROOT, Version("1"))}
        self.containers: set[Ino] = {ROOT}
        self.dirty: set[Ino] = set()
        self.touched: set[Ino] = set()
        self.lifelines: set[Ino] = set()
        self.busy: set[EntryKey | Ino] = set()
        self.unsettled: set[EntryKey] = set()
        self.unready: set[Ino] = set()
        self.adrift: set[Ino] = set()
        self.insisted = False
        self.counter = 0

    # The view

    def live(self, key: EntryKey) -> Ino | None:
        return ROOT if key == ROOT_KEY else self.names.get(key)

    def live_keys(self, ino: Ino) -> list[EntryKey]:
        return [ROOT_KEY] if ino == ROOT else [key for key, owner in self.names.items() if owner == ino]

    def stored(self, key: EntryKey) -> StoredRef | None:
        return self.rows.get(key)

    def stored_keys(self, ino: Ino) -> list[EntryKey]:
        return sorted((key for key, ref in self.rows.items() if ref.ino == ino), key=lambda key: self.rows[key].stale)

    def stored_children(self, container: Ino) -> Iterable[EntryKey]:
        return [key for key in self.rows if key.container == container and key != ROOT_KEY]

    def is_container(self, ino: Ino) -> bool:
        return ino in self.containers

    def content_owed(self, ino: Ino) -> bool:
        return ino in self.dirty

    def attributes_owed(self, ino: Ino) -> bool:
        return ino in self.touched

    def content_ready(self, ino: Ino) -> bool:
        return ino not in self.unready

    def is_lifeline(self, ino: Ino) -> bool:
        return ino in self.lifelines and not self.live_keys(ino)

    def completes(self, ino: Ino) -> bool:
        return self.insisted

    def is_busy(self, key: EntryKey) -> bool:
        return key in self.busy

    def is_busy_inode(self, ino: Ino) -> bool:
        """Containers above a busy name are pinned, as the desk does it."""
        return ino in self.busy or any(
            isinstance(key, EntryKey) and ino in self.chain(key.container) for key in self.busy
        )

    def doubt_about(self, key: EntryKey) -> EntryKey | None:
        return key if key in self.unsettled else None

    def doubt_about_inode(self, ino: Ino) -> EntryKey | None:
        return None

    def is_adrift(self, key: EntryKey) -> bool:
        return key.container in self.adrift

    def has_unsettled(self, container: Ino) -> bool:
        return any(key.container == container for key in self.unsettled)

    def has_owed_below(self, container: Ino) -> bool:
        return any(key.container == container for key in self.owed())

    # The engine, with its rules checked

    def owed(self) -> Iterator[EntryKey]:
        for key in {**self.names, **self.rows}:
            ref = self.rows.get(key)
            if self.live(key) != (ref.ino if ref else None) or (ref is not None and ref.stale):
                yield key

    def fresh_version(self, ino: Ino) -> Version:
        self.counter += 1
        return Version(f"{ino}.{self.counter}")

    def chain(self, container: Ino) -> list[Ino]:
        """The stored containers from ``container`` up to where the tree ends."""
        found = []
        while container not in (ROOT, STAGING):
            assert container not in found, "a container inside itself"
            found.append(container)
            (key,) = self.stored_keys(container)
            container = key.container
        return found

    def check_target(self, key: EntryKey, expected: Version, *, replaces: bool) -> None:
        assert key not in self.busy
        self.chain(key.container)
        there = self.rows.get(key)
        assert (there.version if there else ABSENT) == expected
        if there is not None:
            assert replaces and there.ino not in self.containers, "only artifacts replace, and only artifacts"

    def apply(self, step: Step) -> None:
        match step:
            case Put(ino, key, expected):
                assert ino not in self.containers
                self.check_target(key, expected, replaces=True)
                version = self.fresh_version(ino)
                self.rows[key] = StoredRef(ino, version)
                if ino in self.dirty:
                    for other in self.stored_keys(ino):
                        if other != key:
                            self.rows[other] = self.rows[other]._replace(stale=True)
                self.dirty.discard(ino)
            case CreateContainer(ino, key):
                self.check_target(key, ABSENT, replaces=False)
                self.rows[key] = StoredRef(ino, self.fresh_version(ino))
            case Copy(ino, source, key, version, expected):
                assert not self.links
                self.check_target(key, expected, replaces=True)
                row = self.rows[source]
                assert row.version == version and row.ino == ino and not row.stale and ino not in self.containers
                self.rows[key] = StoredRef(ino, self.fresh_version(ino))
            case HandOver(ino, key, heir):
                self.hand_over(ino, key, heir)
            case Move(ino, source, key, version, expected):
                assert self.moves
                self.check_target(key, expected, replaces=ino not in self.containers)
                row = self.rows.pop(source)
                assert row.version == version and row.ino == ino
                assert ino not in self.chain(key.container), "moved into itself"
                self.rows[key] = row
            case Stage(ino, source, version):
                row = self.rows[source] if not self.moves else self.rows.pop(source)
                assert row.version == version and row.ino == ino and source.container != STAGING
                assert self.moves or (ino not in self.containers and not row.stale)
                self.counter += 1
                self.rows[EntryKey(STAGING, b"%d" % self.counter)] = row
            case Link(ino, source, key, version, expected):
                self.check_target(key, expected, replaces=True)
                row = self.rows[source]
                assert row.version == version and row.ino == ino and not row.stale
                self.rows[key] = StoredRef(ino, version)
            case Delete(doomed):
                assert len({item.key.container for item in doomed}) == 1
                for item in doomed:
                    row = self.rows.pop(item.key)
                    assert row.version == item.version and row.ino not in self.containers
            case DeleteContainer(ino, key):
                assert not self.stored_children(ino)
                assert self.rows.pop(key).ino == ino
            case Settle(key):
                self.unsettled.discard(key)
            case _:
                raise AssertionError(step)
        self.check_nothing_lost()

    def hand_over(self, ino: Ino, key: EntryKey, heir: Ino | None) -> None:
        assert not self.moves
        if heir is None:
            self.counter += 1
            heir = Ino(1000 + self.counter)
            self.containers.add(heir)
        assert not self.stored_keys(heir) and not self.stored_children(heir)
        row = self.rows[key]
        assert row.ino == ino and {ino, heir} <= self.containers and self.live(key) != ino
        for child in self.stored_children(ino):
            self.rows[EntryKey(heir, child.name)] = self.rows.pop(child)
        self.rows[key] = StoredRef(heir, row.version)

    def check_nothing_lost(self) -> None:
        """Bytes that are only in the engine stay there, at some name, in their newest version."""
        for ino in self.only_in_engine if self.moves else self.only_in_engine - self.containers:
            if self.live_keys(ino) or ino in self.lifelines:
                refs = [self.rows[key] for key in self.stored_keys(ino)]
                assert any(not ref.stale for ref in refs), f"{ino} lost its only copy"

    only_in_engine: frozenset[Ino] = frozenset()
