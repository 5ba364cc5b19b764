"""Who wants to know when the volume itself changes what programs see.

A program's own calls are answered, so their caller knows; what a listing, a conflict or a lost file changes nobody
asked for, and a kernel that remembers names and attributes would go on showing what was.

Does not: tell of bytes, for an inode's bytes change by programs only.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from vaultairefs.model.changes import ArtifactConflicted, ArtifactDiscovered, Change, EntryVanished
from vaultairefs.model.values import ROOT, Ino


class Witness(Protocol):
    """Told right after the change, in the middle of a call: takes note and returns, never waits or fails."""

    def entry_changed(self, container: Ino, name: bytes, *, was_free: bool) -> None:
        """The name leads elsewhere, or nowhere; ``was_free``: it led nowhere before."""
        ...

    def attributes_changed(self, ino: Ino) -> None:
        """The inode's attributes are others."""
        ...


def announce(witnesses: Iterable[Witness], change: Change) -> None:
    """Tell of a change if it is none that a program asked for."""
    tell = _TELLINGS.get(type(change))
    if tell is not None:
        for witness in witnesses:
            tell(witness, change)


def _vanished(witness: Witness, change: EntryVanished) -> None:
    witness.entry_changed(change.container, change.name, was_free=False)
    witness.attributes_changed(change.ino)


def _discovered(witness: Witness, change: ArtifactDiscovered) -> None:
    if change.ino != ROOT:
        witness.entry_changed(change.container, change.name, was_free=True)
    witness.attributes_changed(change.ino)


def _conflicted(witness: Witness, change: ArtifactConflicted) -> None:
    witness.entry_changed(change.container, change.name, was_free=False)
    witness.entry_changed(change.container, change.conflict_name, was_free=True)
    witness.attributes_changed(change.ino)


_TELLINGS: Final[dict[type, Callable[[Witness, Any], None]]] = {
    EntryVanished: _vanished,
    ArtifactDiscovered: _discovered,
    ArtifactConflicted: _conflicted,
}
