"""Keep what cannot be read or trusted, with a report beside it.

Promise: nothing that comes here is changed or overwritten, and nothing is deleted but what an operator names.
"""

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from vaultairefs.disk.copying import copy_range
from vaultairefs.disk.durable import rename, replace_file, sync_all, sync_directory, unlink
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import CrossesVolumes, NotFound

_REPORT_SUFFIX: Final = ".reason.json"


class QuarantineReport(msgspec.Struct, frozen=True):
    """What is kept: its file ``name`` in the quarantine, the ``original`` name, why, when, and how many bytes."""

    name: str
    original: str
    reason: str
    time_ns: int
    size_bytes: int


class Quarantine:
    """A directory of kept files.  The directory must exist."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, name: str, content: bytes | str | os.PathLike[str], reason: str) -> Path:
        """Durably keep ``content``: bytes are written, a path is moved here.  Returns where it is now.

        ``name`` is a wish: another file of that name is left alone.  ``OutOfSpace`` when bytes do not fit; nothing
        is lost then, because the caller still has them.
        """
        target = self._free_name(name)
        if isinstance(content, bytes):
            replace_file(target, content)
        else:
            _move(Path(content), target)
        with translated("quarantine"):
            size = target.stat().st_size
        original = name if isinstance(content, bytes) else os.fspath(content)
        report = QuarantineReport(target.name, original, reason, time.time_ns(), size)
        replace_file(self._report_path(target.name), msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        return target

    def reports(self) -> list[QuarantineReport]:
        """Everything that is kept, by name; a file whose report a crash prevented is listed without a reason."""
        with translated("quarantine"):
            names = sorted(
                entry.name for entry in os.scandir(self._directory) if not entry.name.endswith(_REPORT_SUFFIX)
            )
            return [self._report(name) for name in names]

    def path(self, name: str) -> Path:
        """Where the file of a report lies.  ``NotFound`` for a name that no report has."""
        if not any(report.name == name for report in self.reports()):
            raise NotFound(f"nothing in quarantine has the name {name}")
        return self._directory / name

    def drop(self, name: str) -> None:
        """Durably delete one file and its report, because an operator said so.  ``NotFound``."""
        path = self.path(name)
        unlink(path)
        unlink(self._report_path(name), missing_ok=True)
        sync_directory(self._directory)

    def _report(self, name: str) -> QuarantineReport:
        try:
            return msgspec.json.decode(self._report_path(name).read_bytes(), type=QuarantineReport)
        except (FileNotFoundError, msgspec.DecodeError):
            status = (self._directory / name).stat()
            return QuarantineReport(name, name, "", status.st_mtime_ns, status.st_size)

    def _report_path(self, name: str) -> Path:
        return self._directory / (name + _REPORT_SUFFIX)

    def _free_name(self, name: str) -> Path:
        plain = name.replace("/", "_").lstrip(".") or "unnamed"
        target, number = self._directory / plain, 1
        while target.exists():
            number += 1
            target = self._directory / f"{plain}.{number}"
        return target


def _move(source: Path, target: Path) -> None:
    try:
        rename(source, target)
    except CrossesVolumes:
        with translated("quarantine"), source.open("rb") as reader, target.open("xb") as writer:
            copy_range(reader.fileno(), 0, writer.fileno(), 0, os.fstat(reader.fileno()).st_size)
            sync_all(writer.fileno())
        sync_directory(target.parent)
        unlink(source, durable=True)
