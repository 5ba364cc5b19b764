"""Values and shorthands that the contract tests share."""

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterator, Sequence

import msgspec

from vaultairefs.engine.interface import Deletion, Engine, EntryInfo
from vaultairefs.model.values import ABSENT, ANY, Attributes, EntryPath, Kind, Version

NOON_NS = 1_700_000_000_123_456_789
USER, GROUP = 65534, 65534
"""What an unprivileged engine may set, so that tests of other things do not depend on privilege."""


def attributes(kind: Kind = Kind.FILE, mode: int = 0o640, **fields: object) -> Attributes:
    """Attributes with odd nanoseconds; symlinks have Linux's fixed mode."""
    values = Attributes(
        kind=kind,
        mode=0o777 if kind is Kind.SYMLINK else mode,
        uid=USER,
        gid=GROUP,
        atime_ns=NOON_NS - 1,
        mtime_ns=NOON_NS,
        ctime_ns=NOON_NS + 1,
    )
    return msgspec.structs.replace(values, **fields)


def same(left: Attributes, right: Attributes) -> bool:
    """Equal but for ctime, which an engine may keep for itself."""
    return msgspec.structs.replace(left, ctime_ns=0) == msgspec.structs.replace(right, ctime_ns=0)


def at(path: bytes) -> EntryPath:
    """``b"a/b/c"`` as an entry path."""
    container, _, name = path.rpartition(b"/")
    return EntryPath(container, name)


async def put(
    engine: Engine,
    path: bytes,
    content: bytes = b"content",
    *,
    expected: Version = ABSENT,
    token: str = "",
    given: Attributes | None = None,
) -> Version:
    return await engine.put(at(path), content, given or attributes(), expected=expected, token=token)


async def make(engine: Engine, *containers: bytes) -> None:
    for container in containers:
        await engine.create_container(container, attributes(Kind.CONTAINER, 0o755))


async def copy(
    engine: Engine,
    source: bytes,
    target: bytes,
    version: Version,
    *,
    given: Attributes | None = None,
    expected: Version = ABSENT,
    token: str = "",
) -> Version:
    return await engine.copy(at(source), at(target), version=version, attributes=given, expected=expected, token=token)


async def rename(engine: Engine, source: bytes, target: bytes, version: Version) -> Version:
    """Give an artifact a free name as the engine can; returns the version it has there."""
    if engine.capabilities.moves:
        await engine.move(at(source), at(target), version=version, expected=ABSENT)
        return version
    copied = await copy(engine, source, target, version)
    assert await engine.delete([Deletion(at(source), version)]) == [None]
    return copied


@contextlib.contextmanager
def body(content: bytes = b"") -> Iterator[int]:
    """A descriptor of a file that holds ``content``."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


async def content_of(engine: Engine, path: bytes, version: Version = ANY) -> bytes:
    """All bytes of the artifact, read the way the fetcher does."""
    with body() as descriptor:
        size = (await engine.stat(at(path))).size
        copied = await engine.read(at(path), version, 0, size + 10, descriptor, 0)
        assert copied == size
        return os.pread(descriptor, size + 10, 0)


async def listing(engine: Engine, container: bytes = b"") -> dict[bytes, EntryInfo]:
    """The whole listing by name; a name that comes twice fails."""
    found: dict[bytes, EntryInfo] = {}
    cursor = None
    while True:
        page = await engine.list(container, cursor)
        for entry in page.entries:
            assert entry.name not in found
            found[entry.name] = entry
        cursor = page.cursor
        if cursor is None:
            return found


async def names(engine: Engine, container: bytes = b"") -> set[bytes]:
    return set(await listing(engine, container))


def acl(*entries: tuple[int, int, int]) -> bytes:
    """The value of a POSIX ACL attribute: (tag, permissions, id) after a version word (linux/posix_acl_xattr.h)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NO_ID = 0xFFFFFFFF
ACCESS_ACL = acl((1, 6, NO_ID), (2, 4, 1234), (4, 4, NO_ID), (0x10, 4, NO_ID), (0x20, 0, NO_ID))
"""Owner rw, user 1234 r, group r, mask r, others nothing: mode 0640."""
DEFAULT_ACL = acl((1, 7, NO_ID), (4, 5, NO_ID), (0x20, 0, NO_ID))


async def upload(
    engine: Engine,
    path: bytes,
    content: bytes,
    chunk_sizes: Sequence[int],
    *,
    expected: Version = ABSENT,
    token: str = "",
    order: Sequence[int] | None = None,
) -> Version:
    """A whole upload in chunks, sent in ``order``."""
    started = await engine.begin_upload(at(path), len(content), attributes(), token=token)
    offsets = [sum(chunk_sizes[:number]) for number in range(len(chunk_sizes))]
    receipts = [""] * len(chunk_sizes)
    with body(content) as descriptor:
        for number in order if order is not None else range(len(chunk_sizes)):
            receipts[number] = await engine.put_chunk(started, number, offsets[number], descriptor, chunk_sizes[number])
    return await engine.commit_upload(started, receipts, attributes(), expected=expected)
