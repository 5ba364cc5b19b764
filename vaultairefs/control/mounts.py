"""Which volumes are mounted here, and which state directory and process belong to each.

Two sources.  ``/proc/self/mountinfo`` says what is mounted (the last line of a mount point is what a program sees).
The *registry* says whose it is: each daemon writes ``<state id>.json`` into ``/run/vaultairefs`` (root) or
``$XDG_RUNTIME_DIR/vaultairefs`` (else) once its mount answers, and removes it when it ends well::

    {"mount": "/mnt/x", "device": "0:53", "engine": "file:///srv/x", "tenant": "", "state_dir": "...", "pid": 4711}

A record belongs to a mount when mount point *and* device number agree, so a leftover of a killed daemon is never
taken for a later mount.  The registry is a hint and holds no secret; root looks into every user's.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vaultairefs.disk import durable, mount_table
from vaultairefs.disk.mount_table import FILESYSTEM_TYPE, KernelMount
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import BadInput


class MountRecord(NamedTuple):
    """A registered mount."""

    mount: str
    device: str
    engine: str
    tenant: str
    state_dir: str
    pid: int


def mount_at(path: Path) -> KernelMount:
    """The volume mounted at exactly ``path``; ``BadInput`` when there is none."""
    real = os.path.realpath(path)
    found = mount_table.topmost(real)
    if found is None or found.filesystem_type != FILESYSTEM_TYPE:
        raise BadInput(f"{path} is not a mounted vaultairefs volume")
    return found


def mount_containing(path: Path) -> KernelMount:
    """The volume that ``path`` lies in, by its device number; ``BadInput`` when it lies elsewhere."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    for mount in reversed(mount_table.kernel_mounts()):
        if mount.device == device and mount.filesystem_type == FILESYSTEM_TYPE:
            return mount
    raise BadInput(f"{path} is not in a mounted vaultairefs volume")


def register(directory: Path, state_id: str, record: MountRecord) -> Path:
    """Write the record of a mount that answers; returns the file to remove at the end.

    Records of daemons that were killed, and whose mounts are gone, are swept out.
    """
    target = directory / f"{state_id}.json"
    with translated("register"):
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        _sweep(directory)
        durable.replace_file(target, json.dumps(record._asdict()).encode())
    return target


def unregister(file: Path, pid: int) -> None:
    """Remove the record unless a later daemon wrote it anew."""
    record = _read(file)
    if record is not None and record.pid == pid:
        with translated("unregister"):
            file.unlink(missing_ok=True)


def records(directories: Iterable[Path]) -> Iterator[MountRecord]:
    """Every readable record; unreadable ones are skipped, as they say nothing about any mount."""
    for directory in directories:
        for file in sorted(directory.glob("*.json")):
            record = _read(file)
            if record is not None:
                yield record


def record_of(mount: KernelMount, directories: Iterable[Path]) -> MountRecord | None:
    """The record of this very mount; None when its daemon never wrote one (or it was removed)."""
    for record in records(directories):
        if record.mount == mount.mountpoint and record.device == mount.device:
            return record
    return None


def _sweep(directory: Path) -> None:
    mounted = {(mount.mountpoint, mount.device) for mount in mount_table.kernel_mounts()}
    for file in directory.glob("*.json"):
        record = _read(file)
        if record is not None and (record.mount, record.device) not in mounted and not _lives(record.pid):
            file.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.close(os.pidfd_open(pid))
    except OSError:
        return False
    return True


def _read(file: Path) -> MountRecord | None:
    try:
        value: Any = json.loads(file.read_bytes())
        return MountRecord(
            str(value["mount"]),
            str(value["device"]),
            str(value["engine"]),
            str(value["tenant"]),
            str(value["state_dir"]),
            int(value["pid"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
