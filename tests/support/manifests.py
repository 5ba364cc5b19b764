"""A manifest: everything that a program can see of a tree, as values that can be compared."""

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

RECORDS = ("trusted.vaultaire", "user.vaultaire")
"""Where the local engine keeps what it must remember of an artifact, e.g. which upload made it."""


class Seen(NamedTuple):
    """One entry as lstat, readlink, listxattr and read show it; times in nanoseconds."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    rdev: int
    links: int
    """How many names an entry has; 0 for folders, whose count says how many folders they hold."""
    twin: bytes
    """The first name, in order, of the same inode: equal for hard links, else the entry itself."""
    target: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    digest: str


def manifest(root: Path, *, leave_out: frozenset[bytes] = frozenset()) -> dict[bytes, Seen]:
    """Every entry below ``root`` by its path (``b"."`` is the root itself); ``leave_out`` names top entries."""
    top = os.fsencode(root)
    twins: dict[tuple[int, int], bytes] = {}
    found = {b".": _see(top, b".", twins)}
    for folder, folders, files in os.walk(top, onerror=_fail):
        if folder == top:
            folders[:] = [name for name in folders if name not in leave_out]
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, top)
            found[relative] = _see(path, relative, twins)
    return found


def differences(expected: dict[bytes, Seen], actual: dict[bytes, Seen]) -> list[str]:
    """What differs, one line each: the form that a failing test should print."""
    lines = [f"missing: {path!r}" for path in sorted(expected.keys() - actual.keys())]
    lines += [f"unexpected: {path!r}" for path in sorted(actual.keys() - expected.keys())]
    for path in sorted(expected.keys() & actual.keys()):
        for field, one, other in zip(Seen._fields, expected[path], actual[path], strict=True):
            if one != other:
                lines.append(f"{path!r}: {field} is {other!r}, was {one!r}")
    return lines


def digest_of(path: bytes | Path) -> str:
    """The SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _see(path: bytes, relative: bytes, twins: dict[tuple[int, int], bytes]) -> Seen:
    info = os.lstat(path)
    kind = stat.S_IFMT(info.st_mode)
    folder = kind == stat.S_IFDIR
    names = [name for name in os.listxattr(path, follow_symlinks=False) if name not in RECORDS]
    return Seen(
        mode=info.st_mode,
        uid=info.st_uid,
        gid=info.st_gid,
        mtime_ns=info.st_mtime_ns,
        size=0 if folder else info.st_size,
        rdev=info.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        links=0 if folder else info.st_nlink,
        twin=relative if folder else twins.setdefault((info.st_dev, info.st_ino), relative),
        target=os.readlink(path) if kind == stat.S_IFLNK else b"",
        xattrs=tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)),
        digest=digest_of(path) if kind == stat.S_IFREG else "",
    )


def _fail(error: OSError) -> None:
    raise error
