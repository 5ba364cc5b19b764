"""The local engine: a directory of plain files.

Every container is a directory, every artifact a file, symlink or node of the same name; any program can read and write
them.  Only ``.vaultairefs/`` in the namespace's root is ours (``docs/formats/local-engine.md``).

Promise: the contract of ``interface.py``; nothing outside the namespace's directory is ever touched, and no symlink in
it is followed.  Conditions on versions are checked right before the change, not with it.
This file only moves each verb into a worker thread and translates its failures; the rooms behind it are
``local_reading``, ``local_artifacts``, ``local_uploads`` and ``local_names``, on ``local_tree``.
"""

import os
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
import trio

from vaultairefs.disk.copying import copies_every_block
from vaultairefs.disk.os_errors import translated
from vaultairefs.engine.interface import Capabilities, Deletion, EntryInfo, Grouped, ListingPage, Upload, Usage
from vaultairefs.engine.local_artifacts import LocalArtifacts
from vaultairefs.engine.local_attributes import LocalAttributes
from vaultairefs.engine.local_copying import LocalCopying
from vaultairefs.engine.local_names import LocalNames
from vaultairefs.engine.local_reading import PAGE_ENTRIES, LocalReading
from vaultairefs.engine.local_record import Records
from vaultairefs.engine.local_session import LocalSession, clean_leftovers
from vaultairefs.engine.local_tree import LocalTree
from vaultairefs.engine.local_uploads import LocalUploads
from vaultairefs.engine.paths import ROOT_PATH, staging_path
from vaultairefs.engine.tenancy import namespace_name, refuse_options
from vaultairefs.model.errors import BadInput, NotSupported, VaultaireError
from vaultairefs.model.values import Attributes, EntryPath, Version

T = TypeVar("T")

_CAPABILITIES: Final = Capabilities(
    moves=True, links=True, copies_chunks=True, conditional=False, container_times_disturbed=True
)
_NAME_THREADS: Final = 16
"""Verbs on names wait for the disk's log, which serves many at once."""
_BULK_THREADS: Final = 8
"""Copies of bytes have their own threads, so that names never queue behind them."""


class LocalEngine:
    """``Engine`` over an open directory, which it owns from then on."""

    def __init__(self, root_fd: int, identity: str, *, page_entries: int = PAGE_ENTRIES) -> None:
        self._identity = identity
        self._capabilities = _CAPABILITIES
        self._tree = LocalTree(root_fd)
        attributes = LocalAttributes(Records(self._tree))
        self._session = LocalSession(self._tree)
        self._reading = LocalReading(self._tree, attributes, page_entries)
        self._artifacts = LocalArtifacts(self._tree, attributes, self._session)
        self._copying = LocalCopying(self._tree, attributes, self._artifacts)
        self._uploads = LocalUploads(self._tree, attributes, self._session, self._artifacts)
        self._names = LocalNames(self._tree, attributes, self._session, self._artifacts)
        self._name_limiter = trio.CapacityLimiter(_NAME_THREADS)
        self._bulk_limiter = trio.CapacityLimiter(_BULK_THREADS)

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def probe(self) -> Capabilities:
        """A look at the root; only what a copied chunk saves depends on the filesystem."""
        await self.stat(ROOT_PATH)
        copies = await trio.to_thread.run_sync(copies_every_block, self._tree.root_fd)
        self._capabilities = msgspec.structs.replace(_CAPABILITIES, copied_chunks_save=not copies)
        return self._capabilities

    async def stat(self, path: EntryPath) -> EntryInfo:
        return await self._run("stat", path, lambda: self._reading.stat(path))

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        return await self._run("list", _of(container), lambda: self._reading.list(container, cursor))

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        def work() -> int:
            return self._reading.read(path, version, offset, length, descriptor, position)

        return await self._run("read", path, work, self._bulk_limiter)

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
        def work() -> Version:
            return self._artifacts.put(path, content, attributes, expected, token)

        return await self._run("put", path, work)

    async def begin_upload(
        self, path: EntryPath, size: int, attributes: Attributes, *, token: str, link_id: str = ""
    ) -> Upload:
        return await self._run("begin_upload", path, lambda: self._uploads.begin(path, size, token))

    async def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        def work() -> str:
            return self._uploads.put_chunk(upload, number, offset, descriptor, length)

        return await self._run("put_chunk", upload.path, work, self._bulk_limiter)

    async def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        def work() -> str:
            return self._uploads.copy_chunk(upload, number, offset, length, source, version)

        return await self._run("copy_chunk", upload.path, work, self._bulk_limiter)

    async def commit_upload(
        self, upload: Upload, receipts: Sequence[str], attributes: Attributes, *, expected: Version
    ) -> Version:
        def work() -> Version:
            return self._uploads.commit(upload, receipts, attributes, expected)

        return await self._run("commit_upload", upload.path, work, self._bulk_limiter)

    async def abort_upload(self, upload: Upload) -> None:
        await self._run("abort_upload", upload.path, lambda: self._uploads.abort(upload))

    async def list_uploads(self) -> Sequence[Upload]:
        return await self._run("list_uploads", ROOT_PATH, self._uploads.list)

    async def set_attributes(
        self, path: EntryPath, attributes: Attributes, *, expected: Version, link_id: str = ""
    ) -> Version:
        def work() -> Version:
            return self._artifacts.set_attributes(path, attributes, expected)

        return await self._run("set_attributes", path, work)

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
        def work() -> Version:
            return self._copying.copy(source, target, version, attributes, expected, token)

        return await self._run("copy", source, work, self._bulk_limiter)

    async def move(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        await self._run("move", source, lambda: self._names.move(source, target, version, expected))

    async def link(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        await self._run("link", source, lambda: self._names.link(source, target, version, expected))

    async def group(self, link_id: str, names: Sequence[Grouped], attributes: Attributes) -> int:
        raise NotSupported("names of one file are one file here", operation="group")

    async def delete(self, deletions: Sequence[Deletion]) -> Sequence[VaultaireError | None]:
        return await self._run("delete", ROOT_PATH, lambda: self._names.delete(deletions))

    async def create_container(self, container: bytes, attributes: Attributes) -> Version:
        def work() -> Version:
            return self._names.create_container(container, attributes)

        return await self._run("create_container", _of(container), work)

    async def delete_container(self, container: bytes) -> None:
        await self._run("delete_container", _of(container), lambda: self._names.delete_container(container))

    def staging_path(self, name: bytes) -> EntryPath:
        return staging_path(name)

    async def usage(self) -> Usage:
        return await self._run("usage", ROOT_PATH, self._reading.usage)

    async def upkeep(self, *, everything: bool) -> float | None:
        await trio.lowlevel.checkpoint()
        return None

    async def close(self) -> None:
        await self._run("close", ROOT_PATH, self._close)

    def _close(self) -> None:
        self._session.close()
        self._tree.close()

    async def _run(
        self, operation: str, path: EntryPath, work: Callable[[], T], limiter: trio.CapacityLimiter | None = None
    ) -> T:
        def translating() -> T:
            with translated(operation, container=path.container, artifact=path.name):
                return work()

        return await trio.to_thread.run_sync(translating, limiter=limiter or self._name_limiter)


def _of(container: bytes) -> EntryPath:
    return EntryPath(container, b"")


def open_engine(
    spec: str, tenant: str | None = None, *, read_only: bool = False, options: Mapping[str, str] = {}
) -> LocalEngine:
    """The engine of ``file:///absolute/directory``, of ``t-TENANT`` in it where a tenant is given.

    Blocking, briefly.  The directory must exist; a tenant's is made unless ``read_only``, which changes nothing at all.
    ``BadInput`` says in one sentence what is wrong.
    """
    refuse_options(spec, options)
    directory = _directory_of(spec)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        root_fd = os.open(directory, flags)
        if tenant is not None:
            root_fd = _enter(root_fd, namespace_name(tenant), flags, make=not read_only)
        path = os.path.realpath(directory)
    except FileNotFoundError:
        what = "tenant" if tenant is not None and os.path.isdir(directory) else "directory"
        raise BadInput(f"{spec}: there is no such {what}") from None
    except NotADirectoryError:
        raise BadInput(f"{spec}: this is no directory") from None
    except OSError as error:
        raise BadInput(f"{spec}: cannot be opened: {error.strerror}") from error
    if tenant is not None:
        path = os.path.join(path, namespace_name(tenant).encode())
    engine = LocalEngine(root_fd, "file://" + urllib.parse.quote_from_bytes(path))
    if not read_only:
        with suppress(OSError):  # a store that cannot be cleaned, a full one for example, can still be used
            clean_leftovers(engine._tree)
    return engine


def _directory_of(spec: str) -> bytes:
    scheme, _, rest = spec.partition("://")
    if scheme.lower() != "file" or not rest.startswith("/"):
        raise BadInput(f"{spec}: a local engine is written file:///absolute/directory")
    return urllib.parse.unquote_to_bytes(rest)


def _enter(root_fd: int, name: str, flags: int, *, make: bool) -> int:
    """The directory ``name`` inside, made if need be; closes ``root_fd``.  A symlink there is refused."""
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=root_fd)
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=root_fd)
    finally:
        os.close(root_fd)
