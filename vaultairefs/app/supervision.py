"""What a start by the supervisor is: when to heal a dead mount, when to leave it, when to give up.

Promise: only a dead mount of ours is touched; programs are shown the dead one until the new one takes its place,
never the empty directory below; nothing is started where somebody else has seen to the mount, where an automount
will, or where daemons die one after the other.
"""

import os
import sys
from collections.abc import Callable
from typing import Final, NamedTuple, Self

from vaultairefs.app import supervisor
from vaultairefs.disk.mount_table import FILESYSTEM_TYPE, kernel_mounts, topmost
from vaultairefs.model.errors import BadInput

DEATHS_MAX: Final = 10
"""So many daemons that died within ten seconds of their start, one after the other, and nobody is started any more."""


class Restart(NamedTuple):
    """The start number ``number`` after the first; ``deaths`` daemons in a row died young, the last one of ``why``."""

    number: int
    deaths: int
    why: str

    @classmethod
    def of(cls, text: str) -> Self:
        """What ``supervisor.py`` says; ``BadInput`` for anything else."""
        number, _, rest = text.partition(":")
        deaths, _, why = rest.partition(":")
        if not (number.isdigit() and deaths.isdigit()):
            raise BadInput("--restarted is for the supervisor only")
        return cls(int(number), int(deaths), why)


class Supervision(NamedTuple):
    """For ``status``: the supervisor's pid (0: none) and how often it started the daemon anew."""

    pid: int = 0
    restarts: int = 0

    def living_pid(self) -> int | None:
        """The supervisor's pid while it lives: a daemon whose parent died has another one."""
        return self.pid if self.pid and os.getppid() == self.pid else None


def command_of(spec: str, mountpoint: str, words: list[str]) -> list[str]:
    """The command that mounts the same again; independent of PATH and of the working directory."""
    program = [sys.executable, "-P", "-c", "from vaultairefs.cli import main; main()"]
    options = [word for option in words for word in ("-o", _escaped(option))]
    return [*program, "mount", spec, mountpoint, *options]


def become_supervisor(pid: int, command: list[str]) -> None:
    """Go on as the supervisor of the child ``pid``; returns never, unless the interpreter cannot be run."""
    path = os.path.abspath(supervisor.__file__)
    os.execv(sys.executable, [sys.executable, "-I", "-S", path, str(pid), *command])


def is_to_heal(mountpoint: str) -> bool:
    """Whether a dead mount of ours is what programs find, so that it is ours to put another one there."""
    top = topmost(mountpoint)
    if top is None or top.filesystem_type != FILESYSTEM_TYPE:
        return False
    from vaultairefs.fuse import mounting

    return mounting.is_dead(mountpoint)


def is_automounted(mountpoint: str) -> bool:
    """Whether an automount lies below: it mounts again at the next access, once the dead mount is gone."""
    return any(mount.mountpoint == mountpoint and mount.filesystem_type == "autofs" for mount in kernel_mounts())


def reason_to_leave(restart: Restart, mountpoint: str, is_automounted: Callable[[str], bool]) -> str | None:
    """Why a dead mount is only taken away, in a sentence; None when it is to be mounted again."""
    if is_automounted(mountpoint):
        return "the automount mounts again at the next access"
    if restart.deaths > DEATHS_MAX:
        return (
            f"{restart.deaths} daemons died within {supervisor.QUICK_SECONDS:.0f} s of their start, the last one was "
            f"{restart.why}: nobody is started any more, and what they left is kept in the state directory"
        )
    return None


def _escaped(option: str) -> str:
    """One option as a text for ``-o``."""
    return option.replace("\\", "\\\\").replace(",", "\\,")
