"""The daemon's small parent: waits, and starts it anew when it was killed.

Run by path in an interpreter without site-packages, so that it holds a few megabytes and nothing of ours:
``python -I -S supervisor.py PID WORD...``; PID is its child already, WORDs are the command that starts another one.
What there is to decide (is the mount still dead, how often is too often) the command decides, in ``supervision.py``:
it is told ``--restarted NUMBER:DEATHS:WHY`` and ends with 0 when it is not to be started again.

Promise: it starts nothing while its child lives, reaps every child, and hands SIGTERM on to the child and then ends
with it.  A child that ends before it has said SIGUSR1, at its first start, is the mounting program's affair.
"""

import os
import signal
import sys
import time

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""Blocked in the supervisor, which waits for them; its children unblock them."""

QUICK_SECONDS = 10.0
"""A daemon that lived for longer has recovered: what kills it then is counted from one again."""

GRACE_SECONDS = 0.5
"""Before each start: whoever killed the daemon on purpose may take the mount away himself."""

PATIENT_DEATHS = 5
"""So many deaths in a row cost no more than the grace; each further one doubles the pause."""

PAUSE_SECONDS_MAX = 60.0
REFUSED = 75
"""The exit status of a start that failed and may succeed later (EX_TEMPFAIL of sysexits.h)."""


def wait_for_end(pid: int, must_announce: bool) -> "tuple[int, bool]":
    """The wait status of the child, and whether nobody is to be started any more."""
    is_ending, has_announced = False, not must_announce
    while True:
        number = signal.sigwaitinfo(SIGNALS).si_signo
        if number == signal.SIGTERM:
            is_ending = True
            os.kill(pid, signal.SIGTERM)  # not reaped yet, so the number is still the child's
        elif number == signal.SIGUSR1:
            has_announced = True
        elif number == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status, is_ending or not has_announced


def pause(seconds: float) -> bool:
    """Whether nobody asked for the end meanwhile."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        found = signal.sigtimedwait(SIGNALS, left)
        if found is not None and found.si_signo == signal.SIGTERM:
            return False
    return True


def spawn(command: "list[str]") -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.execv(command[0], command)
    finally:
        os._exit(REFUSED)


def words_of(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"ended with status {os.WEXITSTATUS(status)}"


def main(pid: int, command: "list[str]") -> None:
    restarts = deaths = refusals = 0
    why = ""
    must_announce = True
    while True:
        started = time.monotonic()
        status, is_over = wait_for_end(pid, must_announce)
        if is_over or status == 0:
            return
        must_announce = False
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == REFUSED:
            refusals += 1
        else:
            deaths = deaths + 1 if time.monotonic() - started < QUICK_SECONDS else 1
            refusals, why = 0, words_of(status)
        restarts += 1
        setbacks = max(deaths - PATIENT_DEATHS, 0) + refusals
        if not pause(min(GRACE_SECONDS * 2.0 ** min(setbacks, 10), PAUSE_SECONDS_MAX)):
            return
        pid = spawn([*command, "--restarted", f"{restarts}:{deaths}:{why}"])


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    main(int(sys.argv[1]), sys.argv[2:])
