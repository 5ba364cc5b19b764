"""An extent set is a set of bytes, whatever the order of calls: judged against a plain Python set."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import Extent

LIMIT = 40
ranges = st.tuples(st.integers(0, LIMIT), st.integers(0, LIMIT))
steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), ranges), max_size=25)


def play(history: list[tuple[str, tuple[int, int]]]) -> tuple[ExtentSet, set[int]]:
    extents, model = ExtentSet(), set[int]()
    for verb, (start, end) in history:
        if verb == "add":
            extents.add(start, end)
            model |= set(range(start, end))
        else:
            extents.remove(start, end)
            model -= set(range(start, end))
    return extents, model


@given(steps)
def test_extents_hold_exactly_the_bytes_added_and_not_removed(history: list[tuple[str, tuple[int, int]]]) -> None:
    extents, model = play(history)
    assert {byte for extent in extents for byte in range(extent.offset, extent.end)} == model
    assert extents.total() == len(model)


@given(steps)
def test_extents_are_sorted_disjoint_and_never_touch(history: list[tuple[str, tuple[int, int]]]) -> None:
    extents, _ = play(history)
    found = list(extents)
    assert all(extent.length > 0 for extent in found)
    assert all(left.end < right.offset for left, right in pairwise(found))


@given(steps, ranges)
def test_gaps_and_coverage_agree_with_the_bytes(
    history: list[tuple[str, tuple[int, int]]], asked: tuple[int, int]
) -> None:
    extents, model = play(history)
    start, end = asked
    wanted = set(range(start, end))
    gaps = extents.gaps(start, end)
    assert {byte for gap in gaps for byte in range(gap.offset, gap.end)} == wanted - model
    assert extents.covers(start, end) == (wanted <= model)
    assert all(gap.length > 0 for gap in gaps)


def test_equal_sets_are_equal_however_they_came_about() -> None:
    left = ExtentSet([Extent(0, 2), Extent(2, 3)])
    right = ExtentSet([Extent(0, 5)])
    assert left == right
    assert bool(left)
    left.clear()
    assert not left
    assert left != right
