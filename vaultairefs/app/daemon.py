"""Become a daemon: fork, a ready pipe, and a small parent that starts it anew when it is killed.

The order is that of FACTS §7: no ``setsid`` before the mount answers (behind a systemd automount only processes of
the service manager's own group may look up the mount point, and a daemon in a new session would wait for itself);
then ``setsid``, tell the parent, let go of its stdout and stderr (mount(8)'s callers wait for their end of file).

Promise: ``start`` returns when the mount answers and raises ``BadInput`` with the daemon's own sentence when it does
not; the daemon never returns into the caller's code.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from vaultairefs.app import supervision, supervisor
from vaultairefs.model.errors import BadInput, VaultaireError

Announce = Callable[[], None]
"""Called once by the daemon, when its mount answers."""


def start(run: Callable[[Announce], None], *, again: list[str] | None = None) -> None:
    """Fork a daemon that calls ``run`` and return once it has announced itself; ``BadInput`` when it cannot start.

    With ``again`` a small second process stays behind as the daemon's parent: when the daemon is killed it runs that
    command, with words of its own behind it (``supervisor.py``).
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        os.close(reader)
        _child(run, writer, again)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read()
    if not message:
        raise BadInput("the daemon died during its start")
    error = json.loads(message).get("error")
    if error:
        raise BadInput(error)


def clear_dead_mount(mountpoint: str) -> bool:
    """Detach a vaultairefs mount whose daemon is gone; False when there is none.

    The mount table is read first: a lookup of the path alone could trigger an automount, and a blind unmount would
    take the autofs away.
    """
    if not supervision.is_to_heal(mountpoint):
        return False
    from vaultairefs.fuse import mounting  # only now: most callers find nothing to clear away

    mounting.unmount(mountpoint, lazy=True)
    return True


def sentence(error: BaseException) -> str:
    """What went wrong, for an operator."""
    if isinstance(error, VaultaireError):
        return str(error.args[0])
    return f"unexpected {type(error).__name__}: {error} (mount --foreground shows where)"


def resume(run: Callable[[Announce], None]) -> None:
    """Be the daemon in this very process, which the supervisor started.  Errors as those of ``run``."""
    _close_what_others_left_open()
    _point_at_null(0, 1, 2)

    def announce() -> None:
        os.setsid()
        os.chdir("/")

    run(announce)


def _child(run: Callable[[Announce], None], writer: int, again: list[str] | None) -> NoReturn:
    status = 1
    try:
        _close_what_others_left_open()
        if again is not None:
            _leave_a_parent_behind(again, writer)
        _point_at_null(0)
        announced = False

        def announce() -> None:
            nonlocal announced
            announced = True
            os.setsid()
            os.chdir("/")
            if again is not None:
                os.kill(os.getppid(), signal.SIGUSR1)
            os.write(writer, b'{"ready": true}')
            os.close(writer)
            _point_at_null(1, 2)

        try:
            run(announce)
            status = 0
        except BaseException as error:
            if not announced:
                os.write(writer, json.dumps({"error": sentence(error)}).encode())
    finally:
        os._exit(status)


def _leave_a_parent_behind(again: list[str], writer: int) -> None:
    """Returns in a new child, the daemon to be; this process becomes its supervisor and never returns."""
    signal.pthread_sigmask(signal.SIG_BLOCK, supervisor.SIGNALS)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, supervisor.SIGNALS)
        return
    try:
        os.close(writer)
        os.chdir("/")
        _point_at_null(0, 1, 2)
        supervision.become_supervisor(child, again)
    finally:
        os._exit(1)


def _close_what_others_left_open() -> None:
    """Descriptors that came with exec(2): a pipe or lock of the caller would live as long as the daemon."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            if descriptor > 2 and os.get_inheritable(descriptor):
                os.close(descriptor)
        except OSError:
            continue  # the descriptor of this very listing is closed by now


def _point_at_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)
