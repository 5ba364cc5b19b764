"""No operation makes the daemon do more than it did: counts against the stored baseline."""

import json
from pathlib import Path

from benchmarks import counters

SLACK = {"bytes": 0.1, "calls": 0.05}
"""Numbers in records grow with what came before, and versions of Python count some calls differently."""

NOISE = 0.2
"""The ledger syncs itself every few seconds, in the middle of a hundred operations."""

ADVICE = "if that is meant: python benchmarks/counters.py --write, and say in the commit why"


def grown(before: dict[str, float], now: dict[str, float], slack: float) -> dict[str, tuple[float, float]]:
    """What is counted more often than before: then and now.  What happens once in a while is not an operation's."""
    return {
        name: (before.get(name, 0), count)
        for name, count in now.items()
        if count > before.get(name, 0) * (1 + (SLACK["bytes"] if name.endswith("bytes") else slack)) + NOISE
    }


def test_no_operation_costs_more_system_calls_requests_or_bytes(tmp_path: Path) -> None:
    baseline = json.loads(counters.BASELINE.read_text())["mount"]
    found = counters.count_on_a_mount(tmp_path)
    assert found.keys() == baseline.keys()
    more = {operation: row for operation in found if (row := grown(baseline[operation], found[operation], 0.05))}
    assert more == {}, ADVICE


def test_no_handler_calls_more_functions(tmp_path: Path) -> None:
    baseline = json.loads(counters.BASELINE.read_text())["handlers"]
    assert grown(baseline, counters.count_in_process(tmp_path), SLACK["calls"]) == {}, ADVICE


def test_a_count_that_has_grown_is_seen() -> None:
    assert grown({"pwrite64": 8}, {"pwrite64": 9}, 0.05) == {"pwrite64": (8, 9)}
    assert grown({}, {"fsync": 1}, 0.05) == {"fsync": (0, 1)}
    assert grown({"journal bytes": 100}, {"journal bytes": 109}, 0.05) == {}
