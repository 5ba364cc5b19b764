"""Names and key components are each other's inverse, whoever wrote which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.engine.paths import STAGING_CONTAINER
from vaultairefs.engine.s3_keys import BASE_BYTES_MAX, KEY_BYTES_MAX, Keys
from vaultairefs.engine.s3_names import hashed, is_hashed, show, store
from vaultairefs.model.errors import InvalidRequest, NameTooLong
from vaultairefs.model.values import EntryPath

PIECES = [b"%", b"2", b"5", b"F", b"~", b"=", b"a", b"\xff", b"\n", b".", b"\xc3\xa9", b"%%25", b"%%=", b"%%~", b"%%2F"]
texts = st.lists(st.sampled_from([*PIECES, b"\0"]), max_size=12).map(b"".join)
names = st.one_of(texts, st.binary(max_size=255).map(lambda text: text.replace(b"/", b"")))
possible = names.filter(lambda name: name not in (b"", b".", b"..") and b"\0" not in name)
components = names.map(lambda text: text.decode("utf-8", "ignore").encode())


@given(possible, st.booleans())
def test_every_name_is_stored_as_utf8_without_control_characters_and_comes_back(name: bytes, container: bool) -> None:
    component = store(name, container=container)
    component.decode("utf-8")
    assert show(component, container=container) == name


@given(components, st.booleans())
def test_every_foreign_component_is_shown_by_a_possible_name_that_leads_back(component: bytes, container: bool) -> None:
    if component or container:
        name = show(component, container=container)
        assert name not in (b"", b".", b"..") and b"\0" not in name and b"/" not in name
        assert store(name, container=container) == component


@pytest.mark.parametrize("name", [b"plain", b"100%", b"a b", b"%2F", b"%%", b"a%%b", "grüße".encode(), b"x.tar.gz"])
def test_ordinary_names_are_stored_as_they_are(name: bytes) -> None:
    assert store(name) == name


@pytest.mark.parametrize(
    ("component", "name"),
    [(b"", b"%%="), (b".", b"%%=."), (b"..", b"%%=.."), (b"a\nb", b"%%=a%%0Ab"), (b"\0", b"%%=%%00")],
)
def test_what_linux_cannot_hold_is_shown_escaped(component: bytes, name: bytes) -> None:
    assert show(component, container=True) == name


@given(possible)
def test_no_name_is_stored_like_a_hash_or_like_the_inner_marker(name: bytes) -> None:
    assert not is_hashed(store(name))
    assert store(name) != b"%%2F" or name == b"%%=%%25%2F"


def test_no_key_is_longer_than_stores_take() -> None:
    keys = Keys(b"p" * (BASE_BYTES_MAX - 1) + b"/")
    container = b""
    for _ in range(30):
        container = container + b"/" + b"\xff" * 255 if container else b"\xff" * 255
        assert len(keys.marker(container)) <= KEY_BYTES_MAX
        assert len(keys.key(EntryPath(container, b"n" * 255))) <= KEY_BYTES_MAX
        assert keys.prefix(container).startswith(keys.base)


def test_two_deep_paths_have_two_keys() -> None:
    keys = Keys(b"")
    one, two = (b"/".join([b"c" * 250] * 8 + [last]) for last in (b"x", b"y"))
    assert keys.key(EntryPath(one, b"n")) != keys.key(EntryPath(two, b"n"))
    assert any(keys.is_long(one.rsplit(b"/", depth)[0]) for depth in range(9))


@given(st.lists(possible, min_size=1, max_size=8))
def test_a_key_leads_back_to_its_path(path: list[bytes]) -> None:
    keys = Keys(b"base/")
    entry = EntryPath(b"/".join(path[:-1]), path[-1])
    key = keys.key(entry)
    assert keys.path_of(key) in (entry, None)
    assert keys.path_of(key) is not None or b"%%~" in key


def test_parked_entries_are_where_no_path_leads() -> None:
    keys = Keys(b"")
    parked = EntryPath(STAGING_CONTAINER, b"name")
    assert keys.key(parked) == b".vaultairefs/staging/name"
    assert keys.path_of(keys.key(parked)) == parked
    assert keys.key(EntryPath(b".vaultairefs/staging", b"name")) == b".vaultairefs%/staging/name"


def test_paths_that_are_none_have_no_key() -> None:
    keys = Keys(b"base/")
    for container in (b"..", b"a//b", b"/", b"a/./b", b"a\0"):
        with pytest.raises(InvalidRequest):
            keys.key(EntryPath(container, b"x"))
    with pytest.raises(NameTooLong):
        keys.key(EntryPath(b"a", b"n" * 256))


def test_hashes_are_told_apart() -> None:
    assert is_hashed(hashed(b"one")) and hashed(b"one") != hashed(b"two")
