"""Run a program, kill it with SIGKILL in the middle of its work, and hear what it had acknowledged."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def acknowledged_before_kill(program: str, *arguments: object, lines: int) -> list[str]:
    """Run Python source ``program`` until it has written ``lines`` lines, kill it, return all lines it wrote.

    The program must flush each line when what it speaks of is done, and must not end by itself.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout as stream:
        heard = []
        for line in stream:
            heard.append(line)
            if len(heard) == lines:
                child.kill()
        status = child.wait()
    assert len(heard) >= lines, "the program ended early"
    assert status == -9
    return [line.rstrip("\n") for line in heard if line.endswith("\n")]
