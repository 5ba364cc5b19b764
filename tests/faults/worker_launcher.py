"""The ``vaultairefs`` program with an engine worker that can be held up: ``python worker_launcher.py FOLDER ...``

With ARGUMENTS it is the program, whose workers are this file with the word ``worker``.  In a worker

* while ``FOLDER/slow`` is there, each put of the local engine waits before it changes anything, and says so by making
  ``FOLDER/waits``;
* while ``FOLDER/undying`` is there, the worker does not end with its daemon, as one that hangs in the kernel would not.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

sys.path[0] = str(Path(__file__).parents[2])

_LOOK_SECONDS = 0.005


def hold_up_puts(folder: Path) -> None:
    from vaultairefs.engine.local_artifacts import LocalArtifacts

    put = LocalArtifacts.put

    def slow_put(self: LocalArtifacts, *arguments: Any) -> Any:
        while (folder / "slow").exists():
            (folder / "waits").touch()
            time.sleep(_LOOK_SECONDS)
        return put(self, *arguments)

    LocalArtifacts.put = slow_put  # type: ignore[method-assign]


def outlive_the_daemon(folder: Path) -> None:
    """Threads go on with what they were doing, and only when that is done the process ends."""
    import ctypes

    from vaultairefs.engine import worker_serving

    class Nothing:
        def prctl(self, *arguments: int) -> int:
            return 0

    class Os:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def _exit(self, status: int) -> NoReturn:
            (folder / "orphaned").touch()
            while (folder / "undying").exists():
                time.sleep(_LOOK_SECONDS)
            os._exit(status)

    ctypes.CDLL = lambda name: Nothing()  # type: ignore[assignment,misc]
    worker_serving.os = Os()  # type: ignore[assignment]


def main() -> None:
    folder = Path(sys.argv.pop(1))
    if sys.argv[1:] == ["worker"]:
        from vaultairefs.app import worker

        hold_up_puts(folder)
        if (folder / "undying").exists():
            outlive_the_daemon(folder)
        worker.main()
        return
    from vaultairefs.app import build
    from vaultairefs.cli import main as program

    build.WORKER_COMMAND = (sys.executable, __file__, str(folder), "worker")  # type: ignore[assignment]
    program()


if __name__ == "__main__":
    main()
