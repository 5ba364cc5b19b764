"""The program of an engine worker: ``python -m vaultairefs.app.worker``, begun by a daemon and by nobody else.

Its standard input is a socket to the daemon, its standard error the daemon's log (engine/worker_process.py).

Promise: it ends with its daemon, however that ends, and by nothing that is meant for the daemon: a service manager's
SIGTERM and a terminal's SIGINT are the daemon's to obey, which still needs it for draining.
"""

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import trio

from vaultairefs.app import logs
from vaultairefs.engine.worker_serving import serve
from vaultairefs.engine.worker_wire import Wire

COMMAND: Final = (sys.executable, "-P", "-m", "vaultairefs.app.worker")
"""``-P``: modules are never looked for in the directory that a daemon happens to be started in."""

_OOM_SCORE_MORE: Final = 300
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Serve the daemon at the other end of standard input."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _go_first_when_memory_ends()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # what the engine may start has no hold on the socket
    os.close(null)
    logs.configure("json", to_stderr=True)
    trio.run(_serve, end)


def _go_first_when_memory_ends() -> None:
    """Before the daemon: another worker costs a moment, another daemon a mount (proc_pid_oom_score_adj(5))."""
    path = Path("/proc/self/oom_score_adj")
    path.write_text(str(min(int(path.read_text()) + _OOM_SCORE_MORE, 1000)))


async def _serve(end: socket.socket) -> None:
    await serve(Wire(end))


if __name__ == "__main__":
    main()
