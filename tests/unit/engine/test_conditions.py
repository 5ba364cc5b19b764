"""ABSENT, ANY and versions mean the same for every engine; paths cannot climb."""

import pytest

from vaultairefs.engine.conditions import holds, require
from vaultairefs.engine.paths import STAGING_CONTAINER, ContainerPath, entry_of, parse_container, staging_path
from vaultairefs.model.errors import Conflict, InvalidRequest, NameTooLong
from vaultairefs.model.values import ABSENT, ANY, EntryPath, Version

ONE, TWO = Version("one"), Version("two")


@pytest.mark.parametrize(
    ("current", "expected", "outcome"),
    [
        (None, ABSENT, True),
        (None, ANY, True),
        (None, ONE, False),
        (ONE, ABSENT, False),
        (ONE, ANY, True),
        (ONE, ONE, True),
        (ONE, TWO, False),
    ],
)
def test_a_condition_holds_or_is_a_conflict(current: Version | None, expected: Version, outcome: bool) -> None:
    assert holds(current, expected) is outcome
    path = EntryPath(b"container", b"name")
    if outcome:
        require(current, expected, path, "put")
    else:
        with pytest.raises(Conflict) as caught:
            require(current, expected, path, "put")
        assert (caught.value.container, caught.value.artifact) == (b"container", b"name")


def test_containers_are_taken_apart() -> None:
    assert parse_container(b"") == ContainerPath(False, ())
    assert parse_container(b"a/b c/\xff") == ContainerPath(False, (b"a", b"b c", b"\xff"))
    assert parse_container(STAGING_CONTAINER) == ContainerPath(True, ())
    assert parse_container(staging_path(b"x").joined + b"/y") == ContainerPath(True, (b"x", b"y"))


@pytest.mark.parametrize("container", [b"/", b"/a", b"a/", b"a//b", b".", b"a/..", b"a\0", b"a/\0staging"])
def test_what_could_climb_is_no_container(container: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_container(container)


def test_a_long_component_is_too_long() -> None:
    with pytest.raises(NameTooLong):
        parse_container(b"a/" + b"n" * 256)


def test_a_container_is_an_entry_of_its_parent() -> None:
    assert entry_of(b"a") == EntryPath(b"", b"a")
    assert entry_of(b"a/b/c") == EntryPath(b"a/b", b"c")
    for container in (b"", STAGING_CONTAINER):
        with pytest.raises(InvalidRequest):
            entry_of(container)
