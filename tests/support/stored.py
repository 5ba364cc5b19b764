"""What is in the store and what programs see on the mount, as digests that can be compared."""

import hashlib
import os
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.stores import Server

OURS = ".vaultairefs"
"""What the engine keeps for itself at the root of its namespace."""


def shown(root: Path) -> dict[str, str]:
    """SHA-256 of every file below, by its path, of a symlink's target; what is ours alone left out."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != OURS]
        for name in names:
            path = Path(folder) / name
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[str(path.relative_to(root))] = hashlib.sha256(content).hexdigest()
    return found


def stored(daemon: Daemon, server: Server | None) -> dict[str, str]:
    """The same of what the store holds, read past the mount, as any other client of the store would."""
    if server is None:
        return shown(daemon.engine)
    keys = []
    for page in server.client().get_paginator("list_objects_v2").paginate(Bucket=daemon.bucket):
        keys += [entry["Key"] for entry in page.get("Contents", [])]
    names = [key for key in keys if not key.startswith(OURS) and not key.endswith("/")]
    return {name: hashlib.sha256(stored_bytes(daemon, server, name)).hexdigest() for name in names}


def stored_bytes(daemon: Daemon, server: Server | None, name: str) -> bytes:
    """One file out of the store."""
    if server is None:
        return (daemon.engine / name).read_bytes()
    content: bytes = server.client().get_object(Bucket=daemon.bucket, Key=name)["Body"].read()
    return content


def unlike(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Where two of them differ, one line each."""
    lines = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    lines += [f"too many: {name}" for name in sorted(found.keys() - expected.keys())]
    same = sorted(expected.keys() & found.keys())
    return lines + [f"other bytes: {name}" for name in same if expected[name] != found[name]]
