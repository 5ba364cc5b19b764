"""Count what each piece of work asks of an object store, between the mount and the store.

    python -m benchmarks.requests --store moto|ceph|URL [--system NAME ...] [--work TEXT ...] --json FILE
    python -m benchmarks.requests --report FILE ...        a Markdown table of what was kept

Needs root and FUSE; peers take part when they are named and installed.  ``ceph`` is the one whose directory
``VAULTAIREFS_TEST_CEPH`` names, or one of its own; a URL is asked with the keys in ``AWS_ACCESS_KEY_ID`` and
``AWS_SECRET_ACCESS_KEY``.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare.store import Store
from benchmarks.compare.store import store as ceph
from benchmarks.compare.systems import System
from benchmarks.requests.measuring import SYSTEMS, measure
from benchmarks.requests.report import MOUNT, table
from benchmarks.requests.works import WORKS
from tests.support import stores
from tests.support.counting_proxy import Counting, Counts, counting_proxy

Row = dict[str, Any]


def main() -> int:
    """The command."""
    chosen = _arguments()
    for path in chosen.report or ():
        kept = json.loads(path.read_text())
        print(f"{kept['circumstances']['store']}, {kept['circumstances']['date']}\n\n{table(kept['rows'])}")
    if chosen.report:
        return 0
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-requests-", dir=chosen.base))
    try:
        with standing(chosen.store, base) as server:
            works = [name for name in WORKS if not chosen.work or any(text in name for text in chosen.work)]
            rows = count(server, base, chosen.system or ["vaultairefs"], works)
    finally:
        shutil.rmtree(base)
    circumstances = {"store": chosen.store, "date": time.strftime("%Y-%m-%d", time.gmtime())}
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"circumstances": circumstances, "rows": rows}, indent=1) + "\n")
    print(table(rows))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="moto", help="moto, ceph, or the URL of a server")
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="default: ours")
    parser.add_argument("--work", action="append", metavar="TEXT", help="only works with this in their name")
    parser.add_argument("--base", type=Path, help="a directory on the disk to use")
    parser.add_argument("--json", type=Path, help="where the raw numbers go")
    parser.add_argument("--report", type=Path, nargs="+", help="make the table from these files instead")
    return parser.parse_args()


@contextlib.contextmanager
def standing(name: str, base: Path) -> Iterator[Store]:
    """The store of that name."""
    if name == "moto":
        with stores.moto() as server:
            yield Store(server.endpoint_url, server.access_key, server.secret_key)
    elif name == "ceph":
        directory = os.environ.get("VAULTAIREFS_TEST_CEPH")
        with ceph(Path(directory) if directory else None, base) as found:
            yield found
    else:
        yield Store(name, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def count(server: Store, base: Path, systems: list[str], works: list[str]) -> list[Row]:
    """A row for each system and work, and for what a mount costs at most."""
    counting = Counting()
    rows: list[Row] = []
    with counting_proxy(server.endpoint, counting) as endpoint:
        for name in systems:
            system = SYSTEMS[name](base, server._replace(endpoint=endpoint))
            system.bucket = f"requests-{name}-{os.getpid()}"
            rows += _count_on(system, works, counting)
    return rows


def _count_on(system: System, works: list[str], counting: Counting) -> list[Row]:
    rows: list[Row] = []
    mount = Counts(Counter(), 0, 0)
    try:
        for work in works:
            try:
                found = measure(system, WORKS[work], counting)
            except Exception as error:
                if system.name == "vaultairefs":
                    raise
                rows.append({"system": system.name, "work": work, "failure": str(error)})
                continue
            rows.append(_row(system, work, found.work))
            mount = max(mount, found.mount, key=lambda counts: counts.requests.total())
    finally:
        system.store.empty(system.bucket)
        system.store.client().delete_bucket(Bucket=system.bucket)
    return [*rows, _row(system, MOUNT, mount)]


def _row(system: System, work: str, counts: Counts) -> Row:
    requests = dict(sorted(counts.requests.items()))
    return {"system": system.name, "work": work, "requests": requests, "up": counts.up, "down": counts.down}


if __name__ == "__main__":
    sys.exit(main())
