"""The programs of the soak: each hand works in a folder of its own on the mount and does the same to a mirror.

Promise: the mirror, an ordinary directory beside the mount, holds what the hand's folder must hold; a call that the
mount refuses because its store is away is tried again, as nothing of it has happened.  Whatever is read is compared.
A hand does ``pace`` operations a second at most, so a soak loads a machine only so far.
"""

import errno
import hashlib
import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

KIB: Final = 1 << 10
WEIGHTS: Final = {
    "replace": 30,
    "append": 20,
    "read": 14,
    "create": 10,
    "remove": 8,
    "list": 8,
    "row": 6,
    "rename": 6,
    "edit": 3,
    "cold": 3,
    "rename_folder": 1,
    "large": 1,
}
"""How often each operation is done, relative to the others."""
FILES_MAX: Final = 150
LOG_BYTES_MAX: Final = 256 * KIB
TRIES_MAX: Final = 500
PAUSE_SECONDS: Final = 0.2
WHOLE_FILES: Final = 40
PIECE_BYTES: Final = 256 * KIB
DIGEST_BYTES: Final = 32
ROWS_MAX: Final = 1000
DATABASE: Final = "data.sqlite"
WRITE: Final = os.O_WRONLY | os.O_CREAT
T = TypeVar("T")


class Told(Exception):
    """The mount showed something else than it must: the soak has failed, and this says where."""


class Hand(threading.Thread):
    """One writer; ``evict`` lets go of the local copy of a path of the mount.

    After ``join``: ``failure`` is what ended it too early, ``done`` counts its operations and the errors it was told.
    """

    def __init__(
        self, mount: Path, mirror: Path, seed: int, pace: float, end: threading.Event, evict: Callable[[Path], None]
    ) -> None:
        super().__init__(name=f"hand {seed}")
        self.mount, self.mirror = mount, mirror
        self.failure: Exception | None = None
        self.done: Counter[str] = Counter()
        self.rows = 0
        self._source = random.Random(seed)
        self._pace, self._end, self._evict = pace, end, evict
        self._folders = [f"folder{number}" for number in range(5)]
        self._files: dict[str, None] = {}
        self._sizes: dict[str, int] = {}

    def run(self) -> None:
        try:
            self._both(lambda root: root.mkdir())
            for folder in self._folders:
                self._both(lambda root, folder=folder: (root / folder).mkdir())  # type: ignore[misc]
            self._open_database()
            while not self._end.wait(self._source.expovariate(self._pace)):
                (verb,) = self._source.choices(list(WEIGHTS), WEIGHTS.values())
                getattr(self, "_" + verb)()
                self.done[verb] += 1
        except Exception as error:
            self.failure = error
            self._end.set()
        finally:
            if hasattr(self, "_database"):
                self._database.close()

    def _again(self, call: Callable[[], T]) -> T:
        """What a program does that hears of a store that is away."""
        for _ in range(TRIES_MAX):
            try:
                return call()
            except (OSError, sqlite3.OperationalError) as error:
                if isinstance(error, OSError) and error.errno != errno.EIO:
                    raise
                self.done["EIO"] += 1
                threading.Event().wait(PAUSE_SECONDS)
        raise Told(f"{self.name}: EIO {TRIES_MAX} times")

    def _both(self, act: Callable[[Path], object]) -> None:
        self._again(lambda: act(self.mount))
        act(self.mirror)

    def _content(self, size: int) -> bytes:
        """Bytes that say themselves whether they are whole (``Reader``)."""
        body = self._source.randbytes(size)
        return hashlib.sha256(body).digest() + body

    def _new_name(self) -> str:
        return f"{self._source.choice(self._folders)}/file{self._source.randrange(FILES_MAX // 5)}"

    def _some_file(self) -> str | None:
        return self._source.choice(list(self._files)) if self._files else None

    def _create(self) -> None:
        name, content = self._new_name(), self._content(self._source.randrange(32 * KIB))
        self._both(lambda root: (root / name).write_bytes(content))
        self._files[name] = None

    def _replace(self) -> None:
        """As careful programs do it: written beside it, synced, renamed over it."""
        name, content = f"whole{self._source.randrange(WHOLE_FILES)}", self._content(self._source.randrange(16 * KIB))
        self._write_synced(self.mount / ".new", content, os.O_TRUNC)
        self._again(lambda: os.replace(self.mount / ".new", self.mount / name))
        (self.mirror / name).write_bytes(content)
        self._files[name] = None

    def _append(self) -> None:
        name, line = f"log{self._source.randrange(3)}", self._source.randbytes(self._source.randrange(1, 400)).hex()
        mirror = self.mirror / name
        flags = os.O_APPEND if not mirror.exists() or mirror.stat().st_size < LOG_BYTES_MAX else os.O_TRUNC
        for root in (self.mount, self.mirror):
            self._write_synced(root / name, f"{line}\n".encode(), flags)
        self._files[name] = None

    def _read(self) -> None:
        name = self._some_file()
        if name is not None:
            self._compare(name)

    def _compare(self, name: str) -> None:
        seen = self._again(lambda: (self.mount / name).read_bytes())
        if seen != (self.mirror / name).read_bytes():
            raise Told(f"{self.mount / name}: other bytes than were written")

    def _cold(self) -> None:
        """Let go of the local copy, and read it from the store."""
        name = self._some_file() if self._source.random() < 0.8 or not self._sizes else self._some_large()
        if name is not None:
            self._again(lambda: self._evict(self.mount / name))
            self._compare(name)

    def _remove(self) -> None:
        name = self._some_file()
        if name is not None:
            self._both(lambda root: (root / name).unlink())
            del self._files[name]

    def _list(self) -> None:
        folder = self._source.choice(["", *self._folders])
        seen = set(self._again(lambda: os.listdir(self.mount / folder)))
        own = {name for name in seen if name.startswith(DATABASE) or name == ".new"} if not folder else set()
        if seen - own != set(os.listdir(self.mirror / folder)):
            raise Told(f"{self.mount / folder}: other names than were made: {sorted(seen)}")

    def _rename(self) -> None:
        name, other = self._some_file(), self._new_name()
        if name is not None and "/" in name and name != other:
            self._both(lambda root: os.replace(root / name, root / other))
            del self._files[name]
            self._files[other] = None

    def _rename_folder(self) -> None:
        index = self._source.randrange(len(self._folders))
        old, new = self._folders[index], f"folder{index}-{self._source.randrange(1 << 30)}"
        self._both(lambda root: os.rename(root / old, root / new))
        self._folders[index] = new
        self._files = {name.replace(old + "/", new + "/"): None for name in self._files}

    def _large(self) -> None:
        """Written as a copy program does it, a piece at a time."""
        name = f"large{self._source.randrange(2)}"
        pieces = [self._source.randbytes(PIECE_BYTES) for _ in range(self._source.randrange(24, 48))]
        for root in (self.mount, self.mirror):
            descriptor = self._again(lambda: os.open(root / name, WRITE | os.O_TRUNC))  # noqa: B023
            try:
                for at, piece in enumerate(pieces):
                    self._again(lambda: os.pwrite(descriptor, piece, at * PIECE_BYTES))  # noqa: B023
            finally:
                os.close(descriptor)
        self._sizes[name] = len(pieces) * PIECE_BYTES

    def _edit(self) -> None:
        """A few bytes in the middle of a large file."""
        if not self._sizes:
            return
        name, data = self._some_large(), self._source.randbytes(self._source.randrange(1, 64 * KIB))
        offset = self._source.randrange(self._sizes[name] - len(data))
        for root in (self.mount, self.mirror):
            descriptor = self._again(lambda: os.open(root / name, os.O_RDWR))  # noqa: B023
            try:
                self._again(lambda: os.pwrite(descriptor, data, offset))  # noqa: B023
            finally:
                os.close(descriptor)

    def _some_large(self) -> str:
        return self._source.choice(list(self._sizes))

    def _write_synced(self, path: Path, data: bytes, flags: int) -> None:
        """An fsync that fails is the end: what is left of the bytes is not known then."""
        descriptor = self._again(lambda: os.open(path, WRITE | flags))
        try:
            if self._again(lambda: os.write(descriptor, data)) != len(data):
                raise Told(f"{path}: a short write")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _open_database(self) -> None:
        mode = self._source.choice(["delete", "wal"])
        self._database = sqlite3.connect(
            self.mount / DATABASE, isolation_level=None, timeout=60, check_same_thread=False
        )
        self._again(lambda: self._database.execute(f"pragma journal_mode={mode}"))
        self._again(lambda: self._database.execute("pragma synchronous=full"))
        self._again(lambda: self._database.execute("create table line (number integer primary key, words text)"))

    def _row(self) -> None:
        """A commit; the oldest rows go, so that the database stays small."""
        number = self.rows
        self._again(lambda: self._database.execute("insert or replace into line values (?, ?)", row(number)))
        self.rows += 1
        if number % 100 == 99:
            self._again(lambda: self._database.execute("delete from line where number < ?", (number - ROWS_MAX,)))


def row(number: int) -> tuple[int, str]:
    return number, f"{number} " * 40


class Reader(threading.Thread):
    """Looks at what hands replace by rename: whole, always, in one version or another."""

    def __init__(self, places: list[Path], seed: int, pace: float, end: threading.Event) -> None:
        super().__init__(name=f"reader {seed}")
        self.failure: Exception | None = None
        self.done: Counter[str] = Counter()
        self._places, self._pace, self._end = places, pace, end
        self._source = random.Random(seed)

    def run(self) -> None:
        try:
            while not self._end.wait(self._source.expovariate(self._pace)):
                self._look(self._source.choice(self._places) / f"whole{self._source.randrange(WHOLE_FILES)}")
        except Exception as error:
            self.failure = error
            self._end.set()

    def _look(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.done["EIO"] += 1
            return
        self.done["look"] += 1
        if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
            raise Told(f"{path}: neither old nor new")
