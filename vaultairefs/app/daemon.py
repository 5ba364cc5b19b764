"""Become a daemon: fork, a ready pipe, and a watcher that clears a dead mount away.

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
from typing import Final, NoReturn

from vaultairefs.disk.mount_table import FILESYSTEM_TYPE, topmost
from vaultairefs.model.errors import BadInput, VaultaireError

Announce = Callable[[], None]
"""Called once by the daemon, when its mount answers."""

_SIGNALS_OF_THE_TERMINAL: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def start(run: Callable[[Announce], None], *, watched_mountpoint: str | None = None) -> None:
    """Fork a daemon that calls ``run`` and return once it has announced itself; ``BadInput`` when it cannot start.

    With ``watched_mountpoint`` a small second process stays behind as the daemon's parent: when the daemon is
    killed it detaches the dead mount, so that an automount can mount again at the next access.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        os.close(reader)
        _child(run, writer, watched_mountpoint)
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
    top = topmost(mountpoint)
    if top is None or top.filesystem_type != FILESYSTEM_TYPE:
        return False
    from vaultairefs.fuse import mounting  # only now: a watcher that has nothing to do stays small

    if not mounting.is_dead(mountpoint):
        return False
    mounting.unmount(mountpoint, lazy=True)
    return True


def sentence(error: BaseException) -> str:
    """What went wrong, for an operator."""
    if isinstance(error, VaultaireError):
        return str(error.args[0])
    return f"unexpected {type(error).__name__}: {error} (mount --foreground shows where)"


def _child(run: Callable[[Announce], None], writer: int, watched_mountpoint: str | None) -> NoReturn:
    status = 1
    try:
        _close_what_others_left_open()
        if watched_mountpoint is not None:
            _stay_behind_as_watcher(watched_mountpoint, writer)
        _point_at_null(0)
        announced = False

        def announce() -> None:
            nonlocal announced
            announced = True
            os.setsid()
            os.chdir("/")
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


def _stay_behind_as_watcher(mountpoint: str, writer: int) -> None:
    """Returns in a new child, the daemon to be; this process waits for it and never returns."""
    child = os.fork()
    if child == 0:
        return
    try:
        os.close(writer)
        os.chdir("/")
        _point_at_null(0, 1, 2)
        for number in _SIGNALS_OF_THE_TERMINAL:
            signal.signal(number, signal.SIG_IGN)
        _, status = os.waitpid(child, 0)
        if status != 0:
            clear_dead_mount(mountpoint)
    finally:
        os._exit(0)


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
