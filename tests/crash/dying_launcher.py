"""The ``vaultairefs`` program that dies by itself: ``python dying_launcher.py CALLS ARGUMENTS...``

Whichever process of it makes the CALLS-th system call that changes something on the disk ends right before it as
``kill -9`` ends it.  While a mount recovers these are its calls, one after the other, so a number is a place in there.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])

CHANGING = ("write", "pwrite", "fsync", "fdatasync", "rename", "replace", "unlink", "ftruncate", "mkdir", "open")


def count_down(calls: int) -> None:
    left = calls

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in CHANGING:
        original = getattr(os, name)
        stand_in = counted(original)
        for able in (os.supports_dir_fd, os.supports_follow_symlinks):
            if original in able:
                able.add(stand_in)
        setattr(os, name, stand_in)


def main() -> None:
    calls = int(sys.argv.pop(1))
    from vaultairefs.cli import main as program

    count_down(calls)
    program()


if __name__ == "__main__":
    main()
