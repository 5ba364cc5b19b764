"""What the disk holds when the power fails: what was synced, and of the rest whatever chance let through.

``Disk`` watches fdatasync and fsync of files below one directory and remembers the bytes they had then.  Removals
count at once; names count with their file's sync.  ``lose`` writes down one possible disk after a power cut.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import pytest

from tests.support.ledgers import OTHER_BOOT

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

T = TypeVar("T")

BLOCK_BYTES = 512
"""Torn writes end at block borders."""


class Content(NamedTuple):
    """A file's bytes, without the zeros at its end: logs are 8 MiB of them, and many are remembered."""

    used: bytes
    size: int

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls(data.rstrip(b"\0"), len(data))

    @property
    def whole(self) -> bytes:
        return self.used.ljust(self.size, b"\0")


class Disk:
    """A watched directory."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.synced: dict[tuple[int, int], Content] = {}
        for name in ("fdatasync", "fsync"):
            patch.setattr(os, name, self._watching(getattr(os, name)))

    def _watching(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def watched(fd: int) -> None:
            real(fd)
            status = os.fstat(fd)
            if os.path.isfile(f"/proc/self/fd/{fd}"):
                with open(f"/proc/self/fd/{fd}", "rb") as reader:
                    self.synced[status.st_dev, status.st_ino] = Content.of(reader.read())

        return watched

    def lose(self, source: Path, target: Path, random: Random) -> None:
        """Copy ``source`` to ``target`` as a power cut may leave it, found by another boot."""
        for path in sorted(source.rglob("*")):
            copy = target / path.relative_to(source)
            if path.is_dir():
                copy.mkdir(parents=True)
                continue
            status, now = path.stat(), path.read_bytes()
            kept = self.synced.get((status.st_dev, status.st_ino))
            synced = None if kept is None else kept.whole
            if path.parent.name == "journal" or path.parent.parent.name != "bodies":
                content = self._log_after(synced, now, random)
            else:
                content = self._body_after(synced, now, random)
            if content is not None:
                copy.write_bytes(content)
                shutil.copystat(path, copy)
                # What the next boot finds is on the disk.
                found = copy.stat()
                self.synced[found.st_dev, found.st_ino] = Content.of(content)
        (target / "machine.json").write_bytes(OTHER_BOOT)

    def _log_after(self, synced: bytes | None, now: bytes, random: Random) -> bytes:
        """An append-only file: what was synced, a part of what came behind, and the preallocated zeros."""
        used, safe = len(now.rstrip(b"\0")), len((synced or b"").rstrip(b"\0"))
        kept = random.randint(min(safe, used), used)
        if random.random() < 0.3:
            kept = used
        return now[:kept].ljust(len(now), b"\0")

    def _body_after(self, synced: bytes | None, now: bytes, random: Random) -> bytes | None:
        """A body: each block old or new, blocks that were never synced perhaps zeros, the length old or new."""
        if synced is None:
            if random.random() < 0.4:
                return None
            synced = b""
        length = random.choice((len(synced), len(now), random.randint(0, len(now))))
        length = max(length, min(len(synced), len(now)))
        blocks = []
        for at in range(0, length, BLOCK_BYTES):
            old, new = synced[at : at + BLOCK_BYTES], now[at : at + BLOCK_BYTES]
            blocks.append((new if random.random() < 0.5 else old).ljust(BLOCK_BYTES, b"\0"))
        return b"".join(blocks)[:length]


class Worst(Random):
    """The chance that lets nothing through that was not synced."""

    def random(self) -> float:
        return 0.9

    def randint(self, a: int, b: int) -> int:
        return a

    def choice(self, seq: "SupportsLenAndGetItem[T]") -> T:
        return seq[0]
