"""Engine steps whose outcome no record tells yet: begun, and neither recorded nor ended."""

from typing import Final

from vaultairefs.model.changes import ArtifactCopied, ArtifactFlushed, ArtifactMoved, Change, StepBegun, StepEnded
from vaultairefs.model.values import EntryKey, Ino

MOVE: Final = "move"
"""The verb of steps after which the source no longer has what it had."""


class Doubts:
    """``begun`` holds at most one step per name; after a crash the flusher asks the engine about each.

    ``Backlog.apply`` calls ``apply`` for every change; a snapshot is ``list(doubts.begun.values())``, and posting
    those again restores it.  The flusher begins no step that carries an inode while another one of it is in doubt.
    """

    def __init__(self) -> None:
        self.begun: dict[EntryKey, StepBegun] = {}
        self._containers: dict[Ino, int] = {}
        self._leaving: dict[EntryKey, EntryKey] = {}
        self._inos: dict[Ino, EntryKey] = {}

    def apply(self, change: Change) -> None:
        """Post one change; most of them say nothing here."""
        if type(change) is StepBegun:
            key = EntryKey(change.container, change.name)
            self._end(key)
            self.begun[key] = change
            self._inos[change.ino] = key
            if change.verb == MOVE:
                self._leaving[EntryKey(change.source_container, change.source_name)] = key
            for container in _containers_of(change):
                self._containers[container] = self._containers.get(container, 0) + 1
        elif type(change) in _ENDINGS and self.begun:
            self._end(_ended_key(change))

    def below(self, container: Ino) -> bool:
        """Whether a step directly inside the container, or from there, is in doubt."""
        return container in self._containers

    def about(self, key: EntryKey) -> EntryKey | None:
        """The name under which a step in doubt is kept that may have changed ``key``: it, or where ``key`` went."""
        return key if key in self.begun else self._leaving.get(key)

    def is_leaving(self, key: EntryKey) -> bool:
        """Whether what ``key`` holds is being moved away, or may have been."""
        return key in self._leaving

    def about_inode(self, ino: Ino) -> EntryKey | None:
        """The name under which a step in doubt is kept that carries this inode."""
        return self._inos.get(ino)

    def _end(self, key: EntryKey) -> None:
        step = self.begun.pop(key, None)
        if step is None:
            return
        if self._inos.get(step.ino) == key:
            del self._inos[step.ino]
        if step.verb == MOVE:
            self._leaving.pop(EntryKey(step.source_container, step.source_name), None)
        for container in _containers_of(step):
            left = self._containers[container] - 1
            if left:
                self._containers[container] = left
            else:
                del self._containers[container]


_ENDINGS: Final = frozenset({ArtifactFlushed, ArtifactMoved, ArtifactCopied, StepEnded})


def _containers_of(step: StepBegun) -> set[Ino]:
    return {step.container, step.source_container} if step.source_name else {step.container}


def _ended_key(change: Change) -> EntryKey:
    if type(change) is ArtifactMoved:
        return EntryKey(change.new_container, change.new_name)
    assert type(change) is ArtifactFlushed or type(change) is ArtifactCopied or type(change) is StepEnded
    return EntryKey(change.container, change.name)
