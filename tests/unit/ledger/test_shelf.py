"""Entries that nobody uses are packed, and nobody notices."""

from typing import Any

import msgspec
import pytest

from tests.support.ledgers import IN_USE_MAX, Lab, attributes
from vaultairefs.ledger import checkpoint
from vaultairefs.ledger.shelf import Shelf
from vaultairefs.model.changes import ArtifactDiscovered, AttributesSet, EntryLinked, EntryRemoved
from vaultairefs.model.values import ROOT, Attributes, EntryKey, Ino, Kind, Version
from vaultairefs.namespace import places

COUNT = 5 * IN_USE_MAX
ODD = Attributes(Kind.SYMLINK, 0o777, 1, 2, -5, 3, 1 << 60, target=b"there", xattrs={b"user.x": b"1"})


def discover(lab: Lab, name: bytes, born: Attributes | None = None, *, version: str = "v", parent: Ino = ROOT) -> Ino:
    ino = lab.ledger.namespace.allocate()
    lab.commit(ArtifactDiscovered(ino, parent, name, born or attributes(), 11, Version(version)))
    return ino


def shelf_of(lab: Lab) -> Shelf:
    return lab.ledger._rooms.shelf


def fill(lab: Lab) -> list[Ino]:
    """Entries enough that the first ones are put on the shelf."""
    return [discover(lab, b"f%d" % number) for number in range(COUNT)]


def test_what_is_clean_goes_on_the_shelf_and_comes_back_as_it_was(lab: Lab) -> None:
    odd = discover(lab, b"odd", ODD, version="v-odd")
    fill(lab)
    assert odd in shelf_of(lab).rows
    assert len(lab.ledger.namespace.inodes) <= IN_USE_MAX + 1
    assert len(lab.ledger.namespace) == COUNT + 2
    inode = lab.ledger.namespace.get(odd)
    assert (inode.attributes(), inode.refs, inode.nlink) == (ODD, ((ROOT, b"odd"),), 1)
    ref = lab.ledger.backlog.stored(EntryKey(ROOT, b"odd"))
    assert ref is not None and (ref.ino, ref.version, ref.stale) == (odd, "v-odd", False)
    assert lab.ledger.namespace.get(odd) is inode
    assert lab.audit() == []


@pytest.mark.parametrize("question", ["stored", "refs_of", "fresh_ref", "child", "path"])
def test_every_question_finds_what_is_on_the_shelf(lab: Lab, question: str) -> None:
    first, namespace, backlog = fill(lab)[0], lab.ledger.namespace, lab.ledger.backlog
    key = EntryKey(ROOT, b"f0")
    assert first in shelf_of(lab).rows
    match question:
        case "stored":
            ref = backlog.stored(key)
            assert ref is not None and ref.ino == first
        case "refs_of":
            assert backlog.refs_of(first) == [key]
        case "fresh_ref":
            assert backlog.fresh_ref(first) == key
        case "child":
            assert namespace.child(ROOT, b"f0") is namespace.get(first)
        case "path":
            assert namespace.path(first) == b"f0"


def test_names_and_rows_of_a_listing_leave_the_shelf_alone(lab: Lab) -> None:
    inos = fill(lab)
    before = dict(shelf_of(lab).rows)
    assert lab.ledger.backlog.stored_names(ROOT) == {b"f%d" % number for number in range(COUNT)}
    assert [ino for _, ino, _ in lab.ledger.namespace.entries(ROOT)] == inos
    looked = [lab.ledger.namespace.peek(ino) for ino in inos]
    assert [inode and inode.size for inode in looked] == [11] * COUNT
    assert shelf_of(lab).rows == before


def test_an_inode_that_somebody_has_in_hand_stays_one_object(lab: Lab) -> None:
    held = lab.ledger.namespace.get(discover(lab, b"held"))
    fill(lab)
    assert lab.ledger.namespace.get(held.ino) is held
    lab.commit(AttributesSet(held.ino, 0o600, 1, 2, 3, 4, 5))
    assert held.mode == 0o600


def test_what_is_owed_linked_or_open_stays_in_use(lab: Lab) -> None:
    owed, linked, opened = (discover(lab, name) for name in (b"owed", b"linked", b"opened"))
    lab.commit(AttributesSet(owed, 0o600, 1, 2, 3, 4, 5))
    lab.commit(EntryLinked(linked, ROOT, b"again", 9))
    lab.ledger.buffer.hold(opened, writing=False)
    fill(lab)
    assert not {owed, linked, opened} & shelf_of(lab).rows.keys()
    assert lab.audit() == []


def test_what_is_removed_from_the_shelf_is_gone(lab: Lab) -> None:
    first = fill(lab)[0]
    lab.commit(EntryRemoved(first, ROOT, b"f0", 9))
    lab.ledger.drop(first)
    assert lab.ledger.namespace.find(first) is None
    assert lab.ledger.backlog.owed_names == {EntryKey(ROOT, b"f0"): None}


def test_a_checkpoint_keeps_the_shelf_packed(lab: Lab, open_lab: type[Lab]) -> None:
    fill(lab)
    lab.checkpoint()
    again = open_lab(lab.copy(lab.directory.with_name("copy")))
    assert len(again.ledger.namespace.inodes) <= IN_USE_MAX + 1
    assert again.ledger.fingerprint() == lab.ledger.fingerprint()


def test_a_checkpoint_of_format_1_is_read(lab: Lab) -> None:
    """As version 1 wrote it: children with their places, and two names of one inode in one container."""
    ino = discover(lab, b"a")
    lab.commit(EntryLinked(ino, ROOT, b"b", 9))
    saved = checkpoint.decode(checkpoint.encode(lab.ledger._rooms, operation_id=3, event_sequence=4))
    inodes = [_as_format_1(msgspec.structs.astuple(inode)) for inode in saved.namespace.inodes]
    parts = [1, 3, 4, [saved.namespace.next_ino, inodes], saved.bodies, saved.backlog]
    old = checkpoint.decode(msgspec.msgpack.encode(parts))
    assert (old.operation_id, old.event_sequence) == (3, 4)
    assert [msgspec.structs.astuple(inode) for inode in old.namespace.inodes] == [
        msgspec.structs.astuple(inode) for inode in saved.namespace.inodes
    ]
    root, other = old.namespace.inodes
    assert len({places.cookie_of(root, name, other.ino) for name in (b"a", b"b")}) == 2


def _as_format_1(inode: tuple[Any, ...]) -> list[Any]:
    """``next_cookie`` where ``next_place`` is now, and a place beside each child."""
    children = inode[19]
    old = (
        {name: (ino, 3 + at) for at, (name, ino) in enumerate(children.items())} if isinstance(children, dict) else None
    )
    return [*inode[:13], 5, *inode[14:19], old]
