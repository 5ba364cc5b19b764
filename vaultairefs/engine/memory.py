"""The memory engine: the seam's contract without a disk, for tests and for trying things out.

Promise: the same answers as the other engines (one contract suite judges all), and gone with the process.
Tests can make it fail (``fail_next``), look at and delay each call (``on_call``), count calls (``calls``), and take
abilities away (``capabilities``): without ``names_checked`` it is like an object store with plain keys.
"""

import itertools
import os
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import trio

from vaultairefs.disk.copying import read_all
from vaultairefs.disk.durable import write_all
from vaultairefs.engine.interface import Capabilities, Deletion, EntryInfo, Grouped, ListingPage, Upload, Usage
from vaultairefs.engine.memory_calls import Calls
from vaultairefs.engine.memory_groups import MemoryGroups
from vaultairefs.engine.memory_plain import PlainTree
from vaultairefs.engine.memory_tree import Artifact, MemoryTree
from vaultairefs.engine.paths import staging_path
from vaultairefs.engine.receipts import receipt_of, require_whole
from vaultairefs.engine.tenancy import namespace_name, refuse_options
from vaultairefs.model.errors import (
    Conflict,
    Corrupt,
    InvalidRequest,
    IsAContainer,
    NotFound,
    NotSupported,
    VaultaireError,
)
from vaultairefs.model.values import ANY, Attributes, EntryPath, Kind, Version

PAGE_ENTRIES: Final = 1000


class _Pending:
    """An upload that is neither committed nor aborted."""

    __slots__ = ("chunks", "link_id", "size", "token", "upload")

    def __init__(self, upload: Upload, size: int, token: str, link_id: str) -> None:
        self.link_id = link_id
        self.upload = upload
        self.size = size
        self.token = token
        self.chunks: dict[int, bytes] = {}


class MemoryEngine(Calls):
    """``Engine`` over a ``MemoryTree``."""

    def __init__(
        self,
        identity: str = "memory:",
        *,
        capabilities: Capabilities | None = None,
        page_entries: int = PAGE_ENTRIES,
    ) -> None:
        super().__init__()
        self._identity = identity
        self._capabilities = capabilities or Capabilities(moves=True, links=True, copies_chunks=True)
        self._page_entries = page_entries
        self._tree = MemoryTree() if self._capabilities.names_checked else PlainTree()
        self._uploads: dict[str, _Pending] = {}
        self._upload_ids = itertools.count(1)
        self._groups = MemoryGroups(self._tree)

    def walk(self) -> Iterator[tuple[EntryPath, EntryInfo, bytes]]:
        """Every entry with its bytes, parents first; for tests that compare whole trees."""
        for path, node in self._tree.walk():
            yield path, self._groups.info(path, "walk"), node.content if isinstance(node, Artifact) else b""

    def parked(self) -> list[bytes]:
        """The names in the staging container."""
        return self._tree.parked()

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def probe(self) -> Capabilities:
        async with self._call("probe"):
            return self._capabilities

    async def stat(self, path: EntryPath) -> EntryInfo:
        async with self._call("stat"):
            return self._groups.info(path, "stat")

    async def list(self, container: bytes, cursor: str | None = None) -> ListingPage:
        async with self._call("list"):
            children = self._tree.container(container).children
            after = bytes.fromhex(cursor) if cursor is not None else b""
            names = sorted(name for name in children if name > after)
            page = names[: self._page_entries]
            following = page[-1].hex() if len(names) > len(page) else None
            return ListingPage([self._groups.info(EntryPath(container, name), "list") for name in page], following)

    async def read(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        async with self._call("read"):
            node = self._tree.get(path, "read")
            if not isinstance(node, Artifact):
                raise IsAContainer(container=path.container, artifact=path.name, operation="read")
            if version not in (ANY, node.version):
                raise Conflict(container=path.container, artifact=path.name, operation="read")
            if node.attributes.kind is not Kind.FILE:
                raise InvalidRequest("only files have bytes", container=path.container, artifact=path.name)
            part = node.content[offset : offset + length]
            write_all(descriptor, part, position)
            return len(part)

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
        async with self._call("put"):
            version = self._tree.put(path, content, attributes, expected, token)
            self._groups.mark(path, link_id)
            return version

    async def begin_upload(
        self, path: EntryPath, size: int, attributes: Attributes, *, token: str, link_id: str = ""
    ) -> Upload:
        async with self._call("begin_upload"):
            upload = Upload(path, f"upload-{next(self._upload_ids)}")
            self._uploads[upload.upload_id] = _Pending(upload, size, token, link_id)
            return upload

    async def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        async with self._call("put_chunk"):
            pending = self._pending(upload)
            data = read_all(descriptor, offset, length)
            if len(data) != length:
                raise Corrupt("the source of a chunk ended early", container=upload.path.container)
            pending.chunks[number] = data
            return receipt_of(number, offset, length)

    async def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        async with self._call("copy_chunk"):
            pending = self._pending(upload)
            node = self._tree.get(source, "copy_chunk")
            if not isinstance(node, Artifact):
                raise IsAContainer(container=source.container, artifact=source.name, operation="copy_chunk")
            if node.version != version:
                raise Conflict(container=source.container, artifact=source.name, operation="copy_chunk")
            data = node.content[offset : offset + length]
            if len(data) != length:
                raise Corrupt("the source of a chunk ended early", container=source.container)
            pending.chunks[number] = data
            return receipt_of(number, offset, length)

    async def commit_upload(
        self, upload: Upload, receipts: Sequence[str], attributes: Attributes, *, expected: Version
    ) -> Version:
        async with self._call("commit_upload"):
            if upload.upload_id not in self._uploads:
                version = self._tree.uploaded_before(upload.path, upload.upload_id)
                if version is not None:
                    return version
            pending = self._pending(upload)
            require_whole(upload, receipts, pending.size)
            content = b"".join(pending.chunks[number] for number in range(len(receipts)))
            version = self._tree.put(
                upload.path, content, attributes, expected, pending.token, upload_id=upload.upload_id
            )
            self._groups.mark(upload.path, pending.link_id)
            del self._uploads[upload.upload_id]
            return version

    async def abort_upload(self, upload: Upload) -> None:
        async with self._call("abort_upload"):
            self._uploads.pop(upload.upload_id, None)

    async def list_uploads(self) -> Sequence[Upload]:
        async with self._call("list_uploads"):
            return [pending.upload for pending in self._uploads.values()]

    async def set_attributes(
        self, path: EntryPath, attributes: Attributes, *, expected: Version, link_id: str = ""
    ) -> Version:
        async with self._call("set_attributes"):
            version = self._tree.set_attributes(path, attributes, expected)
            self._groups.mark(path, link_id)
            return version

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
        async with self._call("copy"):
            copied = self._tree.copy(source, target, version, attributes, expected, token)
            self._groups.mark(target, link_id)
            return copied

    async def group(self, link_id: str, names: Sequence[Grouped], attributes: Attributes) -> int:
        async with self._call("group"):
            self._need(self._capabilities.groups, "group")
            return self._groups.group(link_id, list(names), attributes)

    async def move(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        async with self._call("move"):
            self._need(self._capabilities.moves, "move")
            self._tree.move(source, target, version, expected)

    async def link(self, source: EntryPath, target: EntryPath, *, version: Version, expected: Version) -> None:
        async with self._call("link"):
            self._need(self._capabilities.links, "link")
            self._tree.link(source, target, version, expected)

    async def delete(self, deletions: Sequence[Deletion]) -> Sequence[VaultaireError | None]:
        async with self._call("delete"):
            return [self._delete_one(deletion) for deletion in deletions]

    async def create_container(self, container: bytes, attributes: Attributes) -> Version:
        async with self._call("create_container"):
            return self._tree.create_container(container, attributes)

    async def delete_container(self, container: bytes) -> None:
        async with self._call("delete_container"):
            self._tree.delete_container(container)

    def staging_path(self, name: bytes) -> EntryPath:
        return staging_path(name)

    async def usage(self) -> Usage:
        """The machine's memory."""
        async with self._call("usage"):
            page_bytes = os.sysconf("SC_PAGE_SIZE")
            free_bytes = os.sysconf("SC_AVPHYS_PAGES") * page_bytes
            return Usage(os.sysconf("SC_PHYS_PAGES") * page_bytes, free_bytes, free_bytes)

    async def upkeep(self, *, everything: bool) -> float | None:
        await trio.lowlevel.checkpoint()
        return None

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    def _pending(self, upload: Upload) -> _Pending:
        pending = self._uploads.get(upload.upload_id)
        if pending is None:
            raise NotFound(
                f"no such upload: {upload.upload_id}", container=upload.path.container, artifact=upload.path.name
            )
        return pending

    def _need(self, ability: bool, verb: str) -> None:
        if not ability:
            raise NotSupported(f"this engine cannot {verb}", operation=verb)

    def _delete_one(self, deletion: Deletion) -> VaultaireError | None:
        try:
            self._tree.delete(deletion.path, deletion.expected)
        except VaultaireError as error:
            return error
        return None


def open_engine(
    spec: str, tenant: str | None = None, *, read_only: bool = False, options: Mapping[str, str] = {}
) -> MemoryEngine:
    """A new, empty engine; text after ``memory:`` only names it."""
    refuse_options(spec, options)
    name = urllib.parse.quote(spec.partition(":")[2], safe="/")
    return MemoryEngine(f"memory:{name}" + (f"/{namespace_name(tenant)}" if tenant is not None else ""))
