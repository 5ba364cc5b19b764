"""Access control lists: acl(5) as pure values."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.model.errors import InvalidRequest
from vaultairefs.volume import acl
from vaultairefs.volume.acl import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, Entry


def xattr(*entries: tuple[int, int, int]) -> bytes:
    """A value written independently of the code under test (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NOBODY_ID = 0xFFFFFFFF
EXTENDED = xattr(
    (0x01, 7, NOBODY_ID), (0x02, 6, 1000), (0x04, 5, NOBODY_ID), (0x10, 6, NOBODY_ID), (0x20, 4, NOBODY_ID)
)
MINIMAL = xattr((0x01, 6, NOBODY_ID), (0x04, 4, NOBODY_ID), (0x20, 0, NOBODY_ID))


def permissions(value: bytes) -> dict[tuple[int, int], int]:
    return {(entry.tag, entry.id): entry.permissions for entry in acl.parse(value)}


def test_a_list_survives_parsing_and_encoding() -> None:
    assert acl.encode(acl.parse(EXTENDED)) == EXTENDED


def test_entries_are_encoded_in_canonical_order() -> None:
    assert acl.encode(tuple(reversed(acl.parse(EXTENDED)))) == EXTENDED


def test_a_header_alone_is_the_empty_list() -> None:
    assert acl.parse(xattr()) == ()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x02\x00\x00",
        struct.pack("<I", 1),
        MINIMAL + b"\0",
        MINIMAL[:-1],
        xattr((0x01, 6, NOBODY_ID), (0x04, 4, NOBODY_ID)),
        xattr((0x01, 8, NOBODY_ID), (0x04, 4, NOBODY_ID), (0x20, 0, NOBODY_ID)),
        xattr((0x01, 6, NOBODY_ID), (0x04, 4, NOBODY_ID), (0x20, 0, NOBODY_ID), (0x40, 0, NOBODY_ID)),
        xattr((0x01, 6, NOBODY_ID), (0x01, 6, NOBODY_ID), (0x04, 4, NOBODY_ID), (0x20, 0, NOBODY_ID)),
    ],
    ids=["empty", "short", "version", "long", "cut", "no-others", "bits", "tag", "twice"],
)
def test_a_value_that_is_no_list_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequest):
        acl.parse(value)


def test_a_named_entry_needs_a_mask() -> None:
    with pytest.raises(InvalidRequest):
        acl.parse(xattr((0x01, 7, NOBODY_ID), (0x02, 6, 1000), (0x04, 5, NOBODY_ID), (0x20, 4, NOBODY_ID)))


def test_one_user_is_named_once() -> None:
    twice = ((0x02, 6, 1000), (0x02, 4, 1000))
    with pytest.raises(InvalidRequest):
        acl.parse(xattr((0x01, 7, NOBODY_ID), *twice, (0x04, 5, NOBODY_ID), (0x10, 7, NOBODY_ID), (0x20, 4, NOBODY_ID)))


def test_the_groups_bits_are_the_masks_where_there_is_one() -> None:
    assert acl.mode_from(acl.parse(EXTENDED)) == 0o764
    assert acl.mode_from(acl.parse(MINIMAL)) == 0o640


def test_chmod_changes_owner_mask_and_others_only() -> None:
    after = permissions(acl.shown(EXTENDED, 0o421))
    assert after == {
        (USER_OBJ, NOBODY_ID): 4,
        (USER, 1000): 6,
        (GROUP_OBJ, NOBODY_ID): 5,
        (MASK, NOBODY_ID): 2,
        (OTHER, NOBODY_ID): 1,
    }


def test_a_list_is_minimal_without_named_entries_and_mask() -> None:
    assert acl.is_minimal(acl.parse(MINIMAL))
    assert not acl.is_minimal(acl.parse(EXTENDED))


def test_a_new_file_inherits_the_default_list_cut_by_its_mode() -> None:
    access, mode = acl.inherit(EXTENDED, 0o640)
    assert mode == 0o640
    assert access is not None
    assert permissions(access)[MASK, NOBODY_ID] == 4
    assert permissions(access)[USER, 1000] == 6
    assert permissions(access)[GROUP_OBJ, NOBODY_ID] == 5


def test_a_minimal_default_list_leaves_only_a_mode() -> None:
    assert acl.inherit(MINIMAL, 0o777) == (None, 0o640)


def test_bits_above_the_permissions_pass_inheritance() -> None:
    assert acl.inherit(MINIMAL, 0o2755)[1] == 0o2640


bits = st.integers(0, 7)


@st.composite
def lists(draw: st.DrawFn) -> tuple[Entry, ...]:
    named = [Entry(USER, draw(bits), uid) for uid in draw(st.sets(st.integers(0, 5)))]
    named += [Entry(GROUP, draw(bits), gid) for gid in draw(st.sets(st.integers(0, 5)))]
    entries = [Entry(USER_OBJ, draw(bits)), Entry(GROUP_OBJ, draw(bits)), Entry(OTHER, draw(bits)), *named]
    if named or draw(st.booleans()):
        entries.append(Entry(MASK, draw(bits)))
    return tuple(entries)


@given(entries=lists(), mode=st.integers(0, 0o777))
def test_a_list_shown_through_a_mode_says_that_mode(entries: tuple[Entry, ...], mode: int) -> None:
    assert acl.mode_from(acl.parse(acl.shown(acl.encode(entries), mode))) == mode


@given(entries=lists(), mode=st.integers(0, 0o7777))
def test_inheritance_never_grants_more_than_was_asked_for_or_allowed(entries: tuple[Entry, ...], mode: int) -> None:
    access, result = acl.inherit(acl.encode(entries), mode)
    assert result & 0o777 == mode & acl.mode_from(entries)
    assert result & ~0o777 == mode & ~0o777
    if access is not None:
        assert acl.mode_from(acl.parse(access)) == result & 0o777
