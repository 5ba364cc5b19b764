"""Checkpoints: the whole state at one sequence, in one file each.

Promise: a checkpoint is there whole or not at all; the one before the newest is kept, for the case that the newest
cannot be read; a damaged one is never deleted but quarantined, and never read as if it were good.
"""

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vaultairefs.disk.durable import replace_file, unlink
from vaultairefs.disk.os_errors import translated
from vaultairefs.model.errors import BadInput, Corrupt
from vaultairefs.model.values import Sequence

Quarantine = Callable[[str, bytes | str | os.PathLike[str], str], object]
"""Keeps bytes, or the file at a path, under a name, with a reason: ``StateDirectory.quarantine``."""

KEPT: Final = 2
_MAGIC: Final = b"VAULTCKP"
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sIQQ")
_DIGEST_BYTES: Final = 32
_PREFIX: Final = "checkpoint-"


class Checkpoints:
    """The checkpoint files of one directory.  Every method blocks on the disk."""

    def __init__(self, directory: str | os.PathLike[str], quarantine: Quarantine) -> None:
        self._directory = Path(directory)
        self._quarantine = quarantine
        for left in self._directory.glob(f"{_PREFIX}*.tmp"):
            unlink(left, missing_ok=True)

    def sequences(self) -> list[Sequence]:
        """The sequences of all checkpoints, oldest first, unread."""
        with translated("checkpoint"):
            names = os.listdir(self._directory)
        return sorted(found for name in names if (found := _sequence_of(name)) is not None)

    def newest_bytes(self) -> int:
        """The size of the newest checkpoint in bytes; 0 where there is none."""
        newest = self.sequences()[-1:]
        with translated("checkpoint"):
            return os.stat(self._path(newest[0])).st_size if newest else 0

    def write(self, sequence: Sequence, payload: bytes) -> None:
        """Durably add a checkpoint, then delete all but the two newest.  ``OutOfSpace``: the old ones stay."""
        head = _HEAD.pack(_MAGIC, _VERSION, sequence, len(payload))
        replace_file(self._path(sequence), head, _digest(head, payload), payload)
        for old in self.sequences()[:-KEPT]:
            unlink(self._path(old), missing_ok=True, durable=True)

    def read(self, damage: list[str]) -> tuple[Sequence, bytes] | None:
        """The newest readable checkpoint; None when there is none.

        Each damaged one on the way goes to quarantine, with a line in ``damage``.  ``BadInput`` when a newer
        program wrote it.
        """
        for sequence in reversed(self.sequences()):
            path = self._path(sequence)
            try:
                return sequence, self._load(path, sequence)
            except Corrupt as error:
                reason = f"{path.name}: {error}"
                damage.append(reason)
                self._quarantine(path.name, path, reason)
        return None

    def _load(self, path: Path, sequence: Sequence) -> bytes:
        with translated("checkpoint"):
            data = path.read_bytes()
        if len(data) < _HEAD.size + _DIGEST_BYTES or not data.startswith(_MAGIC):
            raise Corrupt("not a checkpoint, or cut off in its header")
        _, version, found, length = _HEAD.unpack_from(data)
        start = _HEAD.size + _DIGEST_BYTES
        payload = data[start:]
        # Every version keeps this frame, so that damage is told from news.
        if len(payload) != length or _digest(data[: _HEAD.size], payload) != data[_HEAD.size : start]:
            raise Corrupt("the checksum does not match")
        if version > _VERSION:
            raise BadInput("The state directory was written by a newer version of vaultairefs; use that version.")
        if found != sequence:
            raise Corrupt(f"its name says {sequence}, its header {found}")
        return payload

    def _path(self, sequence: Sequence) -> Path:
        return self._directory / f"{_PREFIX}{sequence:016x}"


def _digest(head: bytes, payload: bytes) -> bytes:
    digest = hashlib.blake2b(head, digest_size=_DIGEST_BYTES)
    digest.update(payload)
    return digest.digest()


def _sequence_of(name: str) -> Sequence | None:
    digits = name.removeprefix(_PREFIX)
    if digits == name or len(digits) != 16:
        return None
    try:
        return Sequence(int(digits, 16))
    except ValueError:
        return None
