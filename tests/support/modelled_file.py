"""One file under random operations, compared with a buffer in memory.

What fsx taught the world's filesystems: bugs hide where writes, truncations, mappings and reopening meet.  Every run
is made by its seed alone; a failure prints the last operations.
"""

import mmap
import os
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path

PAGE = mmap.PAGESIZE


class ModelledFile:
    """A real file and what it must hold.

    Invariant: between operations ``self.model`` equals the file's bytes, by whatever way they are read.
    """

    def __init__(self, path: Path, seed: int, *, size_max: int = 300_000, length_max: int = 70_000) -> None:
        self.path = path
        self.size_max, self.length_max = size_max, length_max
        self.random = random.Random(seed)
        self.model = bytearray()
        self.open()
        self.history: deque[str] = deque(maxlen=12)
        self.acts: list[tuple[Callable[[], None], int]] = [
            (self.write, 30),
            (self.append, 8),
            (self.read, 25),
            (self.truncate, 8),
            (self.store_through_a_mapping, 12),
            (self.read_through_a_mapping, 12),
            (self.reopen, 5),
            (self.rename, 3),
            (self.sync, 2),
            (self.copy_a_range, 4),
            (self.empty_by_open, 1),
        ]

    def open(self) -> None:
        self.descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR)

    def close(self) -> None:
        os.close(self.descriptor)

    def step(self) -> None:
        """One random operation."""
        acts, weights = zip(*self.acts, strict=True)
        self.random.choices(acts, weights)[0]()

    def check(self) -> None:
        """The whole file, by the path."""
        assert self.path.stat().st_size == len(self.model), self.story()
        self.compare(self.path.read_bytes(), 0, len(self.model))

    def story(self) -> str:
        return "after:\n  " + "\n  ".join(self.history)

    def compare(self, found: bytes, offset: int, length: int) -> None:
        expected = bytes(self.model[offset : offset + length])
        if found == expected:
            return
        first = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
        raise AssertionError(
            f"{len(found)} bytes instead of {len(expected)} at {offset}, first different at "
            f"{None if first is None else offset + first}; {self.story()}"
        )

    def note(self, *words: object) -> None:
        self.history.append(" ".join(map(str, words)))

    def piece(self, below: int) -> tuple[int, int]:
        """A random range that begins below this offset; often on a page's edge."""
        offset = self.random.randrange(below)
        if self.random.random() < 0.3:
            offset -= offset % PAGE
        length = self.random.randint(1, self.random.choice((10, PAGE, self.length_max)))
        return offset, min(length, self.size_max - offset)

    def put(self, offset: int, data: bytes) -> None:
        self.model.extend(bytes(max(0, offset + len(data) - len(self.model))))
        self.model[offset : offset + len(data)] = data

    def data(self, length: int) -> bytes:
        return self.random.randbytes(min(length, 16)) * (length // 16 + 1)

    def write(self) -> None:
        offset, length = self.piece(self.size_max)
        data = self.data(length)[:length]
        self.note("write", offset, length)
        assert os.pwrite(self.descriptor, data, offset) == length
        self.put(offset, data)

    def append(self) -> None:
        length = self.random.randint(1, 5000)
        if len(self.model) + length > self.size_max:
            return
        data = self.data(length)[:length]
        self.note("append", length)
        with open(self.path, "ab", buffering=0) as file:
            assert file.write(data) == length
        self.put(len(self.model), data)

    def read(self) -> None:
        offset, length = self.piece(self.size_max)
        self.note("read", offset, length)
        self.compare(os.pread(self.descriptor, length, offset), offset, length)

    def truncate(self) -> None:
        size = self.random.choice((0, len(self.model) // 2, self.random.randrange(self.size_max)))
        self.note("truncate", size)
        if self.random.random() < 0.5:
            os.ftruncate(self.descriptor, size)
        else:
            os.truncate(self.path, size)
        del self.model[size:]
        self.model.extend(bytes(size - len(self.model)))

    def store_through_a_mapping(self) -> None:
        if not self.model:
            return
        offset, length = self.piece(len(self.model))
        length = min(length, len(self.model) - offset)
        data = self.data(length)[:length]
        self.note("mapped store", offset, length)
        with mmap.mmap(self.descriptor, len(self.model)) as mapped:
            mapped[offset : offset + length] = data
            if self.random.random() < 0.5:
                mapped.flush()
        self.put(offset, data)

    def read_through_a_mapping(self) -> None:
        if not self.model:
            return
        offset, length = self.piece(len(self.model))
        self.note("mapped read", offset, length)
        with mmap.mmap(self.descriptor, len(self.model), prot=mmap.PROT_READ) as mapped:
            self.compare(mapped[offset : offset + length], offset, length)

    def reopen(self) -> None:
        self.note("reopen")
        self.close()
        self.open()

    def rename(self) -> None:
        self.note("rename")
        target = self.path.with_name(self.random.choice("abc"))
        os.rename(self.path, target)
        self.path = target

    def sync(self) -> None:
        self.note("fsync")
        self.random.choice((os.fsync, os.fdatasync))(self.descriptor)

    def copy_a_range(self) -> None:
        if not self.model:
            return
        offset, length = self.piece(len(self.model))
        length = min(length, len(self.model) - offset, self.size_max // 2)
        target = self.random.randrange(self.size_max - length)
        if abs(target - offset) < length:
            return
        self.note("copy", offset, length, "to", target)
        done = 0
        while done < length:
            done += os.copy_file_range(self.descriptor, self.descriptor, length - done, offset + done, target + done)
        self.put(target, bytes(self.model[offset : offset + length]))

    def empty_by_open(self) -> None:
        self.note("open with O_TRUNC")
        os.close(os.open(self.path, os.O_WRONLY | os.O_TRUNC))
        self.model.clear()
