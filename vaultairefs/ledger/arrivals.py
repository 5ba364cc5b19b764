"""Entries that the engine shows and the volume does not know yet."""

from contextlib import suppress

from vaultairefs.engine.interface import EntryInfo
from vaultairefs.ledger.ledger import Ledger
from vaultairefs.model.changes import ArtifactDiscovered
from vaultairefs.model.values import Ino


def discover(ledger: Ledger, container: Ino, info: EntryInfo) -> Ino:
    """Commit ``info`` as a new entry of ``container``, whose name is free; returns its inode.

    One more name of a known inode only if the engine holds that inode in this very version, or in one of the same
    bytes: a link id alone may have been used again since.
    """
    ino = _linked(ledger, info.link_id) if info.link_id else None
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


def link_id_of(ledger: Ledger, ino: Ino) -> str:
    """The mark of the group that the inode's names are, in engines with groups: as it was found, else one that no
    other mount gives."""
    return ledger.backlog.grouped.get(ino) or f"{ledger.mount_id}{ino:08x}"


def _linked(ledger: Ledger, link_id: str) -> Ino | None:
    ino = ledger.namespace.by_link_id(link_id)
    number = link_id.removeprefix(ledger.mount_id)
    if ino is not None or not ledger.mount_id or number == link_id or not number.isalnum():
        return ino
    with suppress(ValueError):
        return Ino(int(number, 16))
    return None


def _is_same(ledger: Ledger, ino: Ino, info: EntryInfo) -> bool:
    inode = ledger.namespace.find(ino)
    if inode is None or not inode.nlink or inode.kind is not info.attributes.kind:
        return False
    refs = (ledger.backlog.stored(key) for key in ledger.backlog.refs_of(ino))
    return any(ref is not None and ref.version in (info.version, *info.same_as) for ref in refs)
