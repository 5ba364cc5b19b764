"""Entries that the engine shows and the volume does not know yet."""

from vaultairefs.engine.interface import EntryInfo
from vaultairefs.ledger.ledger import Ledger
from vaultairefs.model.changes import ArtifactDiscovered
from vaultairefs.model.values import Ino


def discover(ledger: Ledger, container: Ino, info: EntryInfo) -> Ino:
    """Commit ``info`` as a new entry of ``container``, whose name is free; returns its inode.

    One more name of a known inode only if the engine holds that inode in this very version: a link id alone may have
    been used again since.
    """
    ino = ledger.namespace.by_link_id(info.link_id) if info.link_id else None
    if ino is None or not _is_same(ledger, ino, info):
        ino = ledger.namespace.allocate()
    ledger.commit(
        ArtifactDiscovered(
            ino=ino,
            container=container,
            name=info.name,
            attributes=info.attributes,
            size=info.size,
            version=info.version,
            links=info.links,
            link_id=info.link_id,
        )
    )
    return ino


def _is_same(ledger: Ledger, ino: Ino, info: EntryInfo) -> bool:
    inode = ledger.namespace.find(ino)
    if inode is None or not inode.nlink or inode.kind is not info.attributes.kind:
        return False
    refs = (ledger.backlog.stored(key) for key in ledger.backlog.refs_of(ino))
    return any(ref is not None and ref.version == info.version for ref in refs)
