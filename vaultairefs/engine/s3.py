"""The S3 engine: one bucket, or a prefix of one, as a namespace of plain objects.

Every artifact is an object of the same path and bytes, attributes are metadata in s3fs's form, containers are prefixes
with an object ``dir/`` where they are empty or have attributes; any S3 client can read and write them.  Only
``.vaultairefs/`` at the top is ours (``docs/formats/s3-engine.md``).

Promise: the contract of ``interface.py`` for an engine without moves and links, whose containers need no parents
(``capabilities.names_checked`` is False).  What the store does not check is checked right before, and
``capabilities.conditional`` says so.  This file only moves each verb into threads; the rooms behind it are
``s3_reading``, ``s3_artifacts``, ``s3_containers``, ``s3_deletion``, ``s3_uploads`` and ``s3_probe``, on ``s3_store``.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from vaultairefs.engine.interface import Capabilities, Deletion, Engine, EntryInfo, Grouped, ListingPage, Upload, Usage
from vaultairefs.engine.paths import ROOT_PATH, staging_path
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_account import S3Account
from vaultairefs.engine.s3_artifacts import S3Artifacts
from vaultairefs.engine.s3_client import S3Client
from vaultairefs.engine.s3_containers import S3Containers
from vaultairefs.engine.s3_deletion import S3Deletion
from vaultairefs.engine.s3_dialects import Owner
from vaultairefs.engine.s3_findings import findings_of
from vaultairefs.engine.s3_grouping import S3Grouping
from vaultairefs.engine.s3_index import S3Index
from vaultairefs.engine.s3_keys import Keys
from vaultairefs.engine.s3_links import S3Links
from vaultairefs.engine.s3_meeting import S3Meeting
from vaultairefs.engine.s3_objects import PAGE_KEYS
from vaultairefs.engine.s3_options import parse
from vaultairefs.engine.s3_reading import S3Reading
from vaultairefs.engine.s3_running import Runner
from vaultairefs.engine.s3_session import Session
from vaultairefs.engine.s3_store import PART_BYTES_MIN, PARTS_MAX, S3Store
from vaultairefs.engine.s3_uploads import S3Uploads
from vaultairefs.model.errors import NotSupported, VaultaireError
from vaultairefs.model.values import Attributes, EntryPath, Kind, Version

T = TypeVar("T")

_INLINE_BYTES_MAX: Final = 16 << 20
"""One put holds its body in memory; an artifact of exactly the chunk size is one request."""


class S3Engine:
    """``Engine`` over one namespace of one bucket."""

    def __init__(
        self,
        client: S3Client,
        base: bytes,
        identity: str,
        runner: Runner,
        *,
        page_entries: int = PAGE_KEYS,
        read_only: bool = False,
    ) -> None:
        self._identity = identity
        self._read_only = read_only
        self._client = client
        self._runner = runner
        self._store = S3Store(client, Keys(base), Owner(os.geteuid(), os.getegid()), time.time_ns())
        self._meeting = S3Meeting(client, self._store, identity, read_only=read_only)
        links = S3Links(self._store)
        self._reading = S3Reading(self._store, links, page_entries)
        self._artifacts = S3Artifacts(self._store, self._reading)
        self._index = S3Index(self._store)
        self._containers = S3Containers(self._store, self._reading, self._index)
        self._deletion = S3Deletion(self._store, self._containers, runner)
        self._uploads = S3Uploads(self._store, self._artifacts)
        self._grouping = S3Grouping(self._store, self._reading, self._artifacts, links)

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            conditional=self._store.abilities.is_conditional,
            names_checked=False,
            groups=True,
            copies_chunks=self._store.abilities.part_copy,
            chunks_max=PARTS_MAX,
            upkeep=not self._read_only,
            inline_bytes_max=_INLINE_BYTES_MAX,
            chunk_bytes_min=PART_BYTES_MIN,
            findings=() if self._store.abilities == Abilities() else findings_of(self._store.abilities),
        )

    @property
    def abilities(self) -> Abilities:
        """What the probe found, in detail."""
        return self._store.abilities

    @property
    def requests(self) -> Mapping[str, int]:
        """How many requests went out, by operation."""
        return self._client.requests

    async def probe(self) -> Capabilities:
        """Costs some forty small requests, once per mount."""

        await self._run("probe", ROOT_PATH, self._meeting.probe)
        return self.capabilities

    def knowledge(self) -> bytes:
        """What the probe found, for an engine of the same namespace in another process."""
        return self._meeting.knowledge()

    def rely_on(self, knowledge: bytes) -> None:
        """As if this engine had been opened and probed when that one was."""
        self._meeting.rely_on(knowledge)

    async def stat(self, path: EntryPath) -> EntryInfo:
        return await self._run("stat", path, lambda: self._reading.stat(path))

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        path = EntryPath(container, b"")
        rows, following = await self._run("list", path, lambda: self._reading.page(container, cursor))
        if self._reading.needs_index(rows):
            await self._run("list", path, lambda: self._index.load(self._store.keys.prefix(container)))
        entries = await self._runner.each(path, "list", rows, self._reading.describe)
        return ListingPage([entry for entry in entries if entry is not None], following)

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        def work() -> int:
            return self._reading.read(path, version, offset, length, descriptor, position)

        return await self._run("read", path, work)

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
            return self._artifacts.put(path, content, attributes, expected, token, link_id)

        return await self._run("put", path, work)

    async def begin_upload(
        self, path: EntryPath, size: int, attributes: Attributes, *, token: str, link_id: str = ""
    ) -> Upload:
        def work() -> Upload:
            return self._uploads.begin(path, size, attributes, token, link_id)

        return await self._run("begin_upload", path, work)

    async def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        def work() -> str:
            return self._uploads.put_chunk(upload, number, offset, descriptor, length)

        return await self._run("put_chunk", upload.path, work)

    async def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        def work() -> str:
            return self._uploads.copy_chunk(upload, number, offset, length, source, version)

        return await self._run("copy_chunk", upload.path, work)

    async def commit_upload(
        self, upload: Upload, receipts: Sequence[str], attributes: Attributes, *, expected: Version
    ) -> Version:
        def work() -> Version:
            return self._uploads.commit(upload, receipts, attributes, expected)

        return await self._run("commit_upload", upload.path, work)

    async def abort_upload(self, upload: Upload) -> None:
        await self._run("abort_upload", upload.path, lambda: self._uploads.abort(upload))

    async def list_uploads(self) -> Sequence[Upload]:
        return await self._run("list_uploads", ROOT_PATH, self._uploads.list)

    async def set_attributes(
        self, path: EntryPath, attributes: Attributes, *, expected: Version, link_id: str = ""
    ) -> Version:
        def work() -> Version:
            if path == ROOT_PATH or (attributes.kind is Kind.CONTAINER and self._reading.is_container(path)):
                return self._containers.set_attributes(path.joined, attributes, expected)
            return self._artifacts.set_attributes(path, attributes, expected, link_id)

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
            return self._artifacts.copy(source, target, version, attributes, expected, token, link_id)

        return await self._run("copy", source, work)

    async def group(self, link_id: str, names: Sequence[Grouped], attributes: Attributes) -> int:
        return await self._run("group", ROOT_PATH, lambda: self._grouping.group(link_id, names, attributes))

    async def move(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        raise NotSupported("S3 has no renames", container=source.container, artifact=source.name, operation="move")

    async def link(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        raise NotSupported("S3 has no links", container=source.container, artifact=source.name, operation="link")

    async def delete(self, deletions: Sequence[Deletion]) -> Sequence[VaultaireError | None]:
        return await self._deletion.delete(deletions)

    async def create_container(self, container: bytes, attributes: Attributes) -> Version:
        def work() -> Version:
            return self._containers.create(container, attributes)

        return await self._run("create_container", EntryPath(container, b""), work)

    async def delete_container(self, container: bytes) -> None:
        path = EntryPath(container, b"")
        await self._run("delete_container", path, lambda: self._containers.delete(container))

    def staging_path(self, name: bytes) -> EntryPath:
        return staging_path(name)

    async def usage(self) -> Usage:
        """S3 does not say."""
        await trio.lowlevel.checkpoint()
        return Usage()

    async def upkeep(self, *, everything: bool) -> float | None:
        """Writes index artifacts; see ``s3_index``."""
        while not self._read_only:
            ready, wait = self._index.due(everything=everything)
            for prefix in ready:
                await self._run("upkeep", ROOT_PATH, partial(self._index.write, prefix))
            if not everything or wait is None:
                return wait
            await trio.sleep(wait)
        return None

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self._client.close()

    async def _run(self, operation: str, path: EntryPath, work: Callable[[], T]) -> T:
        return await self._runner.run(path, operation, work)


def open_engine(
    spec: str, tenant: str | None = None, *, read_only: bool = False, options: Mapping[str, str] = {}
) -> Engine:
    """The engine of ``s3://bucket/prefix``, of ``t-TENANT/`` below it where a tenant is given; of the whole account
    for ``s3://``.

    ``read_only``: the probe tries nothing out.  Blocking, briefly, and without asking the store.  ``BadInput`` says in
    one sentence what is wrong.
    """
    parsed = parse(spec, tenant, options)
    session = Session(parsed)
    client = S3Client(session, parsed.bucket, parsed.max_requests)
    runner = Runner(parsed.max_requests)
    identity = f"s3://{parsed.bucket}/{parsed.base.decode()}".rstrip("/") + f" at {session.endpoint}"
    if not parsed.bucket:
        return S3Account(client, f"s3:// at {session.endpoint}", runner, partial(S3Engine, read_only=read_only))
    return S3Engine(client, parsed.base, identity, runner, read_only=read_only)
