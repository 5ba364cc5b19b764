"""Changes survive their encoding, and their tags stay what they were: the journal's format is a promise."""

import inspect
from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.model import changes, engine_changes
from vaultairefs.model.changes import Change, ContainerCreated, EntryRemoved, decode, encode
from vaultairefs.model.values import Attributes, Ino, Kind, Version

TAGS = {
    "ContainerCreated": 1,
    "FileCreated": 2,
    "SymlinkCreated": 3,
    "NodeCreated": 4,
    "EntryLinked": 5,
    "EntryRemoved": 6,
    "EntryRenamed": 7,
    "AttributesSet": 8,
    "XattrSet": 9,
    "BodyOpened": 10,
    "BodyClosed": 11,
    "ExtentsWritten": 12,
    "ExtentsFetched": 13,
    "BodyEvicted": 14,
    "Truncated": 15,
    "ArtifactDiscovered": 16,
    "EntryVanished": 17,
    "ArtifactFlushed": 18,
    "ArtifactMoved": 19,
    "ArtifactDeleted": 20,
    "ArtifactConflicted": 21,
    "BodySynced": 22,
    "StepBegun": 23,
    "StepEnded": 24,
    "ContainerHandedOver": 25,
    "ArtifactCopied": 26,
    "ContainerForgotten": 33,
}


int64 = st.integers(-(2**63), 2**63 - 1)
FIELDS = {
    Ino: int64.map(Ino),
    int: int64,
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    Version: st.text(max_size=20).map(Version),
    str: st.text(max_size=20),
    bytes | None: st.none() | st.binary(max_size=20),
    tuple[tuple[int, int], ...]: st.lists(st.tuples(int64, int64), max_size=4).map(tuple),
    Kind: st.sampled_from(Kind),
    dict[bytes, bytes]: st.dictionaries(st.binary(max_size=9), st.binary(max_size=9), max_size=3),
}


def struct_of(cls: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    fields = {**FIELDS, Attributes: st.deferred(lambda: struct_of(Attributes))}
    return st.builds(cls, **{name: fields[hint] for name, hint in get_type_hints(cls).items()})


@given(st.one_of([struct_of(cls) for cls in get_args(Change)]))
def test_every_change_decodes_to_what_was_encoded(change: Change) -> None:
    assert decode(encode(change)) == change


def test_tags_in_old_journals_keep_their_meaning() -> None:
    homes = (changes, engine_changes)
    found = {
        cls.__name__: cls.__struct_config__.tag
        for home in homes
        for _, cls in inspect.getmembers(home, inspect.isclass)
        if issubclass(cls, msgspec.Struct) and cls.__module__ == home.__name__
    }
    assert found == TAGS == {cls.__name__: cls.__struct_config__.tag for cls in get_args(Change)}


def test_a_record_of_an_older_version_reads_with_defaults() -> None:
    attributes = Attributes(Kind.CONTAINER, 0o755, 1, 2, -3, 4, 5)
    record = msgspec.msgpack.decode(encode(ContainerCreated(Ino(9), Ino(1), b"n", attributes)))
    record[4] = record[4][:7]
    assert decode(msgspec.msgpack.encode(record)) == ContainerCreated(Ino(9), Ino(1), b"n", attributes)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", msgspec.msgpack.encode([99, 1]), encode(EntryRemoved(Ino(1), Ino(1), b"", 0))[:-1]]
)
def test_bytes_that_are_no_change_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)
