"""The states of all bodies, and what they add up to.  ``buffer.py`` adds their files."""

from collections import deque
from typing import NamedTuple

from vaultairefs.buffer import posting
from vaultairefs.buffer.body import NO_BODY, Body, BodyFile, Phase
from vaultairefs.model.changes import Change
from vaultairefs.model.errors import InvalidRequest
from vaultairefs.model.values import ABSENT, Ino, Sequence, Version


class Dead(NamedTuple):
    """A body file that nothing reaches any more, once the record ``freed_at`` is durable."""

    freed_at: Sequence
    ino: Ino
    body_id: Sequence
    allocated: int


class OpenBodies:
    """Which bodies there are, and who has them open."""

    def __init__(self) -> None:
        self._bodies: dict[Ino, Body] = {}
        self._tick = 0

    def find(self, ino: Ino) -> Body | None:
        """The body's state; None means ABSENT and not open."""
        return self._bodies.get(ino)

    def known(self, ino: Ino) -> Body:
        """The body's state; ``InvalidRequest`` where there is none."""
        body = self._bodies.get(ino)
        if body is None:
            raise InvalidRequest(f"inode {ino} has no body")
        return body

    def all(self) -> list[Body]:
        """Every body that is not ABSENT, or is open."""
        return list(self._bodies.values())

    @property
    def count(self) -> int:
        """How many of them there are."""
        return len(self._bodies)

    def hold(self, ino: Ino, *, writing: bool) -> Body:
        """Count one more open handle (and writer); makes an ABSENT body where there is none."""
        body = self._bodies.get(ino)
        if body is None:
            body = self._bodies[ino] = Body(ino)
        body.handles += 1
        body.writers += writing
        return body

    def let_go(self, ino: Ino, *, writing: bool) -> Body:
        """Undo one ``hold``; look at the result's ``handles`` and ``writers``."""
        body = self.known(ino)
        body.handles -= 1
        body.writers -= writing
        assert body.handles >= body.writers >= 0, "let_go without hold"
        self._tick += 1
        body.last_used = self._tick
        if body.phase is Phase.ABSENT and not body.handles:
            del self._bodies[ino]
        return body


class Bodies(OpenBodies):
    """What is known of each body; no file is touched here.

    ``replaying`` is True while recovery posts: writes that only ``Ledger.note_write`` saw are missing then.
    Invariants: ``_used`` is the sum of ``allocated`` over bodies and graveyard; the graveyard is in order of
    ``freed_at``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replaying = False
        self.graveyard: deque[Dead] = deque()
        self._used = 0

    def check(self, change: Change) -> None:
        """Refuse a change that does not fit the body: ``Stale`` or ``InvalidRequest``."""
        posting.check(self, change)

    def apply(self, sequence: Sequence, change: Change) -> None:
        """Post one change.  Only the ledger calls this."""
        posting.apply(self, sequence, change)

    def begin(self, ino: Ino, sequence: Sequence) -> Body:
        """A new body for the inode, ABSENT so far; the file of the one before is freed by this change."""
        body = self._bodies.get(ino)
        if body is None:
            body = self._bodies[ino] = Body(ino, sequence)
        else:
            self._retire(body, sequence)
            body.renew(sequence)
        self._tick += 1
        body.last_used = self._tick
        return body

    def empty(self, ino: Ino, sequence: Sequence) -> None:
        """Forget the body's bytes; its file is freed by the change ``sequence``."""
        body = self._bodies.get(ino)
        if body is None:
            return
        self._retire(body, sequence)
        body.renew(NO_BODY)
        if not body.handles:
            del self._bodies[ino]

    def follow_base(self, ino: Ino, gone: Version, held: Version) -> None:
        """The engine holds the bytes of ``gone`` as ``held`` now."""
        body = self._bodies.get(ino)
        if body is not None and body.base_version == gone != ABSENT:
            body.base_version = held

    def keep_base(self, ino: Ino, versions: set[Version]) -> bool:
        """The engine holds only these versions of the inode any more: a body of another one stands for itself.

        Whether that is so now, for the first time.
        """
        body = self._bodies.get(ino)
        if body is None or not body.complete or body.base_version == ABSENT or body.base_version in versions:
            return False
        posting.detach(body)
        return True

    def evictable(self, bytes_wanted: int) -> list[Ino]:
        """Clean, closed, unpinned bodies, least recently used first, enough to free ``bytes_wanted`` (or all).

        Commit ``BodyEvicted`` for each.  Bodies with open handles come last.
        """
        candidates = [
            body
            for body in self._bodies.values()
            if body.phase is not Phase.ABSENT
            and posting.can_leave(body)
            and not body.failed
            and not (body.file and body.file.pins)
        ]
        candidates.sort(key=lambda body: (body.handles > 0, body.last_used))
        chosen = []
        for body in candidates:
            if bytes_wanted <= 0:
                break
            chosen.append(body.ino)
            bytes_wanted -= body.allocated
        return chosen

    @property
    def used_bytes(self) -> int:
        """Disk taken by all body files, the graveyard included (an estimate, re-measured as files grow)."""
        return self._used

    @property
    def leaving_bytes(self) -> int:
        """Disk taken by files that go when the records that freed them are durable."""
        return sum(dead.allocated for dead in self.graveyard)

    @property
    def dirty_bytes(self) -> int:
        """Bytes the engine does not have."""
        return sum(body.dirty.total() for body in self._bodies.values() if body.unflushed)

    # For the buffer and recovery

    def recount(self) -> None:
        """Add up what was measured from outside."""
        self._used = sum(body.allocated for body in self._bodies.values())
        self._used += sum(dead.allocated for dead in self.graveyard)

    def closed(self, body: Body) -> None:
        """The last writer of a body left: its file has its final size for now."""

    def _retire(self, body: Body, sequence: Sequence) -> None:
        """The body's file goes to the graveyard."""
        if body.phase is not Phase.ABSENT:
            self.graveyard.append(Dead(sequence, body.ino, body.body_id, body.allocated))
        if body.passed is not None:
            self._let_go_of(body)
        if body.file is not None:
            self._retire_file(body, body.file)
        body.file = None

    def _let_go_of(self, body: Body) -> None:
        """The body's file is nobody's concern here any more, whoever has it open."""

    def _retire_file(self, body: Body, file: BodyFile) -> None:
        """The open file belongs to no body any more."""
        file.retired = True
