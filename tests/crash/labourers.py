"""The programs of ``labour.py`` at work all at once, and what they were told until they ended."""

import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from tests.crash.judging import Said, Verdict, judge
from tests.crash.labour import PROGRAMS

_LABOUR = Path(__file__).parent / "labour.py"
_SECONDS_MAX = 100


class Labourer:
    """One program at work in ``folder``."""

    def __init__(self, program: str, folder: Path, seed: int, progress: threading.Condition) -> None:
        self.program, self.folder, self.seed = program, folder, seed
        self.heard: list[tuple[str, int, str]] = []
        self.has_ended = False
        self._progress = progress
        command = [sys.executable, str(_LABOUR), program, str(folder), str(seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            level, number, word = text.split()
            with self._progress:
                self.heard.append((level, int(number), word))
                self._progress.notify_all()
        with self._progress:
            self.has_ended = True
            self._progress.notify_all()

    def finish(self) -> None:
        """Wait for its end, which the death of the daemon brings about, be it by a signal (a mapping of a file)."""
        self._process.wait(_SECONDS_MAX)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def said(self, levels: Iterable[str]) -> Said:
        counted = [(number, word) for level, number, word in self.heard if level in levels]
        return Said(max((number for number, _ in counted), default=0), tuple(word for _, word in counted))


class Labourers:
    """Each of ``programs`` in a folder of its name below ``place``."""

    def __init__(self, place: Path, seed: int, programs: Iterable[str] = PROGRAMS) -> None:
        self._progress = threading.Condition()
        self.all = [Labourer(program, place / program, seed, self._progress) for program in programs]

    def wait_for(self, steps: int) -> None:
        """Until so many steps have returned, of all programs together."""
        with self._progress:
            reached = self._progress.wait_for(lambda: sum(len(one.heard) for one in self.all) >= steps, _SECONDS_MAX)
        assert reached, [(one.program, len(one.heard)) for one in self.all]

    def wait_for_one(self, program: str, steps: int) -> None:
        """Until that program's steps have returned, or it has ended, or it is as slow as that."""
        (one,) = [one for one in self.all if one.program == program]
        with self._progress:
            self._progress.wait_for(lambda: len(one.heard) >= steps or one.has_ended, _SECONDS_MAX)

    @property
    def steps(self) -> int:
        return sum(len(one.heard) for one in self.all)

    def finish(self) -> None:
        for one in self.all:
            one.finish()

    def verdicts(self, *levels: str) -> dict[str, Verdict]:
        """What is left of what each had been told at one of the levels, by program."""
        return {one.program: judge(one.program, one.folder, one.seed, one.said(levels)) for one in self.all}
