"""What the planner can decide: one engine step each, as frozen values.

Promise: a step says everything that was known when it was decided; the executor looks nothing up again but paths.
"""

from dataclasses import dataclass

from vaultairefs.flush.failures import Item
from vaultairefs.model.values import EntryKey, Ino, Version


@dataclass(frozen=True, slots=True)
class Put:
    """Store ``ino`` whole at ``key``; the only step that carries bytes, so it runs beside others."""

    ino: Ino
    key: EntryKey
    expected: Version


@dataclass(frozen=True, slots=True)
class SetAttributes:
    """Everything but the bytes of what is stored at ``key`` as ``version``."""

    ino: Ino
    key: EntryKey
    version: Version


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """A container that the engine does not have yet."""

    ino: Ino
    key: EntryKey


@dataclass(frozen=True, slots=True)
class Move:
    """Rename inside the engine; ``expected`` is what ``key`` holds."""

    ino: Ino
    source: EntryKey
    key: EntryKey
    version: Version
    expected: Version


@dataclass(frozen=True, slots=True)
class Stage:
    """Park what ``source`` holds: its name is needed and its own place is not free yet.

    Where the engine has no moves it is a copy that is parked, and then nobody needs the original.
    """

    ino: Ino
    source: EntryKey
    version: Version


@dataclass(frozen=True, slots=True)
class Link:
    """Make ``key`` one more name of what ``source`` holds as ``version``."""

    ino: Ino
    source: EntryKey
    key: EntryKey
    version: Version
    expected: Version


@dataclass(frozen=True, slots=True)
class Copy:
    """Make ``key`` an artifact of its own with the bytes that ``source`` holds as ``version``; runs beside others."""

    ino: Ino
    source: EntryKey
    key: EntryKey
    version: Version
    expected: Version


@dataclass(frozen=True, slots=True)
class HandOver:
    """Let what the engine holds in container ``ino``, at ``key``, count as ``heir``'s: a new inode where None."""

    ino: Ino
    key: EntryKey
    heir: Ino | None


@dataclass(frozen=True, slots=True)
class Doomed:
    """One stored name that nobody wants."""

    ino: Ino
    key: EntryKey
    version: Version


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete artifacts, all in one container."""

    doomed: tuple[Doomed, ...]


@dataclass(frozen=True, slots=True)
class DeleteContainer:
    """Delete a container that holds nothing of ours any more."""

    ino: Ino
    key: EntryKey


@dataclass(frozen=True, slots=True)
class Complete:
    """Fetch all bytes of an unlinked but open file, so that its stored name can go."""

    ino: Ino


@dataclass(frozen=True, slots=True)
class Settle:
    """Find out what became of an earlier step at ``key`` whose outcome nobody recorded."""

    key: EntryKey


@dataclass(frozen=True, slots=True)
class Wait:
    """Owed, but not now; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Have the engine know of all names of ``ino`` and what they hold, where each is an artifact of its own."""

    ino: Ino
    names: tuple[tuple[EntryKey, Version], ...]


Rearrangement = CreateContainer | Move | Stage | Link | HandOver | Delete | DeleteContainer
Step = Put | Copy | SetAttributes | Group | Complete | Settle | Rearrangement
Decision = Step | Wait | None
"""None: nothing is owed."""


def items_of(step: Step) -> list[Item]:
    """What a failure of the step is about."""
    match step:
        case Delete(doomed):
            return [one.key for one in doomed]
        case Stage(_, source, _):
            return [source]
        case Complete(ino) | Group(ino):
            return [ino]
        case _:
            return [step.key]
