"""What to record when the engine lost something behind our back: clean entries go, newer local ones are owed anew."""

from vaultairefs.backlog import StoredRef
from vaultairefs.ledger.ledger import Ledger
from vaultairefs.model.changes import ArtifactDeleted, EntryVanished
from vaultairefs.model.values import EntryKey, Ino


def lose(ledger: Ledger, key: EntryKey) -> None:
    """The engine no longer holds what is stored at ``key``, nor anything below it.

    Programs keep what is owed, and the containers that lead to it; an inode whose bytes are not owed loses its name,
    for they are nowhere any more.
    """
    ref = ledger.backlog.stored(key)
    if ref is None:
        return
    for child, row in reversed(stored_below(ledger, ref.ino)):
        _lose_one(ledger, child, row)
    _lose_one(ledger, key, ref)


def stored_below(ledger: Ledger, container: Ino) -> list[tuple[EntryKey, StoredRef]]:
    """Everything stored below the container, parents before what they hold."""
    found: list[tuple[EntryKey, StoredRef]] = []
    waiting = [container]
    while waiting:
        at = waiting.pop()
        for name, ref in ledger.backlog.stored_children(at).items():
            found.append((EntryKey(at, name), ref))
            waiting.append(ref.ino)
    return found


def _lose_one(ledger: Ledger, key: EntryKey, ref: StoredRef) -> None:
    inode = ledger.namespace.find(ref.ino)
    named = inode is not None and key in inode.refs
    if inode is None or not named:
        keeps = True
    elif inode.children is not None:
        keeps = bool(inode.children)
    else:
        keeps = ledger.backlog.owes_content(ref.ino)
    if keeps:
        ledger.commit(ArtifactDeleted(ref.ino, key.container, key.name))
    else:
        ledger.commit(EntryVanished(ref.ino, key.container, key.name))
