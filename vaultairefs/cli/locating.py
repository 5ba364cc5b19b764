"""From a path that an operator names to the state directory and daemon of its volume."""

import os
import select
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from vaultairefs.config import environment
from vaultairefs.control import client, mounts
from vaultairefs.disk.mount_table import KernelMount, kernel_mounts
from vaultairefs.model.errors import BadInput, Unavailable


class Located(NamedTuple):
    """A mounted volume and where its daemon listens."""

    mountpoint: str
    state_directory: Path


def volume_at(directory: Path) -> Located:
    """The volume mounted at ``directory``; ``BadInput`` when there is none or its daemon never registered."""
    return _located(mounts.mount_at(directory))


def volume_containing(path: Path) -> Located:
    """The volume that ``path`` lies in; ``BadInput`` when there is none."""
    return _located(mounts.mount_containing(path))


def _located(mount: KernelMount) -> Located:
    record = mounts.record_of(mount, environment.runtime_directories())
    if record is None:
        raise BadInput(f"the daemon of {mount.mountpoint} is not known on this machine or to this user")
    return Located(mount.mountpoint, Path(record.state_dir))


def all_volumes() -> list[Located]:
    """Every mounted volume that is registered, in the order of mounting."""
    found = []
    directories = environment.runtime_directories()
    for mount in kernel_mounts():
        record = mounts.record_of(mount, directories)
        if record is not None:
            found.append(Located(mount.mountpoint, Path(record.state_dir)))
    return found


def state_directory_of(directory: Path) -> Path:
    """The state directory of a mounted volume; a state directory stands for itself."""
    try:
        if (directory / "identity.json").is_file() and (directory / "events").is_dir():
            return directory
    except OSError as error:
        raise BadInput(f"{directory}: {error.strerror}") from error
    return volume_at(directory).state_directory


class Process:
    """A hold on a volume's daemon that shows when it has ended; taken before the mount goes away."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def of(cls, located: Located) -> "Process":
        """``Unavailable`` when no daemon listens there (the listener's pid: SO_PEERCRED, unix(7))."""
        with client.connect(located.state_directory) as link:
            credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid, _, _ = struct.unpack("3i", credentials)
            try:
                return cls(os.pidfd_open(pid))
            except OSError as error:
                raise Unavailable(f"the daemon of {located.mountpoint} has ended") from error

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it ended within ``seconds`` (None: however long it takes)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(None if seconds is None else max(seconds, 0) * 1000))
