"""Kill each system under the same programs, mount it again, let it finish, and count what is there.

    python -m benchmarks.kills [--rounds N] [--system NAME ...] [--ceph DIRECTORY] [--json FILE]
    python -m benchmarks.kills --report FILE          the table of what was kept

Needs root, FUSE and the programs of the peers (``rclone`` comes with the dev extra, ``s3fs`` from Debian).  The
programs are those of ``tests/crash/labour.py``; a step counts when its program had been told by fsync(2), or by
SQLite or git set to sync everything, that it is on stable storage, and the name that leads to it too.  After the kill
the system is mounted again with what it kept on the disk, given the time to upload it, and looked at; then everything
local is thrown away, as if another machine mounted the bucket, and it is looked at again.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.compare.store import store
from benchmarks.compare.systems import System
from benchmarks.kills.systems import SYSTEMS, kill
from tests.crash.judging import Verdict
from tests.crash.labour import PROGRAMS
from tests.crash.labourers import Labourers

COMMITS = (2, 8)
"""Of git, which is the slowest, before the kill: at least, and less than."""

_SAID = {
    "lines": "fsynced lines of a log",
    "versions": "files replaced by fsync and rename",
    "large": "fsynced pieces of large files",
    "folders": "folders of fsynced files, renamed",
    "commits": "git commits (`core.fsync=all`)",
    "rows-delete": "SQLite commits, rollback journal",
    "rows-wal": "SQLite commits, write-ahead log",
}


def main() -> int:
    """The command."""
    chosen = _arguments()
    if chosen.report is not None:
        print(table(json.loads(chosen.report.read_text())["rows"]))
        return 0
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-kills-"))
    rows: list[dict[str, Any]] = []
    try:
        with store(chosen.ceph, base) as server:
            for seed in range(chosen.seed, chosen.seed + chosen.rounds):
                for name in chosen.system or SYSTEMS:
                    rows += _round(name, SYSTEMS[name](base, server), seed)
                    kept = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "rounds": chosen.rounds, "rows": rows}
                    chosen.json.write_text(json.dumps(kept, indent=1))
    finally:
        shutil.rmtree(base)
    print(table(rows))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each round has the next")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="default: all")
    parser.add_argument("--ceph", type=Path, help="the directory of a Ceph that script/ceph has started")
    parser.add_argument("--json", type=Path, default=Path("kills.json"), help="where each round's verdicts go")
    parser.add_argument("--report", type=Path, help="print the table of this file instead")
    return parser.parse_args()


def _round(name: str, system: System, seed: int) -> list[dict[str, Any]]:
    """One kill of one system: a row for each program."""
    system.prepare()
    system.mount()
    try:
        (system.path / "work").mkdir()
        labourers = Labourers(system.path / "work", seed)
        labourers.wait_for_one("commits", random.Random(seed).randrange(*COMMITS))
        kill(system)
        labourers.finish()
        system.mount()
        system.drain()
        recovered = labourers.verdicts("synced")
        system.drain()  # SQLite and git put things in order when they are looked at
        system.unmount()
        system.forget()
        system.mount()
        elsewhere = labourers.verdicts("synced")
        system.unmount()
    finally:
        kill(system)
    return [
        {"system": name, "seed": seed, "program": program, **_told(recovered[program], elsewhere[program])}
        for program in recovered
    ]


def _told(recovered: Verdict, elsewhere: Verdict) -> dict[str, Any]:
    return {
        "acknowledged": recovered.acknowledged,
        "recovered": recovered.found,
        "elsewhere": elsewhere.found,
        "complaints": recovered.complaints,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: for each program and system what its own next mount shows and what another machine's does, of what was
    acknowledged."""
    cells: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        cells[row["program"], row["system"]].append(row)
    names = list(dict.fromkeys(row["system"] for row in rows))
    lines = [f"| in its next mount / on another machine | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for program in PROGRAMS:
        lines.append(f"| {_SAID[program]} | {' | '.join(_cell(cells[program, name]) for name in names)} |")
    return "\n".join(lines)


def _cell(rows: list[dict[str, Any]]) -> str:
    recovered, elsewhere, of = (sum(row[name] for row in rows) for name in ("recovered", "elsewhere", "acknowledged"))
    return f"{recovered} / {elsewhere} of {of}"


if __name__ == "__main__":
    sys.exit(main())
