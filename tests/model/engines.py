"""What an engine holds, seen without the code that put it there."""

import os
import stat
from pathlib import Path as Directory
from typing import NamedTuple

from tests.model.reference import Path
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.model.names import RESERVED
from vaultairefs.model.values import Kind, kind_of


class Stored(NamedTuple):
    """One entry of an engine, times and size apart."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    target: bytes
    rdev: int
    xattrs: dict[bytes, bytes]
    content: bytes


def memory_tree(engine: MemoryEngine) -> dict[Path, Stored]:
    """Every path of a memory engine; nothing may be parked."""
    assert engine.parked() == []
    found = {}
    for path, info, content in engine.walk():
        if path.name:
            seen = info.attributes
            content = content if seen.kind is Kind.FILE else b""
            found[tuple(path.joined.split(b"/"))] = Stored(
                seen.kind, seen.mode, seen.uid, seen.gid, seen.target, seen.rdev, seen.xattrs, content
            )
    return found


def plain_tree(root: Directory) -> dict[Path, Stored]:
    """Every path below a directory, as any program sees it; the engine's own container apart."""
    found: dict[Path, Stored] = {}
    _descend(os.fsencode(root), (), found)
    return found


def _descend(directory: bytes, path: Path, found: dict[Path, Stored]) -> None:
    for entry in os.scandir(directory):
        if not path and entry.name == RESERVED:
            continue
        name = entry.name if path else _user_name(entry.name)
        found[(*path, name)] = _look(entry.path, entry.stat(follow_symlinks=False))
        if entry.is_dir(follow_symlinks=False):
            _descend(entry.path, (*path, name), found)


def _user_name(stored: bytes) -> bytes:
    """A name directly below the root may carry one ``%`` more than the user gave it."""
    return stored[:-1] if stored.startswith(RESERVED) else stored


def _look(where: bytes, seen: os.stat_result) -> Stored:
    kind = kind_of(seen.st_mode)
    xattrs = {
        os.fsencode(name): os.getxattr(where, name, follow_symlinks=False)
        for name in os.listxattr(where, follow_symlinks=False)
        if name not in ("trusted.vaultaire", "user.vaultaire")
    }
    return Stored(
        kind,
        stat.S_IMODE(seen.st_mode),
        seen.st_uid,
        seen.st_gid,
        os.readlink(where) if kind is Kind.SYMLINK else b"",
        seen.st_rdev,
        xattrs,
        Directory(os.fsdecode(where)).read_bytes() if kind is Kind.FILE else b"",
    )
