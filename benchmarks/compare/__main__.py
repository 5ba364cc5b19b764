"""Run every system that is installed through every workload, in turns, and keep what came out.

    python -m benchmarks.compare [--rounds N] [--system NAME ...] [--workload NAME ...] [--json FILE]
    python -m benchmarks.compare --report FILE        a Markdown table and plots from what was kept

Needs root, FUSE, and the programs of the peers (``rclone`` comes with the dev extra, ``s3fs`` from Debian, the rest
where it is on the PATH).  In each round each workload runs on each system once; the order turns from round to round, so
that none always comes first.  Absolute numbers say little about other machines: compare rows of one file.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.compare.raw import RAW
from benchmarks.compare.report import write_report
from benchmarks.compare.store import Store, store
from benchmarks.compare.systems import SYSTEMS, System
from benchmarks.compare.workloads import MIB, WORKLOADS, Inputs


def main() -> int:
    """The command."""
    chosen = _arguments()
    if chosen.report is not None:
        write_report(chosen.report)
        return 0
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-compare-", dir=chosen.base))
    rows: list[dict[str, Any]] = []
    try:
        with store(chosen.ceph, base) as server:
            inputs = Inputs(base, chosen.files, chosen.mib * MIB, chosen.listed)
            for number in range(chosen.rounds):
                rows += _round(number, server, base, inputs, chosen)
                chosen.json.write_text(json.dumps({"circumstances": _circumstances(chosen), "rows": rows}, indent=1))
    finally:
        shutil.rmtree(base)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="default: all that are installed")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="default: all")
    parser.add_argument("--files", type=int, default=2000, help="how many small files")
    parser.add_argument("--mib", type=int, default=256, help="the size of large files")
    parser.add_argument("--listed", type=int, default=10_000, help="how many files the long directory holds")
    parser.add_argument("--base", type=Path, help="a directory on the disk to use")
    parser.add_argument("--ceph", type=Path, help="the directory of a Ceph that script/ceph has started")
    parser.add_argument("--json", type=Path, default=Path("compare.json"), help="where the raw numbers go")
    parser.add_argument("--report", type=Path, help="make the table and plots from this file instead")
    return parser.parse_args()


def _round(number: int, server: Store, base: Path, inputs: Inputs, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    names = [name for name in chosen.system or SYSTEMS if SYSTEMS[name].is_installed()]
    turned = names[number % len(names) :] + names[: number % len(names)]
    rows = []
    for workload in chosen.workload or WORKLOADS:
        if workload in RAW:
            rows.append({"round": number, "system": "raw client", "measures": RAW[workload](server, inputs, base)})
        for name in turned:
            row = {"round": number, "system": name, **_measure(SYSTEMS[name](base, server), workload, inputs)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    return rows


def _measure(system: System, workload: str, inputs: Inputs) -> dict[str, Any]:
    """One workload on one system; one that fails is a result as well."""
    system.prepare()
    system.mount()
    try:
        measures = WORKLOADS[workload](system, inputs)
        system.account()
        measures[f"{workload}, processor: seconds"] = system.processor_seconds
        measures[f"{workload}, peak memory: MiB"] = system.peak_mib
        return {"measures": measures}
    except Exception as error:
        traceback.print_exc()
        return {"measures": {}, "failure": f"{workload}: {error}"}
    finally:
        system.unmount()


def _circumstances(chosen: argparse.Namespace) -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "files": chosen.files,
        "mib": chosen.mib,
        "listed": chosen.listed,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
