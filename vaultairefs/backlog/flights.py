"""What engine calls are under way for.  Nothing of it outlives the daemon."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from vaultairefs.model.errors import Busy
from vaultairefs.model.values import EntryKey, Ino


class Flights:
    """Marks on names (``EntryKey``) and inodes, so that nobody else begins there and no listing is misread.

    Invariant: each watcher's set holds every name of its container that was marked, or whose stored value changed,
    since it began to watch; of a marked name also those that lead to the same thing, wherever the mark is.
    """

    def __init__(self) -> None:
        self._flying: set[Hashable] = set()
        self._watchers: dict[Ino, list[set[bytes]]] = {}

    def begin(self, key: Hashable) -> None:
        """Mark a name (``EntryKey``) or inode as being worked on; ``Busy`` when it is already."""
        if key in self._flying:
            raise Busy(f"{key!r} is being worked on")
        self._flying.add(key)
        if isinstance(key, EntryKey):
            for other in self._names_beside(key):
                self.touch(other)

    def end(self, key: Hashable) -> None:
        """Undo ``begin``."""
        self._flying.discard(key)

    def is_busy(self, key: Hashable) -> bool:
        """Whether the name or inode is being worked on."""
        return key in self._flying

    @contextmanager
    def watch(self, container: Ino) -> Iterator[set[bytes]]:
        """Names in the container that an engine call worked on at any time inside the block, be it by another name.

        A listing made inside says nothing reliable about them.
        """
        flying = (key for mark in self._flying if isinstance(mark, EntryKey) for key in self._names_beside(mark))
        touched = {key.name for key in flying if key.container == container}
        watchers = self._watchers.setdefault(container, [])
        watchers.append(touched)
        try:
            yield touched
        finally:
            self._watchers[container] = [other for other in watchers if other is not touched]
            if not self._watchers[container]:
                del self._watchers[container]

    def is_watched(self, container: Ino) -> bool:
        """Whether a listing of the container is under way."""
        return container in self._watchers

    def touch(self, key: EntryKey) -> None:
        """The engine's value of the name changes or may change now."""
        for touched in self._watchers.get(key.container, ()):
            touched.add(key.name)

    def _names_beside(self, key: EntryKey) -> tuple[EntryKey, ...]:
        """The name, and all others that a call about it may change: what it leads to has them, too."""
        return (key,)
