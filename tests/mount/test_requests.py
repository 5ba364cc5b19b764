"""No piece of work asks more of an object store than it did: counts on the wire against the stored baseline."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.compare.store import Store
from benchmarks.requests.__main__ import Row, count
from benchmarks.requests.works import WORKS
from tests.support import stores
from tests.support.daemon import workshop

FOLDER: Final = Path(__file__).parents[2] / "benchmarks" / "requests"
TOO_LONG: Final = ("a tree of 2,000 files",)
SLACK: Final = 10
"""On a slow machine what is written when things have been quiet for a while may be written once more in between."""
BYTES_SLACK: Final = 64 << 10

ADVICE: Final = "if that is meant: python -m benchmarks.requests (see its README.md), and say in the commit why"


def baseline(store: str) -> dict[str, Row]:
    rows = json.loads((FOLDER / f"{store}.json").read_text())["rows"]
    return {row["work"]: row for row in rows if row["system"] == "vaultairefs"}


def grown(before: Row, now: Row) -> dict[str, tuple[Any, Any]]:
    """What is asked more often than before: then and now."""
    then, counts = Counter(before["requests"]), Counter(now["requests"])
    more: dict[str, tuple[Any, Any]] = {
        operation: (then[operation], found) for operation, found in counts.items() if found > then[operation] + SLACK
    }
    if counts.total() > then.total() + SLACK:
        more["all"] = (then.total(), counts.total())
    more.update({way: (before[way], now[way]) for way in ("up", "down") if now[way] > before[way] + BYTES_SLACK})
    return more


@pytest.mark.parametrize("work", [name for name in WORKS if name not in TOO_LONG])
@pytest.mark.parametrize("store", ["moto", pytest.param("ceph", marks=pytest.mark.slow)])
def test_no_work_asks_more_of_a_store(store: str, work: str) -> None:
    with workshop() as base, stores.store(store) as server:
        assert server is not None
        there = Store(server.endpoint_url, server.access_key, server.secret_key)
        (row, _) = count(there, base, ["vaultairefs"], [work])
    assert grown(baseline(store)[work], row) == {}, ADVICE


def test_the_baseline_keeps_the_limits() -> None:
    known = baseline("ceph")
    for name, work in WORKS.items():
        if work.requests_max is not None:
            assert sum(known[name]["requests"].values()) <= work.requests_max, name
        if work.down_max is not None:
            assert known[name]["down"] <= work.down_max, name


def test_a_count_that_has_grown_is_seen() -> None:
    before: Row = {"requests": {"put": 8}, "up": 0, "down": 0}
    more = 8 + SLACK + 1
    assert grown(before, {"requests": {"put": more}, "up": 0, "down": 0}) == {"put": (8, more), "all": (8, more)}
    others = {"put": 8, "head": SLACK + 1}
    assert grown(before, {"requests": others, "up": 0, "down": 0}) == {"head": (0, SLACK + 1), "all": (8, more)}
    assert grown(before, {"requests": {"put": 8}, "up": 0, "down": 1 << 20}) == {"down": (0, 1 << 20)}
    assert grown(before, {"requests": {"put": 9}, "up": 0, "down": 0}) == {}
