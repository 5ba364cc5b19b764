"""Histories that broke a promise once, each with what had gone wrong in it: they are lived in every run."""

import pytest

from tests.simulation.chunks import lived


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(3071, id="an upload that was overtaken and could not be taken back was forgotten"),
        pytest.param(9469, id="an older listing of one name undid attributes that were sent by another name"),
    ],
)
def test_every_promise_holds_in_a_history_that_once_broke_one(seed: int) -> None:
    assert len(lived(f"{seed}")) == 1
