"""The bodies of a volume with their files: bytes in and out, and the disk budget."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vaultairefs.buffer.bodies import Bodies, Dead
from vaultairefs.buffer.body import Body, BodyFile, Phase
from vaultairefs.buffer.files import BodyFiles
from vaultairefs.buffer.passed import PassedBodies
from vaultairefs.disk.copying import read_all
from vaultairefs.disk.durable import write_all
from vaultairefs.disk.os_errors import translate, translated
from vaultairefs.model.errors import DeviceFailed, InvalidRequest, VaultaireError
from vaultairefs.model.values import Ino, Sequence

Extents = tuple[tuple[int, int], ...]
"""(offset, length) pairs."""

FREE_FLOOR_BYTES: Final = 64 << 20
"""Left free on the state filesystem, for the journal and for everybody else."""

_MEASURE_BYTES: Final = 16 << 20
"""How far a body may grow before its disk use is measured again."""

_RECHECK_BYTES: Final = 8 << 20
"""How much may be written before the state filesystem is asked for its free space again."""


class Buffer(Bodies):
    """Body files in ``directory``, made at first need; at most ``buffer_size`` bytes of disk.

    ``on_failure`` is told (in whichever thread) of a body whose fdatasync failed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        buffer_size: int,
        on_failure: Callable[[Body, VaultaireError], None] | None = None,
        open_files: int = 512,
    ) -> None:
        super().__init__()
        self.files = BodyFiles(directory, open_files)
        self.passed = PassedBodies(self)
        self.buffer_size = buffer_size
        self._on_failure = on_failure
        self._free_bytes = 0
        self._until_recheck = 0
        self._synced: dict[Ino, tuple[Sequence, int, bool, Extents]] = {}

    def read(self, ino: Ino, offset: int, length: int) -> bytes:
        """Bytes of the local body, fewer at its end.  The caller knows the range is present.  ``DeviceFailed``."""
        body = self._usable(ino)
        length = min(length, body.size - offset)
        if length <= 0:
            return b""
        file = body.file or self.files.open(body, make=False)
        if file is None:
            raise DeviceFailed(f"the body file of inode {ino} is missing", operation="read")
        try:
            data = os.pread(file.fd, length, offset)
        except OSError as error:
            raise translate(error, operation="read") from error
        if len(data) < length:
            data = read_all(file.fd, offset, length)
            if len(data) < length:
                raise DeviceFailed(f"the body file of inode {ino} ends too early", operation="read")
        return data

    def write(self, ino: Ino, offset: int, data: bytes | memoryview) -> int:
        """pwrite only; returns the length of ``data``.  The caller then notes or commits it.

        ``OutOfSpace`` (nothing acknowledged; bytes that were there may be partly overwritten), ``DeviceFailed``;
        ``InvalidRequest`` for an ABSENT body: ``Ledger.begin_body`` first.
        """
        body = self._usable(ino)
        file = body.file or self.files.open(body, make=True)
        assert file is not None
        length = len(data)
        try:
            written = os.pwrite(file.fd, data, offset)
        except OSError as error:
            raise translate(error, operation="write") from error
        if written != length:
            self._write_rest(body, file, memoryview(data)[written:], offset + written)
        grown = offset + length - body.size
        if grown > 0:
            grown = min(grown, length)
            body.allocated += grown
            self._used += grown
        body.unmeasured += length
        self._until_recheck -= length
        if body.unmeasured > _MEASURE_BYTES:
            self.measure(body)
        return length

    def _write_rest(self, body: Body, file: BodyFile, rest: memoryview, offset: int) -> None:
        """The kernel took only a part, mostly because the disk is full: all or no growth."""
        try:
            write_all(file.fd, rest, offset)
        except VaultaireError:
            self.cut_back(body.ino)
            raise

    def cut_back(self, ino: Ino) -> None:
        """Take away bytes behind the body's end that a write left there and nobody acknowledged."""
        body = self.known(ino)
        if body.file is not None:
            with translated("truncate"):
                if os.fstat(body.file.fd).st_size > body.size:
                    os.ftruncate(body.file.fd, body.size)

    def truncate_file(self, ino: Ino, size: int) -> None:
        """Set the body file's length, right after ``Truncated`` was committed (no await between)."""
        body = self._usable(ino)
        file = self.files.open(body, make=size > 0)
        if file is not None:
            with translated("truncate"):
                os.ftruncate(file.fd, size)
            self.measure(body)

    def descriptor(self, ino: Ino) -> int:
        """The body file, open for reading and writing, made if need be.  Only until the next await: see ``pinned``."""
        file = self.files.open(self._usable(ino), make=True)
        assert file is not None
        return file.fd

    @contextmanager
    def pinned(self, ino: Ino) -> Iterator[int]:
        """The body file's descriptor, kept valid inside the block even when the body is replaced or evicted.

        Check ``Body.body_id`` afterwards to learn whether it is still the same body.
        """
        file = self.files.open(self._usable(ino), make=True)
        assert file is not None
        file.pins += 1
        try:
            yield file.fd
        finally:
            self.files.unpin(file)

    def sync(self, ino: Ino) -> None:
        """fdatasync the body; blocks, so call it in a thread (or use ``Ledger.sync_body``).

        A failure is final: the body is marked, reported in quarantine, and raises ``DeviceFailed`` for ever.
        """
        if (absent := self._bodies.get(ino)) is None or absent.phase is Phase.ABSENT:
            return
        body = self._usable(ino)
        puts = -1
        # What was synced while a put began may be older than what was put.
        while puts != body.puts:
            puts, body_id, changes, complete = body.puts, body.body_id, body.changes, body.complete
            extents = () if complete else _copy_of(body)
            if not self._sync_file(body, body_id) or body.body_id != body_id:
                return
        body.name_durable = True
        self._synced[ino] = (body_id, changes, complete, extents)

    def _sync_file(self, body: Body, body_id: Sequence) -> bool:
        """fdatasync the file that the body has, or had; False where there is none."""
        try:
            return self.files.sync(body.ino, body_id, name=not body.name_durable)
        except VaultaireError as error:
            body.failed = True
            if self._on_failure is not None:
                self._on_failure(body, error)
            raise DeviceFailed(f"the body of inode {body.ino} could not be synced", operation="fsync") from error

    def take_synced(self) -> Iterator[tuple[Ino, Extents]]:
        """The bodies that ``BodySynced`` is to be committed for, and its extents; for the ledger's sync.

        One is taken when the next is asked for: where the commit fails it comes again.
        """
        for ino, synced in list(self._synced.items()):
            extents = self._untold(ino, *synced)
            if extents is not None:
                yield ino, extents
            if self._synced.get(ino) is synced:
                del self._synced[ino]

    def _untold(self, ino: Ino, body_id: Sequence, changes: int, complete: bool, extents: Extents) -> Extents | None:
        """What ``BodySynced`` should say of a body that was synced in this state; None for nothing."""
        body = self._bodies.get(ino)
        if body is None or body.body_id != body_id or not (body.base_version or body.puts):
            return None
        if not body.unflushed and body.phase is not Phase.OPEN:
            return None
        if complete:
            return None if body.durable_ahead.covers(0, body.size) else ()
        if not extents or all(body.durable_ahead.covers(start, start + n) for start, n in extents):
            return None
        return () if changes == body.changes and not body.complete else extents

    def set_times(self, ino: Ino, mtime_ns: int) -> None:
        """Give the body file this mtime (after AttributesSet on an OPEN body, and after a fetch)."""
        descriptor = self._any_descriptor(ino)
        if descriptor is not None:
            with translated("utimensat"):
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def stat(self, ino: Ino) -> os.stat_result | None:
        """fstat of the body file; None while it has none."""
        descriptor = self._any_descriptor(ino)
        if descriptor is None:
            return None
        with translated("stat"):
            return os.fstat(descriptor)

    def _any_descriptor(self, ino: Ino) -> int | None:
        """The body file, open for who knows what; None while it has none."""
        body = self._bodies.get(ino)
        if body is None or body.phase is Phase.ABSENT:
            return None
        if body.passed is not None:
            return body.passed.fd
        file = self.files.open(body, make=False)
        return None if file is None else file.fd

    @property
    def eviction_bytes(self) -> int:
        """How much should leave at least when room is made: each time costs a look at every body, and a sync."""
        return self.buffer_size // 64

    def has_room(self, bytes_wanted: int) -> bool:
        """Whether that many more bytes fit the budget and the state filesystem (64 MiB are always left free)."""
        if self._used + bytes_wanted > self.buffer_size:
            return False
        if self._until_recheck <= bytes_wanted:
            with translated("statvfs"):
                found = os.statvfs(self.files.directory)
            self._free_bytes = found.f_bavail * found.f_frsize
            self._until_recheck = min(_RECHECK_BYTES, self._free_bytes - FREE_FLOOR_BYTES) + bytes_wanted
        return self._free_bytes - FREE_FLOOR_BYTES >= bytes_wanted

    # For the ledger

    def measure(self, body: Body, allocated: int | None = None) -> None:
        """Take note of how many bytes of disk the body takes: ``allocated``, or what the filesystem says."""
        body.unmeasured = 0
        if allocated is None:
            if body.file is None:
                return
            with translated("stat"):
                allocated = os.fstat(body.file.fd).st_blocks * 512
        else:
            self._until_recheck -= max(allocated - body.allocated, 0)  # written, and not by us
        self._used += allocated - body.allocated
        body.allocated = allocated

    def closed(self, body: Body) -> None:
        """See ``Bodies.closed``."""
        if not self.replaying:
            self.measure(body)

    def take_dead(self, through: Sequence) -> list[Dead]:
        """The graveyard's files that were freed by durable records; ``files.unlink`` them in a thread."""
        dead = []
        while self.graveyard and self.graveyard[0].freed_at <= through:
            corpse = self.graveyard.popleft()
            self._used -= corpse.allocated
            dead.append(corpse)
        return dead

    def _usable(self, ino: Ino) -> Body:
        body = self._bodies.get(ino)
        if body is None or body.phase is Phase.ABSENT:
            raise InvalidRequest(f"inode {ino} has no local body")
        if body.failed:
            raise DeviceFailed(f"the body of inode {ino} could not be synced earlier", operation="fsync")
        self._tick += 1
        body.last_used = self._tick
        return body

    def _let_go_of(self, body: Body) -> None:
        self.passed.end(body)

    def _retire_file(self, body: Body, file: BodyFile) -> None:
        self.files.retire(body, file)


def _copy_of(body: Body) -> Extents:
    """The dirty extents, read by a thread while the loop may change them: tried until a copy is consistent."""
    while True:
        try:
            return tuple((extent.offset, extent.length) for extent in body.dirty)
        except ValueError:
            continue
