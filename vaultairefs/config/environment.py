"""The process environment and the standard directories.

Promise: the only module that reads ``os.environ``.  Mount helpers run without HOME and PATH, so every answer has
a fallback that needs neither.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

PREFIX: Final = "VAULTAIREFS_"
"""``VAULTAIREFS_SYNC=stored`` is the default of ``-o sync=`` for every mount of that environment."""

SYSTEM_STATE: Final = Path("/var/lib/vaultairefs")
SYSTEM_RUNTIME: Final = Path("/run/vaultairefs")


def default_of(option: str) -> str | None:
    """What the environment says of an option, for those who must know before the settings are read."""
    return os.environ.get(PREFIX + option.upper())


class ServiceManager(NamedTuple):
    """What systemd told this process (sd_notify(3), sd_watchdog_enabled(3)); empty without a service manager."""

    notify_socket: str
    watchdog_seconds: float


def service_manager() -> ServiceManager:
    """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; a watchdog meant for another process is none."""
    watchdog = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    seconds = int(watchdog) / 1e6 if for_us and watchdog.isdigit() else 0.0
    return ServiceManager(os.environ.get("NOTIFY_SOCKET", ""), seconds)


def state_home() -> Path:
    """Where state directories live unless ``-o state=`` says otherwise."""
    if os.geteuid() == 0:
        return SYSTEM_STATE
    import platformdirs

    return platformdirs.user_state_path("vaultairefs")


def runtime_directory() -> Path:
    """Where this user's running mounts are registered; not created here."""
    if os.geteuid() == 0:
        return SYSTEM_RUNTIME
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and Path(given).is_dir():
        return Path(given) / "vaultairefs"
    usual = Path(f"/run/user/{os.geteuid()}")
    return usual / "vaultairefs" if usual.is_dir() else state_home() / "run"


def runtime_directories() -> list[Path]:
    """Every registry this user may look into: the own one, the system's, and for root every user's."""
    found = [runtime_directory()]
    if SYSTEM_RUNTIME not in found:
        found.append(SYSTEM_RUNTIME)
    elif os.geteuid() == 0:
        found += sorted(Path("/run/user").glob("*/vaultairefs"))
    return found
