"""``python -m tests.simulation.run A:B``: live the histories of the seeds A to B-1 (or of one seed A), one by one.

Each line of its output is a seed and the digest of everything that happened in it.  The first history in which a
promise is broken is told with the end of its trace, and the command that lives it again; exit status 1.

Bytes hash the same in every such process (PYTHONHASHSEED=0), so that a seed is the same history everywhere.
"""

import argparse
import gc
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Final

from tests.simulation.life import Simulation

_TRACE_LINES: Final = 120
_SECONDS_MAX: Final = 30
"""Of processor time: a history without an end."""


def main() -> int:
    """See the module's text."""
    if sys.flags.hash_randomization:
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.simulation.run", *sys.argv[1:]], {"PYTHONHASHSEED": "0"}
        )
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description="seeded simulation")
    parser.add_argument("seeds", help="A or A:B")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    parser.add_argument("--go-on", action="store_true", help="live the others, too, after a promise was broken")
    parser.add_argument("--plant", metavar="FAULT", help="plant a fault in each (plants.py)")
    given = parser.parse_args()
    first, _, behind = given.seeds.partition(":")
    gc.disable()
    broken = 0
    for seed in range(int(first), int(behind) if behind else int(first) + 1):
        broken += not live(seed, given.plant, tells_all=given.trace)
        if broken and not given.go_on:
            break
        if seed % 20 == 0:
            gc.collect()
    return 1 if broken else 0


def live(seed: int, fault: str | None, *, tells_all: bool) -> bool:
    """One history, in a directory of its own; whether all promises were kept."""
    directory = Path(tempfile.mkdtemp(prefix="simulation-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    simulation = Simulation(seed, directory, fault)
    signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS_MAX)
    try:
        simulation.run()
    except BaseException as error:
        tell_failure(seed, simulation.trace, error, tells_all=tells_all)
        return False
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        shutil.rmtree(directory, ignore_errors=True)
    if tells_all:
        print("\n".join(simulation.trace))
    digest = hashlib.sha256("\n".join(simulation.trace).encode()).hexdigest()[:16]
    print(f"{seed} {digest} kills={simulation.machine.kills} steps={simulation.machine.steps}", flush=True)
    return True


def tell_failure(seed: int, trace: list[str], error: BaseException, *, tells_all: bool) -> None:
    """What broke, what came before it, and how to see it again."""
    print("\n".join(trace if tells_all else trace[-_TRACE_LINES:]))
    traceback.print_exception(error)
    print(f"seed {seed} breaks a promise: {error!r}")
    print(f"again, with everything told: python -m tests.simulation.run {seed} --trace", flush=True)


def _too_long(*_: object) -> None:
    raise AssertionError(f"no end after {_SECONDS_MAX} s")


if __name__ == "__main__":
    sys.exit(main())
