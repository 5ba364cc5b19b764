"""The directory in which one volume keeps its state, owned by one daemon at a time.

Promise: one daemon per directory; a directory of another engine or a newer format is refused untouched; after a
crash it says whether the page cache survived; what is quarantined stays.  What the rooms write into their
sub-directories is their own affair.
"""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path
from typing import Final, Self

import msgspec

from vaultairefs.disk.durable import replace_file, sync_directory, sync_filesystem, unlink
from vaultairefs.disk.machine import MachineIdentity, identify
from vaultairefs.disk.os_errors import translated
from vaultairefs.disk.quarantine import Quarantine, QuarantineReport
from vaultairefs.disk.spreading import spread_subdirectories
from vaultairefs.model.errors import BadInput, VaultaireError

FORMAT_VERSION: Final = 1
_BODIES: Final = "bodies"
_ROOMS: Final = ("journal", _BODIES, "events", "quarantine")
_IDENTITY: Final = "identity.json"
_MACHINE: Final = "machine.json"
_CLEAN: Final = "clean"
_LOCK: Final = "lock"


class Identity(msgspec.Struct, frozen=True):
    """What a state directory belongs to; ``mount_id`` is 8 hex digits, drawn once for its life."""

    format_version: int
    engine: str
    mount_id: str


class StateDirectory:
    """An open, locked state directory.  Made by ``open`` only."""

    def __init__(self, path: Path, lock_fd: int, identity: Identity) -> None:
        self._path = path
        self._lock_fd = lock_fd
        self._identity = identity
        self._machine = identify(path)
        self._previous = _read_machine(path)
        self._was_clean = (path / _CLEAN).exists()
        self._quarantine = Quarantine(path / "quarantine")
        self._recovered = False

    @classmethod
    def open(cls, path: str | os.PathLike[str], engine_identity: str) -> Self:
        """Lock the directory, creating it (mode 0700) where it is missing.

        ``BadInput`` with one sentence when another daemon has it, when it belongs to another engine or a newer
        format, or when it cannot be created.  Whatever of ours is inside is not changed by a refusal.
        """
        directory = Path(path).absolute()
        try:
            _make_directories(directory)
            lock_fd = _lock(directory)
        except VaultaireError as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"The state directory {directory} cannot be used: {error.args[0]}") from error
        try:
            state = cls(directory, lock_fd, _settle_identity(directory, engine_identity))
            if not state.power_was_cut:
                state.recovered()
            # Durably, before anything changes: a clean flag that outlived a crash would be believed.
            unlink(directory / _CLEAN, missing_ok=True, durable=True)
        except BaseException:
            os.close(lock_fd)
            raise
        return state

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> Self:
        """Like ``open`` for whatever engine the directory belongs to; ``BadInput`` where none is."""
        directory = Path(path).absolute()
        if not (directory / _IDENTITY).is_file():
            raise BadInput(f"{directory} is not a state directory of vaultairefs")
        with translated("open"):
            identity = _decode_identity(directory / _IDENTITY, (directory / _IDENTITY).read_bytes())
        return cls.open(directory, identity.engine)

    @property
    def engine(self) -> str:
        """The identity of the engine that the directory belongs to."""
        return self._identity.engine

    @property
    def was_clean(self) -> bool:
        """Whether the last daemon ended as it should: close with that where nothing was changed."""
        return self._was_clean

    @property
    def path(self) -> Path:
        """The directory itself, absolute."""
        return self._path

    @property
    def mount_id(self) -> str:
        """8 hex digits that name this state directory to others, the same for its whole life."""
        return self._identity.mount_id

    @property
    def machine(self) -> MachineIdentity:
        """Where we run now."""
        return self._machine

    @property
    def previous_machine(self) -> MachineIdentity | None:
        """Where the last daemon ran that finished its recovery here; None at first."""
        return self._previous

    @property
    def power_was_cut(self) -> bool:
        """Whether page-cache contents may have been lost since the last daemon: another boot, or another
        filesystem, after a shutdown that was not clean.  Stays true for later lives until one calls ``recovered``."""
        return self._previous is not None and self._previous != self._machine and not self._was_clean

    def recovered(self) -> None:
        """Say that recovery is complete *and durable* (blocking).

        Until then a crash leaves the last daemon's identity in place, so that the next one is as careful again.
        """
        if not self._recovered:
            if self._previous != self._machine:
                replace_file(self._path / _MACHINE, msgspec.json.encode(self._machine))
            self._recovered = True

    def quarantine(self, name: str, content: bytes | str | os.PathLike[str], reason: str) -> Path:
        """Keep bytes, or move the file at a path, for a human to look at; durable.  See ``Quarantine.keep``."""
        return self._quarantine.keep(name, content, reason)

    @property
    def kept(self) -> Quarantine:
        """The quarantine itself."""
        return self._quarantine

    def quarantined(self) -> list[QuarantineReport]:
        """Everything kept so far."""
        return self._quarantine.reports()

    def close(self, clean: bool) -> None:
        """Unlock (blocking).  ``clean``: everything is as it should be; then the whole filesystem is synced and
        the next ``open`` trusts what it finds, whatever happened to the machine meanwhile."""
        if self._lock_fd < 0:
            return
        try:
            if clean:
                sync_filesystem(self._lock_fd)
                self.recovered()
                replace_file(self._path / _CLEAN, b"")
        finally:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _make_directories(directory: Path) -> None:
    """Create what is missing, durably; a parent that was there before need not even be readable to us."""
    with translated("mkdir"):
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        missing = [*reversed(missing), *(path for room in _ROOMS if not (path := directory / room).exists())]
        for path in missing:
            path.mkdir(mode=0o700, exist_ok=True)
    _spread(directory / _BODIES)
    for parent in dict.fromkeys(path.parent for path in missing):
        sync_directory(parent)


def _spread(directory: Path) -> None:
    with translated("open"):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        spread_subdirectories(fd)
    finally:
        os.close(fd)


def _lock(directory: Path) -> int:
    """Take the lock and write our pid into it, for those who find it taken."""
    with translated("lock"):
        fd = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise BadInput(f"The state directory {directory} is in use by another daemon (pid {owner}).") from error
        except BaseException:
            os.close(fd)
            raise
    return fd


def is_locked(directory: Path) -> bool:
    """Whether a daemon has the directory now; it may be another one, or none, at the next moment."""
    with translated("lock"):
        try:
            fd = os.open(directory / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


def _settle_identity(directory: Path, engine: str) -> Identity:
    """The identity found, or a new one written; ``BadInput`` when it is not ours to use."""
    path = directory / _IDENTITY
    with translated("open"), contextlib.suppress(FileNotFoundError):
        found = _decode_identity(path, path.read_bytes())
        if found.format_version > FORMAT_VERSION:
            raise BadInput(f"The state directory {directory} was written by a newer version of vaultairefs.")
        if found.engine != engine:
            raise BadInput(f"The state directory {directory} belongs to {found.engine}, not to {engine}.")
        return found
    if any((directory / "journal").iterdir()):
        raise BadInput(f"The state directory {directory} has a journal but no {_IDENTITY}: it may be damaged.")
    identity = Identity(FORMAT_VERSION, engine, secrets.token_hex(4))
    replace_file(path, msgspec.json.format(msgspec.json.encode(identity)) + b"\n")
    return identity


def _decode_identity(path: Path, data: bytes) -> Identity:
    try:
        return msgspec.json.decode(data, type=Identity)
    except msgspec.DecodeError as error:
        raise BadInput(f"The file {path} is damaged: {error}.") from error


def _read_machine(directory: Path) -> MachineIdentity | None:
    """The stored identity; one that is lost or unreadable counts as another machine, which is the careful answer."""
    unknown = MachineIdentity("", "")
    with translated("open"):
        try:
            return msgspec.json.decode((directory / _MACHINE).read_bytes(), type=MachineIdentity)
        except msgspec.DecodeError:
            return unknown
        except FileNotFoundError:
            return unknown if any((directory / "journal").iterdir()) else None
