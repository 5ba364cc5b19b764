"""The program that works while the daemon is killed: runs a history and says what has begun and what returned.

``python writer.py FOLDER SEED``: writes ``b`` before each step and ``d`` after it to standard output, until a system
call fails, which is what the death of the daemon looks like from here.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.crash.history import Model, Runner, history


def main(folder: Path, seed: int) -> None:
    folder.mkdir()
    model, runner = Model(), Runner(folder)
    for step in history(seed, model):
        os.write(1, b"b")
        try:
            runner.run(step)
        except OSError as error:
            os.write(2, f"{step.verb}: {error}\n".encode())
            return
        os.write(1, b"d")
        model.apply(step)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
