"""Soak two volumes at once, one on a directory and one on S3 behind a faulty network, and say what grew.

    python -m benchmarks.soak --hours 1 [--ceph DIRECTORY] [--hands N] [--pace N] [--faults SHARE] [--json FILE]

Needs root and FUSE.  Without ``--ceph`` (the directory of a Ceph that script/ceph has started) the store is moto in a
process of its own.  Exit status 1 when anything is wrong: a byte, a name, a row, a program's error.  What grew is in
FILE and is judged by who reads it; ``tests/faults/test_soak.py`` judges a short one.
"""

import argparse
import contextlib
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.soak.sampling import write
from benchmarks.soak.soaking import FAULTS, OPTIONS, Load, Soak
from tests.support.ceph import server_in
from tests.support.daemon import Daemon, workshop
from tests.support.fault_proxy import Plan, fault_proxy
from tests.support.stores import Server, moto

KEEP_SECONDS = 60


def main() -> int:
    """The command."""
    chosen = _arguments()
    load = Load(chosen.hands, chosen.readers, chosen.pace, chosen.interval, chosen.seed)
    source = random.Random(chosen.seed)
    plan = Plan(lambda operation, seen: source.choice(FAULTS) if source.random() < chosen.faults else None)
    with workshop() as base, _store(chosen.ceph) as server, fault_proxy(server.endpoint_url, plan) as endpoint:
        soaks = {}
        daemons = []
        for name, stored in (("local", None), ("s3", server)):
            place = base / name
            place.mkdir()
            behind = None if stored is None else stored._replace(endpoint_url=endpoint)
            daemons.append(Daemon(place, options=OPTIONS, server=behind))
            soaks[name] = Soak(daemons[-1], place / "mirror", load, stored)
        try:
            _run(soaks, plan, chosen)
        finally:
            for daemon in daemons:
                daemon.end()
    return 1 if any(soak.complaints for soak in soaks.values()) else 0


def _run(soaks: dict[str, Soak], plan: Plan, chosen: argparse.Namespace) -> None:
    def kept(is_done: bool) -> dict[str, Any]:
        hits = {f"{operation} {fault}": count for (operation, fault), count in sorted(plan.hits.items())}
        circumstances = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "hours": chosen.hours, "done": is_done}
        volumes = {name: soak.report() for name, soak in soaks.items()}
        return {"circumstances": circumstances, "faults": hits, "volumes": volumes}

    plan.is_on = False
    for soak in soaks.values():
        soak.start()
    plan.is_on = True
    deadline = time.monotonic() + chosen.hours * 3600
    while (left := deadline - time.monotonic()) > 0 and not any(soak.end.is_set() for soak in soaks.values()):
        next(iter(soaks.values())).end.wait(min(left, KEEP_SECONDS))
        write(chosen.json, lambda: kept(False))
    for soak in soaks.values():
        soak.stop()
    plan.is_on = False
    for soak in soaks.values():
        soak.check()
    write(chosen.json, lambda: kept(True))
    for name, soak in soaks.items():
        print(json.dumps({name: {**soak.report(), "samples": len(soak.report()["samples"])}}, indent=1))


@contextlib.contextmanager
def _store(ceph: Path | None) -> Iterator[Server]:
    if ceph is not None:
        yield server_in(ceph)
    else:
        with moto() as server:
            yield server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--ceph", type=Path, help="the directory of a Ceph that script/ceph has started")
    parser.add_argument("--hands", type=int, default=4, help="writers on each volume")
    parser.add_argument("--readers", type=int, default=2, help="readers on each volume")
    parser.add_argument("--pace", type=float, default=2.0, help="operations of each of them a second")
    parser.add_argument("--faults", type=float, default=0.05, help="the share of requests that meets a fault")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("soak.json"), help="where samples and slopes go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
