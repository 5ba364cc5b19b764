"""The marks by which engines without links know names of one file again: which an artifact is sent with.

Does not: tell the engine who belongs together; ``grouping`` does.
"""

from vaultairefs.flush.desk import Desk
from vaultairefs.ledger.arrivals import link_id_of
from vaultairefs.model.values import EntryKey, Ino, Version


def mark_for(desk: Desk, ino: Ino) -> str:
    """The mark that what is sent of an inode has to carry: none where it has, and had, one name."""
    inode = desk.ledger.namespace.find(ino)
    if not desk.engine.capabilities.groups or inode is None:
        return ""
    is_group = len(inode.refs) > 1 or ino in desk.ledger.backlog.grouped
    return link_id_of(desk.ledger, ino) if is_group else ""


def note_sent(desk: Desk, key: EntryKey, version: Version) -> None:
    """What went to ``key`` is there as ``version``, and recorded."""
    desk.overrides.pop(key, None)
    sent = desk.sent.pop(key, None)
    if sent is not None and sent.mark:
        desk.marked[key] = version
    else:
        desk.marked.pop(key, None)
