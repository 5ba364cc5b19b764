"""The engine seam: what a store must do for a volume, and nothing else.

The rules for every verb:

* *May be repeated.*  The flusher may call any verb again after a failure or a crash.  A verb that finds its own
  work already done (``token`` matches, or the target holds the source's version and the source is gone) succeeds.
* *Conditions.*  ``expected`` is the version that the caller believes is there: ``ABSENT`` (the name is free),
  ``ANY``, or a version.  Anything else there: ``Conflict``, and nothing is changed.
* *Whole.*  An artifact appears with all bytes and attributes or not at all; the old one stays readable until then.
* *Durable.*  When a verb has returned, power loss does not undo it.
* *Errors.*  Only words of ``model/errors.py``: ``NotFound``, ``Conflict``, ``AlreadyExists``, ``NotAContainer``,
  ``IsAContainer``, ``ContainerNotEmpty``, ``OutOfSpace``, ``QuotaExceeded``, ``AccessDenied``, ``ReadOnly``,
  ``NameTooLong``, ``NotSupported``, ``Corrupt``, ``Unavailable``; the last may be repeated later.
* *Nobody follows links.*  A symlink is an artifact whose ``attributes.target`` is its text.
* *Cancellation.*  A cancelled verb may or may not have happened; repeating it settles that.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import ANY, Attributes, EntryPath, Version


class Finding(msgspec.Struct, frozen=True):
    """One thing that ``probe`` tried out, in words for operators."""

    subject: str
    found: str
    is_degraded: bool = False
    """Whether the store does less here than a volume would have it do."""


class Capabilities(msgspec.Struct, frozen=True):
    """What this engine can do, found out by ``probe``."""

    moves: bool = False
    """``move`` renames artifacts and whole containers without copying their bytes."""
    links: bool = False
    """``link`` makes a second name of one artifact, with one set of attributes."""
    conditional: bool = True
    """Conditions are atomic in the store (else a check right before: best effort)."""
    container_times_disturbed: bool = False
    """Changes inside a container move its own mtime, so the flusher sets it again afterwards."""
    inline_bytes_max: int = 1 << 20
    """Up to this size a body is handed over as bytes in one ``put``; above it goes up in chunks."""
    chunk_bytes: int = 16 << 20
    """The preferred size of one chunk of an upload."""
    chunk_bytes_min: int = 1
    """Every chunk of an upload but its last has at least this size, or ``commit_upload`` fails."""
    chunks_max: int = 10_000
    """An upload has no more chunks than this."""
    groups: bool = False
    """Each name of a linked artifact is an artifact of its own, and ``group`` remembers which belong together."""
    copies_chunks: bool = False
    """``copy_chunk`` takes chunks of exactly one version of an artifact, without a byte of them being sent."""
    copied_chunks_save: bool = True
    """That costs the store less than chunks that are sent."""
    upkeep: bool = False
    """``upkeep`` has something to do now and then."""
    names_checked: bool = True
    """A verb that makes an entry finds out whether its container is there and its name free of the other kind.  Else
    containers come with what is put into them, and an artifact beside a container of its name has another one."""
    findings: tuple[Finding, ...] = ()
    """What the store was found to do, for operators: ``doctor``, ``status`` and the log."""

    @property
    def degraded(self) -> list[str]:
        """The subjects of those findings in which the store does less."""
        return [finding.subject for finding in self.findings if finding.is_degraded]


class EntryInfo(NamedTuple):
    """One entry as the engine holds it.

    For containers ``size`` is 0 and ``version`` is an identity that survives moves and changes inside.
    ``links`` is the engine's own count of names; entries with one non-empty ``link_id`` are the same artifact, and
    ``same_as`` the other versions that its names have.  ``token`` is what the ``put`` that made this version was given.
    """

    name: bytes
    attributes: Attributes
    size: int
    version: Version
    links: int = 1
    link_id: str = ""
    token: str = ""
    same_as: tuple[Version, ...] = ()


class ListingPage(NamedTuple):
    """Some entries of a container; ``cursor`` continues the listing, None ends it."""

    entries: Sequence[EntryInfo]
    cursor: str | None


class Usage(NamedTuple):
    """Capacity and use, in bytes and entries; None where the engine cannot tell."""

    capacity_bytes: int | None = None
    free_bytes: int | None = None
    available_bytes: int | None = None
    entries: int | None = None
    entries_free: int | None = None


class Grouped(NamedTuple):
    """One name of a group and what is there."""

    path: EntryPath
    version: Version


class Deletion(NamedTuple):
    """One name to delete and the version expected there."""

    path: EntryPath
    expected: Version = ANY


class Upload(NamedTuple):
    """An upload under way; ``upload_id`` is the engine's own word for it."""

    path: EntryPath
    upload_id: str


class Engine(Protocol):
    """See the module's text for what holds for every verb."""

    @property
    def identity(self) -> str:
        """Names the store and namespace, e.g. ``file:///srv/data``; a state directory belongs to one identity."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What ``probe`` found, or the engine's fixed abilities before that."""
        ...

    async def probe(self) -> Capabilities:
        """Find out what the store really does.  ``Unavailable``/``AccessDenied``/``NotFound`` if it is no use."""
        ...

    async def stat(self, path: EntryPath) -> EntryInfo:
        """The entry at ``path``; ``EntryPath(b"", b"")`` is the root container.  ``NotFound`` if there is none."""
        ...

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        """A page of the container's entries, in any order, each once.  ``NotFound``/``NotAContainer``."""
        ...

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        """Copy ``length`` bytes at ``offset`` of exactly ``version`` into ``descriptor`` at ``position``.

        Returns the bytes copied: fewer only at the end of the artifact.  ``Conflict`` when another version is
        there; ``NotFound`` when nothing is.  Never mixes versions.
        """
        ...

    async def put(
        self,
        path: EntryPath,
        content: bytes,
        attributes: Attributes,
        *,
        expected: Version,
        token: str,
        link_id: str = "",
    ) -> Version:
        """Store a small file (``content``), a symlink or a node (no content) whole.  Replaces an artifact only.

        Returns the new version.  A replaced name that had other links leaves those as they were.  ``link_id`` is the
        mark that it carries for ``group``; engines without groups ignore it.
        """
        ...

    async def begin_upload(
        self, path: EntryPath, size: int, attributes: Attributes, *, token: str, link_id: str = ""
    ) -> Upload:
        """Start a file of ``size`` bytes, ``link_id`` as in ``put``.  Nothing is visible before ``commit_upload``."""
        ...

    async def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        """Send bytes ``offset``.. of ``descriptor`` as chunk ``number`` (from 0); returns its receipt.

        Chunks may go up in any order and at the same time; chunk ``number`` begins where ``number - 1`` ends.
        ``Corrupt`` when the descriptor ends early.
        """
        ...

    async def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        """Take bytes ``offset``.. of ``version`` at ``source`` as chunk ``number``, which has the same place in the
        upload; returns its receipt.

        Needs ``capabilities.copies_chunks``.  ``Conflict`` or ``NotFound`` when that version is not there any more;
        ``Corrupt`` when it ends early.  Else as ``put_chunk``.
        """
        ...

    async def commit_upload(
        self, upload: Upload, receipts: Sequence[str], attributes: Attributes, *, expected: Version
    ) -> Version:
        """Publish the upload whole, with ``attributes``; ``Conflict`` leaves the upload to be aborted."""
        ...

    async def abort_upload(self, upload: Upload) -> None:
        """Throw an upload away; an unknown one is no error."""
        ...

    async def list_uploads(self) -> Sequence[Upload]:
        """Uploads of this namespace that were neither committed nor aborted."""
        ...

    async def set_attributes(
        self, path: EntryPath, attributes: Attributes, *, expected: Version, link_id: str = ""
    ) -> Version:
        """Change all but the bytes, and the mark of an artifact if ``link_id`` says one; returns its version."""
        ...

    async def move(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        """Rename an artifact or container of ``version``; ``expected`` is what the target holds.

        Needs ``capabilities.moves``.  A target container is never replaced.  The version stays the same.
        """
        ...

    async def copy(
        self,
        source: EntryPath,
        target: EntryPath,
        *,
        version: Version,
        attributes: Attributes | None,
        expected: Version,
        token: str,
        link_id: str = "",
    ) -> Version:
        """Make ``target`` a new artifact with the bytes of ``version`` at ``source``, without sending them.

        ``attributes`` are the new one's (its kind, device number and link target stay the source's), None keeps the
        source's.  ``expected`` is what the target holds; ``token`` is as for ``put``: a copy that finds its token at
        the target succeeds, whatever became of the source.  ``link_id`` as in ``put``: the source's is not handed on.
        Returns the target's version.
        """
        ...

    async def group(self, link_id: str, names: Sequence[Grouped], attributes: Attributes) -> int:
        """Have the artifacts at ``names``, which carry ``link_id`` and hold the same, listed as one artifact.

        Needs ``capabilities.groups``.  ``names`` are all that the caller knows of.  Others stay in the group while
        they are as it left them, and become copies of the first of ``names`` where they differ from that or from
        ``attributes``.  Where another version is, the name is none of it any more.  Returns how many names there are.
        """
        ...

    async def link(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        """Make ``target`` one more name of ``source``, replacing what ``expected`` says, atomically.

        Needs ``capabilities.links``.
        """
        ...

    async def delete(self, deletions: Sequence[Deletion]) -> Sequence[VaultaireError | None]:
        """Delete artifacts, each for itself; a name that is gone already counts as deleted."""
        ...

    async def create_container(self, container: bytes, attributes: Attributes) -> Version:
        """Create an empty container; one that is there already is given the attributes.  Returns its identity."""
        ...

    async def delete_container(self, container: bytes) -> None:
        """Delete an empty container; one that is gone is no error.  ``ContainerNotEmpty`` else."""
        ...

    def staging_path(self, name: bytes) -> EntryPath:
        """Where ``name`` can be parked while names are rearranged: a path that no listing shows."""
        ...

    async def usage(self) -> Usage:
        """Capacity and use of the store."""
        ...

    async def upkeep(self, *, everything: bool) -> float | None:
        """Do what was put off because it only makes later calls cheaper.

        Returns in how many seconds there may be more.  ``everything``: a mount ends; waits for what cannot be done yet.
        """
        ...

    async def close(self) -> None:
        """Release what is open; nothing is lost by not calling it."""
        ...
