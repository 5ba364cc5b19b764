"""Plants a large tree in which every kind of entry occurs many times, by a seed."""

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

ODD: Final = (
    b" ", b"-n", b"a b", b"new\nline", b"\x01\x7f", b"caf\xc3\xa9", b"not utf-8 \xff\xfe", b"*?[a]", b"%%41", b"%%=",
    b"100%", b"a+b&c=d#e?f", b"..hidden", b"x.rclonelink", b"dir_$folder$", b"\xf0\x9f\x98\x80", b"~", b"quote'\"",
)  # fmt: skip


class Many:
    """A tree of ``count`` entries at ``root``, which must not exist yet; ``links``: with several names of a file."""

    def __init__(self, root: Path, count: int, seed: int, *, links: bool) -> None:
        self._root = os.fsencode(root)
        self._links = links
        self._count = count
        self._source = random.Random(seed)
        self._folders = [self._root]
        self._files: list[bytes] = []
        self._made = 0

    def plant(self) -> None:
        os.mkdir(self._root)
        kinds: list[tuple[int, Callable[[bytes], None]]] = [
            (50, self._file), (12, self._folder), (10, self._symlink), (10 * self._links, self._link),
            (8, self._described), (4, self._node), (6, self._empty_folder),
        ]  # fmt: skip
        makers, weights = [maker for _, maker in kinds], [weight for weight, _ in kinds]
        self._deep()
        while self._made < self._count:
            path = os.path.join(self._source.choice(self._folders), self._name())
            if not os.path.lexists(path):
                self._source.choices(makers, weights)[0](path)
                self._made += 1
        for folder in reversed(self._folders):
            self._date(folder)

    def _name(self) -> bytes:
        number = b"%d" % self._source.randrange(10**6)
        if self._source.random() < 0.2:
            return (self._source.choice(ODD) + number)[:255]
        if self._source.random() < 0.03:
            return (number + self._source.choice([b"n", b"\xff", b"\xc3\xa9", b"%%2F"]) * 255)[
                : self._source.choice([254, 255])
            ]
        return b"entry" + number

    def _deep(self) -> None:
        """A path of 3,000 bytes: longer than any key may be."""
        folder = self._root
        for level in range(12):
            folder = os.path.join(folder, b"%02d" % level + b"d" * 248)
            os.mkdir(folder)
            self._folders.append(folder)
            self._made += 1

    def _file(self, path: bytes) -> None:
        size = self._source.choice((0, 1, 17, 4095, 4096, 4097, 20_001))
        with open(path, "wb") as file:
            file.write(self._source.randbytes(size))
        self._own(path)
        os.chmod(path, self._source.choice((0o600, 0o644, 0o755, 0o400, 0o4755, 0o2711, 0o1644, 0o0)))
        self._date(path)
        self._files.append(path)

    def _folder(self, path: bytes) -> None:
        self._empty_folder(path)
        self._folders.append(path)

    def _empty_folder(self, path: bytes) -> None:
        os.mkdir(path)
        self._own(path)
        os.chmod(path, self._source.choice((0o700, 0o755, 0o1777, 0o2775)))
        self._date(path)

    def _symlink(self, path: bytes) -> None:
        os.symlink(
            self._source.choice([b"../elsewhere", b"/nowhere/at all", b"t" * 4095, b"\xff\n", *self._files[-1:]])[
                :4095
            ],
            path,
        )
        self._own(path)
        self._date(path)

    def _link(self, path: bytes) -> None:
        if self._files:
            os.link(self._source.choice(self._files[-200:]), path)
        else:
            self._file(path)

    def _described(self, path: bytes) -> None:
        """With extended attributes, of which every third is more than metadata holds."""
        self._file(path)
        for number in range(self._source.randrange(1, 4)):
            os.setxattr(path, b"user.name%d" % number, self._source.randbytes(self._source.choice((0, 5, 100))))
        if self._source.random() < 0.34:
            os.setxattr(path, b"user.large", self._source.randbytes(self._source.choice((1500, 2500, 3000))))

    def _node(self, path: bytes) -> None:
        kind, device = self._source.choice(
            [
                (stat.S_IFIFO, 0),
                (stat.S_IFSOCK, 0),
                (stat.S_IFCHR, os.makedev(1, 3)),
                (stat.S_IFBLK, os.makedev(7, 200)),
            ]
        )
        os.mknod(path, kind | 0o640, device)
        self._date(path)

    def _own(self, path: bytes) -> None:
        os.lchown(path, self._source.choice((0, 1000, 65534)), self._source.choice((0, 100, 4_000_000_000)))

    def _date(self, path: bytes) -> None:
        """Some before 1970."""
        times = (self._source.randrange(10**18), self._source.randrange(-(10**17), 2 * 10**18))
        os.utime(path, ns=times, follow_symlinks=False)
