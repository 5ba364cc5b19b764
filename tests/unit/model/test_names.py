"""Names: what a new entry may be called, and how a user's name never meets ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.model.errors import InvalidRequest, NameTooLong
from vaultairefs.model.names import RESERVED, check_name, escape_root_name, join, unescape_root_name

names = st.one_of(
    st.binary(min_size=1, max_size=20),
    st.integers(0, 4).map(lambda count: RESERVED + b"%" * count),
    st.sampled_from([RESERVED + b"x", RESERVED + b"%x", RESERVED + b"\n", RESERVED + b"%\n", b"x" + RESERVED]),
)


@given(names)
def test_an_escaped_name_is_never_the_reserved_one_and_comes_back(name: bytes) -> None:
    stored = escape_root_name(name)
    assert stored != RESERVED
    assert unescape_root_name(stored) == name


@given(names, names)
def test_two_names_never_share_a_stored_one(left: bytes, right: bytes) -> None:
    assert (escape_root_name(left) == escape_root_name(right)) == (left == right)


def test_the_reserved_container_is_nobodys() -> None:
    assert unescape_root_name(RESERVED) is None


@pytest.mark.parametrize("name", [b"a", b"x" * 255, b"\xff\xfe", b"a\nb", b"...", b" "])
def test_any_bytes_but_slash_and_nul_make_a_name(name: bytes) -> None:
    check_name(name)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_impossible_names_are_refused(name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_name(name)


def test_a_name_of_256_bytes_is_too_long() -> None:
    with pytest.raises(NameTooLong):
        check_name(b"x" * 256)


def test_join_knows_the_root() -> None:
    assert join(b"", b"a") == b"a"
    assert join(b"a/b", b"c") == b"a/b/c"
