"""P8: under a mixed load and a faulty network nothing grows once it is warm, and every byte ends up in the store.

A minute of what ``python -m benchmarks.soak`` does for an hour, counted in operations; the bounds are what that allows.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.soak.soaking import FAULTS, OPTIONS, Load, Soak
from tests.support.daemon import Daemon, workshop
from tests.support.fault_proxy import Plan, fault_proxy
from tests.support.stores import moto

OPERATIONS = 500
"""Of each volume."""
LOAD = Load(hands=3, readers=1, pace=6.0, interval_seconds=1.0)
FAULTY_SHARE = 0.05
RSS_BYTES_MAX = 200 << 20
GROWTH_BYTES_MAX = 32 << 20
"""Between the medians of the first and the last third of so short a time: the first files and chunks come in there."""
OTHER_DESCRIPTORS_MAX = 64
"""Besides one for each body, at most."""
JOURNAL_BYTES_MAX = 64 << 20


@contextmanager
def soaks(base: Path) -> Iterator[tuple[list[Soak], Plan]]:
    """On a directory, and on moto behind a network with faults, at once."""
    source = random.Random(1)
    plan = Plan(lambda operation, seen: source.choice(FAULTS) if source.random() < FAULTY_SHARE else None)
    with moto() as server, fault_proxy(server.endpoint_url, plan) as endpoint:
        daemons, made = [], []
        for name, stored in (("local", None), ("s3", server)):
            (base / name).mkdir()
            behind = None if stored is None else stored._replace(endpoint_url=endpoint)
            daemons.append(Daemon(base / name, options=OPTIONS, server=behind))
            made.append(Soak(daemons[-1], base / name / "mirror", LOAD, stored))
        try:
            yield made, plan
        finally:
            for daemon in daemons:
                daemon.end()


def test_a_mixed_load_with_faults_makes_nothing_grow_and_loses_nothing() -> None:
    with workshop() as base, soaks(base) as (volumes, plan):
        plan.is_on = False
        for volume in volumes:
            volume.start()
        plan.is_on = True
        for volume in volumes:
            volume.wait_for(OPERATIONS)
        for volume in volumes:
            volume.stop()
        plan.is_on = False
        for volume in volumes:
            volume.check()
        assert [volume.complaints for volume in volumes] == [[], []]
        assert plan.hits
        for volume in volumes:
            look_for_growth(volume)


def look_for_growth(volume: Soak) -> None:
    report = volume.report()
    for name, trend in report["trends"].items():
        if name.endswith("rss_bytes"):
            assert trend["most"] < RSS_BYTES_MAX, (name, trend)
            assert trend["late"] - trend["early"] < GROWTH_BYTES_MAX, (name, trend)
    for sample in report["samples"]:
        assert sample["descriptors"] <= sample["inodes"] + OTHER_DESCRIPTORS_MAX, sample
        assert sample.get("worker_descriptors", 0) <= OTHER_DESCRIPTORS_MAX, sample
        assert sample["journal_bytes"] <= JOURNAL_BYTES_MAX, sample
