"""What is worth an operator's look after a crash or a failure: the findings of ``vaultairefs recover``.

Promise: looks only, at a running volume and at a state directory without a daemon alike; an id means the same thing
until it is gone.
"""

import os
from collections.abc import Iterator
from typing import Protocol

import msgspec

from vaultairefs.backlog import Backlog
from vaultairefs.buffer import Body, Buffer, Phase
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.model.values import Ino
from vaultairefs.namespace import Namespace


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing.  ``file`` holds its bytes, of which ``extents`` (offset, length) are good, None: all.

    ``kind``: ``quarantine`` (kept because it could not be read or trusted), ``lost`` (a file of which bytes are
    gone), ``unstored`` (a changed file that the engine does not have), ``nameless`` (bytes that no name leads to),
    ``conflict`` (kept beside somebody else's version).
    """

    id: str
    kind: str
    path: str = ""
    size_bytes: int = 0
    reason: str = ""
    file: str = ""
    extents: list[tuple[int, int]] | None = None
    can_be_dropped: bool = False


class LooksLikeRooms(Protocol):
    """What a ledger and the rooms of an inspection have in common."""

    namespace: Namespace
    buffer: Buffer
    backlog: Backlog


def of_quarantine(state: StateDirectory) -> Iterator[Finding]:
    """Everything in quarantine."""
    for report in state.quarantined():
        yield Finding(
            id=report.name,
            kind="quarantine",
            path=report.original,
            size_bytes=report.size_bytes,
            reason=report.reason,
            file=str(state.kept.path(report.name)),
            can_be_dropped=True,
        )


def of_changed_files(rooms: LooksLikeRooms, *, is_live: bool) -> Iterator[Finding]:
    """Changed files that cannot be stored; of a volume without a daemon, all that the engine does not have."""
    for ino, owed in list(rooms.backlog.owed_inos.items()):
        body = rooms.buffer.find(ino)
        if not owed.content or body is None or body.phase is Phase.ABSENT:
            continue
        if body.failed:
            yield _of_body(rooms, body, "lost", "the local disk failed to keep its bytes: see quarantine", None)
        elif body.partial and _has_lost_its_base(rooms, body):
            reason = "what was not changed here is gone from the engine"
            yield _of_body(rooms, body, "lost", reason, [(part.offset, part.length) for part in body.present])
        elif not is_live:
            known = None if body.complete else [(part.offset, part.length) for part in body.present]
            yield _of_body(rooms, body, "unstored", "the next mount goes on with it", known)


def of_nameless(rooms: LooksLikeRooms) -> Iterator[Finding]:
    """Body files that no name leads to, of a volume without a daemon: the next mount removes them."""
    for ino, body_id, _, length in rooms.buffer.files.scan():
        body, inode = rooms.buffer.find(ino), rooms.namespace.peek(ino)
        is_current = body is not None and body.phase is not Phase.ABSENT and body.body_id == body_id
        if is_current and inode is not None and inode.nlink:
            continue
        yield Finding(
            id=f"body-{ino:x}-{body_id:x}",
            kind="nameless",
            size_bytes=length,
            reason="removed while it was open" if is_current else "replaced, or never named",
            file=rooms.buffer.files.path(ino, body_id),
            can_be_dropped=True,
        )


def path_of(rooms: LooksLikeRooms, ino: Ino) -> str:
    """The inode's path below the mount point, as text; empty where it has none."""
    inode = rooms.namespace.peek(ino)
    return os.fsdecode(rooms.namespace.path(ino)) if inode is not None and inode.nlink and inode.refs else ""


def _of_body(
    rooms: LooksLikeRooms, body: Body, kind: str, reason: str, extents: list[tuple[int, int]] | None
) -> Finding:
    return Finding(
        id=f"file-{body.ino:x}",
        kind=kind,
        path=path_of(rooms, body.ino),
        size_bytes=body.size,
        reason=reason,
        file=rooms.buffer.files.path(body.ino, body.body_id),
        extents=extents,
    )


def _has_lost_its_base(rooms: LooksLikeRooms, body: Body) -> bool:
    """Whether our records know no name any more from which the missing bytes could come."""
    refs = map(rooms.backlog.stored, rooms.backlog.refs_of(body.ino))
    return all(ref is None or ref.version != body.base_version for ref in refs)
