"""Seeded histories, part 2 of 4: every promise holds in each (``life.py``)."""

from tests.simulation.chunks import lived


def test_every_promise_holds_in_every_history() -> None:
    assert len(lived("2000:2050")) == 50
