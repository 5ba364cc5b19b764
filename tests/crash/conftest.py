"""Daemons that can be killed, and the writers that work meanwhile."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import workshop

WRITER = Path(__file__).parent / "writer.py"


class Writer:
    """A writer process; ``begun`` and ``done`` count its steps as they are reported."""

    def __init__(self, folder: Path, seed: int, progress: threading.Condition) -> None:
        self.folder = folder
        self.seed = seed
        self.begun = 0
        self.done = 0
        self._progress = progress
        command = [sys.executable, str(WRITER), str(folder), str(seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while report := self._process.stdout.read(4096):
            with self._progress:
                self.begun += report.count(b"b")
                self.done += report.count(b"d")
                self._progress.notify_all()

    def finish(self) -> str:
        """Wait for the end of the process; returns the failure that ended it."""
        self._reader.join()
        assert self._process.stderr is not None
        words = self._process.stderr.read().decode()
        self._process.stderr.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert self._process.wait() == 0, words
        return words


class Crew:
    """Several writers at the same time, each in a folder of its own below ``place``."""

    def __init__(self, place: Path, seeds: range) -> None:
        self._progress = threading.Condition()
        self.writers = [Writer(place / f"writer{seed}", seed, self._progress) for seed in seeds]

    def wait_for(self, steps: int, seconds_max: float = 60) -> None:
        """Until so many steps have returned, all writers together."""
        with self._progress:
            reached = self._progress.wait_for(lambda: sum(w.done for w in self.writers) >= steps, seconds_max)
        assert reached, [(w.begun, w.done) for w in self.writers]

    def finish(self) -> None:
        for writer in self.writers:
            writer.finish()


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        yield folder
