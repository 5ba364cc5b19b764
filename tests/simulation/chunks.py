"""Some seeds of the simulation in a process of their own, for the tests of this folder."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_SECONDS_MAX: Final = 540
_SHOWN_CHARACTERS: Final = 20_000


def lived(seeds: str, *options: str) -> list[str]:
    """A line for each seed (``run.py``); fails with what broke, and how to live it again."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.run", seeds, *options],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
    )
    assert done.returncode == 0, f"{done.stdout[-_SHOWN_CHARACTERS:]}{done.stderr[-_SHOWN_CHARACTERS:]}"
    return done.stdout.splitlines()
