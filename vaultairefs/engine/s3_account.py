"""``s3://`` without a bucket: the account as one namespace, whose top-level containers are its buckets.

Making one creates a bucket, removing one deletes an empty bucket; nothing else can be at the top, and the top has no
attributes of its own to keep.

Promise: each bucket is an engine of its own, probed when it is first used, so nothing reaches from one into another:
copies between buckets are ``CrossesVolumes``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from vaultairefs.engine.interface import Capabilities, Deletion, Engine, EntryInfo, Grouped, ListingPage, Upload, Usage
from vaultairefs.engine.paths import ROOT_PATH, STAGING_CONTAINER, staging_path
from vaultairefs.engine.s3_buckets import Bucket, S3Buckets
from vaultairefs.engine.s3_client import S3Client
from vaultairefs.engine.s3_running import Runner
from vaultairefs.model.errors import (
    BadInput,
    CrossesVolumes,
    InvalidRequest,
    NotFound,
    NotPermitted,
    NotSupported,
    VaultaireError,
)
from vaultairefs.model.values import Attributes, EntryPath, Kind, Version

T = TypeVar("T")

_BUCKET: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")
_TOP: Final = Version("account")


class EngineFactory(Protocol):
    """Makes the engine of one bucket."""

    def __call__(self, client: S3Client, base: bytes, identity: str, runner: Runner) -> Engine: ...


class S3Account:
    """``Engine`` over all buckets of an account; ``client`` is one about no bucket."""

    def __init__(self, client: S3Client, identity: str, runner: Runner, factory: EngineFactory) -> None:
        self._client = client
        self._identity = identity
        self._runner = runner
        self._factory = factory
        self._buckets = S3Buckets(client)
        self._engines: dict[bytes, Engine] = {}
        self._opening = trio.Lock()
        self._capabilities = Capabilities(names_checked=False, groups=True, conditional=False, upkeep=True)

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """Those of the bucket that was used last: all are in one store."""
        return self._capabilities

    @property
    def requests(self) -> Mapping[str, int]:
        return self._client.requests

    async def probe(self) -> Capabilities:
        """Lists the buckets, and tries out the first."""
        for bucket in (await self._list_buckets())[:1]:
            await self._engine(bucket.name.encode())
        return self._capabilities

    async def stat(self, path: EntryPath) -> EntryInfo:
        if path.container:
            engine, inner = await self._inside(path)
            return await engine.stat(inner)
        buckets = await self._list_buckets()
        if path == ROOT_PATH:
            return EntryInfo(b"", Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0), 0, _TOP)
        for bucket in buckets:
            if bucket.name.encode() == path.name:
                return await self._bucket_info(bucket)
        raise NotFound(container=b"", artifact=path.name, operation="stat")

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        if container:
            engine, inner = await self._container(container)
            return await engine.list(inner, cursor)
        return ListingPage([await self._bucket_info(bucket) for bucket in await self._list_buckets()], None)

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        engine, inner = await self._inside(path)
        return await engine.read(inner, version, offset, length, descriptor, position)

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
        engine, inner = await self._inside(path)
        return await engine.put(inner, content, attributes, expected=expected, token=token, link_id=link_id)

    async def begin_upload(
        self, path: EntryPath, size: int, attributes: Attributes, *, token: str, link_id: str = ""
    ) -> Upload:
        engine, inner = await self._inside(path)
        upload = await engine.begin_upload(inner, size, attributes, token=token, link_id=link_id)
        return Upload(path, upload.upload_id)

    async def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        engine, inner = await self._inside(upload.path)
        return await engine.put_chunk(Upload(inner, upload.upload_id), number, offset, descriptor, length)

    async def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        engine, inner = await self._inside(upload.path)
        other, inner_source = await self._inside(source)
        if other is not engine:
            raise CrossesVolumes(container=source.container, artifact=source.name, operation="copy_chunk")
        return await engine.copy_chunk(Upload(inner, upload.upload_id), number, offset, length, inner_source, version)

    async def commit_upload(
        self, upload: Upload, receipts: Sequence[str], attributes: Attributes, *, expected: Version
    ) -> Version:
        engine, inner = await self._inside(upload.path)
        return await engine.commit_upload(Upload(inner, upload.upload_id), receipts, attributes, expected=expected)

    async def abort_upload(self, upload: Upload) -> None:
        engine, inner = await self._inside(upload.path)
        await engine.abort_upload(Upload(inner, upload.upload_id))

    async def list_uploads(self) -> Sequence[Upload]:
        """Of every bucket that this process has used."""
        found = []
        for name, engine in list(self._engines.items()):
            for (container, artifact), upload_id in await engine.list_uploads():
                outer = name + b"/" + container if container else name
                found.append(Upload(EntryPath(outer, artifact), upload_id))
        return found

    async def set_attributes(
        self, path: EntryPath, attributes: Attributes, *, expected: Version, link_id: str = ""
    ) -> Version:
        if path == ROOT_PATH:
            return _TOP
        if path.container:
            engine, inner = await self._inside(path)
            return await engine.set_attributes(inner, attributes, expected=expected, link_id=link_id)
        await (await self._engine(path.name)).set_attributes(ROOT_PATH, attributes, expected=Version("*"))
        return (await self.stat(path)).version

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
        engine, inner_source = await self._inside(source)
        other, inner_target = await self._inside(target)
        if other is not engine:
            raise CrossesVolumes(container=source.container, artifact=source.name, operation="copy")
        copy = partial(engine.copy, inner_source, inner_target, version=version, attributes=attributes)
        return await copy(expected=expected, token=token, link_id=link_id)

    async def group(self, link_id: str, names: Sequence[Grouped], attributes: Attributes) -> int:
        """All names lie in one bucket: no link leads from one into another."""
        engines = [(await self._inside(names[0].path))[0]] if names else list(self._engines.values())
        inner = [Grouped(_inner(name.path), name.version) for name in names]
        return max([await engine.group(link_id, inner, attributes) for engine in engines], default=0)

    async def move(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        raise NotSupported("S3 has no renames", container=source.container, artifact=source.name, operation="move")

    async def link(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        raise NotSupported("S3 has no links", container=source.container, artifact=source.name, operation="link")

    async def delete(self, deletions: Sequence[Deletion]) -> Sequence[VaultaireError | None]:
        outcomes: list[VaultaireError | None] = [None] * len(deletions)
        groups: dict[bytes, list[int]] = {}
        for number, deletion in enumerate(deletions):
            groups.setdefault(deletion.path.container.partition(b"/")[0], []).append(number)
        for bucket, numbers in groups.items():
            try:
                engine = await self._engine(bucket)
                inner = [Deletion(_inner(deletions[n].path), deletions[n].expected) for n in numbers]
                for number, outcome in zip(numbers, await engine.delete(inner), strict=True):
                    outcomes[number] = outcome
            except VaultaireError as error:
                for number in numbers:
                    outcomes[number] = error
        return outcomes

    async def create_container(self, container: bytes, attributes: Attributes) -> Version:
        name, _, rest = container.partition(b"/")
        if rest:
            engine, inner = await self._container(container)
            return await engine.create_container(inner, attributes)
        if name:
            client = self._bucket_client(name)
            await self._run(EntryPath(b"", name), "create_container", lambda: self._buckets.create(client))
        return await self.set_attributes(EntryPath(b"", name), attributes, expected=Version("*"))

    async def delete_container(self, container: bytes) -> None:
        name, _, rest = container.partition(b"/")
        if rest:
            engine, inner = await self._container(container)
            await engine.delete_container(inner)
            return
        client = self._bucket_client(name)
        await self._run(EntryPath(b"", name), "delete_container", lambda: self._buckets.delete(client))
        if (engine_there := self._engines.pop(name, None)) is not None:
            await engine_there.close()

    def staging_path(self, name: bytes) -> EntryPath:
        return staging_path(name)

    async def usage(self) -> Usage:
        """S3 does not say."""
        await trio.lowlevel.checkpoint()
        return Usage()

    async def upkeep(self, *, everything: bool) -> float | None:
        waits = [await engine.upkeep(everything=everything) for engine in list(self._engines.values())]
        return min((wait for wait in waits if wait is not None), default=None)

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()
        self._client.close()

    async def _inside(self, path: EntryPath) -> tuple[Engine, EntryPath]:
        """The engine of the bucket, and the path in it; at the top there are only buckets."""
        if not path.container:
            raise NotPermitted("at the top there are only buckets", container=b"", artifact=path.name)
        return await self._engine(path.container.partition(b"/")[0]), _inner(path)

    async def _container(self, container: bytes) -> tuple[Engine, bytes]:
        name, _, rest = container.partition(b"/")
        return await self._engine(name), rest

    async def _engine(self, name: bytes) -> Engine:
        engine = self._engines.get(name)
        if engine is not None:
            return engine
        client = self._bucket_client(name)
        async with self._opening:
            if name not in self._engines:
                engine = self._factory(client, b"", f"{self._identity}/{client.bucket}", self._runner)
                try:
                    self._capabilities = await engine.probe()
                except VaultaireError as error:
                    await engine.close()
                    if isinstance(error, BadInput):
                        raise NotFound(error.args[0], container=name) from error
                    raise
                self._engines[name] = engine
        return self._engines[name]

    def _bucket_client(self, name: bytes) -> S3Client:
        if name == STAGING_CONTAINER:
            raise CrossesVolumes("nothing can be parked outside of its bucket", container=name)
        if not _BUCKET.fullmatch(name):
            raise InvalidRequest("not a possible name of a bucket", container=name)
        return self._client.about(name.decode("ascii"))

    async def _bucket_info(self, bucket: Bucket) -> EntryInfo:
        """A bucket as a container, with the attributes that its own top has."""
        name = bucket.name.encode()
        attributes = Attributes(Kind.CONTAINER, 0o755, 0, 0, bucket.created_ns, bucket.created_ns, bucket.created_ns)
        with suppress(VaultaireError):
            attributes = (await (await self._engine(name)).stat(ROOT_PATH)).attributes
        return EntryInfo(name, attributes, 0, Version(f"b{bucket.created_ns}"))

    async def _list_buckets(self) -> Sequence[Bucket]:
        return await self._run(ROOT_PATH, "list", self._buckets.list)

    async def _run(self, path: EntryPath, operation: str, work: Callable[[], T]) -> T:
        return await self._runner.run(path, operation, work)


def _inner(path: EntryPath) -> EntryPath:
    return EntryPath(path.container.partition(b"/")[2], path.name)
