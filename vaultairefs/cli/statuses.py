"""``vaultairefs status``: the daemon's own account, as it is or for people."""

import json
from pathlib import Path

from vaultairefs.cli import locating
from vaultairefs.cli.text import duration_text, size_text
from vaultairefs.control import client
from vaultairefs.control.protocol import Message
from vaultairefs.model.errors import Unavailable

_SECONDS_MAX = 30.0
_SIZES = frozenset(
    {"dirty_bytes", "inflight_bytes", "bytes_uploaded", "bytes_downloaded", "cached_bytes", "buffer_size"}
)


def show_status(directory: Path | None, *, as_json: bool) -> None:
    """Print the status of one volume, or of all; ``Unavailable`` when the one's daemon is gone."""
    if directory is not None:
        status = _status_of(locating.volume_at(directory))
        print(json.dumps(status, indent=2) if as_json else _for_people(status))
        return
    found = []
    for located in locating.all_volumes():
        try:
            found.append(_status_of(located))
        except Unavailable as error:
            found.append(
                {"mount": located.mountpoint, "state_dir": str(located.state_directory), "error": error.args[0]}
            )
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print("\n\n".join(map(_for_people, found)) or "no vaultairefs volume is mounted here")


def _status_of(located: locating.Located) -> Message:
    try:
        status = client.ask(located.state_directory, "status", timeout_seconds=_SECONDS_MAX)
    except Unavailable as error:
        raise Unavailable(
            f"the daemon of {located.mountpoint} is gone; `vaultairefs umount {located.mountpoint}` clears its mount "
            f"away, and the next mount goes on with what {located.state_directory} holds"
        ) from error
    status.pop("done")
    return status


def _for_people(status: Message) -> str:
    width = max(map(len, status))
    return "\n".join(f"{name:<{width}}  {_value_text(name, value)}" for name, value in status.items())


def _value_text(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value_text(key, inner)}" for key, inner in value.items()) or "-"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    if name in _SIZES and isinstance(value, int):
        return size_text(value)
    if name.endswith("_s") and isinstance(value, int | float):
        return duration_text(value)
    return "-" if value is None or value == "" else str(value)
