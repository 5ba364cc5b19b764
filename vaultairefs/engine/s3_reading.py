"""Looks at a namespace: one entry, a page of a container, a range of bytes.

A container is there when its own object is, or anything below it.  Where ``x`` and ``x/`` both exist, the container
has the name and the object is shown as ``x%%file``.

Promise: bytes come from exactly the version asked for: the answer's ETag is compared before the first byte is used,
whatever the store made of the condition.  Blocking, thread-safe.
"""

import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from vaultairefs.engine.interface import EntryInfo
from vaultairefs.engine.paths import ROOT_PATH
from vaultairefs.engine.s3_client import ATTEMPTS
from vaultairefs.engine.s3_dialects import modified_ns_of, read_attributes
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Unsent
from vaultairefs.engine.s3_known import PAYS_FROM, RECENT_SECONDS, Known
from vaultairefs.engine.s3_links import S3Links, info_of
from vaultairefs.engine.s3_metadata import SIDECAR, is_plain, is_plain_marker, read_extras
from vaultairefs.engine.s3_names import hashed, is_hashed, store
from vaultairefs.engine.s3_objects import AFTER_PREFIX, Head, Listed, etag_of
from vaultairefs.engine.s3_receiving import Receiving
from vaultairefs.engine.s3_store import S3Store, unavailable
from vaultairefs.model.errors import (
    Conflict,
    IsAContainer,
    NotAContainer,
    NotFound,
)
from vaultairefs.model.names import RESERVED, check_name
from vaultairefs.model.values import ANY, Attributes, EntryPath, Kind, Version

IMPLICIT: Final = Version("container")
"""The identity of a container that nobody gave one: it exists by what is in it, or is a foreign marker."""
_TARGET_BYTES_MAX: Final = 4095


class Row(NamedTuple):
    """A line of a listing: where its attributes are, and the name that the key gives it."""

    container: bytes
    name: bytes
    key: bytes
    listed: Listed | None
    """What the listing says of an artifact, ``None`` for a container."""

    @property
    def is_container(self) -> bool:
        return self.listed is None


class S3Reading:
    """Reads a store."""

    def __init__(self, store: S3Store, links: S3Links, page_entries: int) -> None:
        self._store = store
        self.links = links
        self._page_entries = page_entries

    def stat(self, path: EntryPath) -> EntryInfo:
        if path == ROOT_PATH:
            return self._root_info()
        check_name(path.name)
        key = self._store.keys.key(path)
        is_container, marker = self.find_container(path.joined)
        if is_container:
            return self.container_info(path.name, marker)
        head = self._store.objects.head(key)
        if head is None:
            raise NotFound(container=path.container, artifact=path.name, operation="stat")
        return self.artifact_info(path.name, key, head)

    def _root_info(self) -> EntryInfo:
        """The root's own object lies where only we write, so what it is stays known."""
        head = self._store.objects.head(self._store.keys.marker(b""))
        identity = "" if head is None else read_extras(head.metadata).identity
        self._store.known.note_marker(self._store.keys.prefix(b""), identity)
        return self.container_info(b"", head)

    def find_container(self, container: bytes) -> tuple[bool, Head | None]:
        """Whether it exists, and its own object if it has one."""
        keys = self._store.keys
        page = self._store.objects.page(keys.prefix(container), delimiter="", keys_max=1)
        if not page.objects:
            return False, None
        marker = keys.marker(container)
        if page.objects[0].key == marker or keys.is_long(container) or keys.marks_inside:
            head = self._store.objects.head(marker)
            if head is not None:
                return True, head
        self._store.implicit.add(container)
        return True, None

    def is_container(self, path: EntryPath) -> bool:
        """Whether a container is there; its own object tells, if it has one."""
        container = path.joined
        if self._store.known.marker(self._store.keys.prefix(container), RECENT_SECONDS) is not None:
            return True
        head = self._store.objects.head(self._store.keys.marker(container))
        if head is None:
            return self.find_container(container)[0]
        self._note_marker(container, head)
        return True

    def _note_marker(self, container: bytes, head: Head) -> None:
        """Remember an object ``dir/`` of ours, if others have added nothing to it."""
        if is_plain_marker(head):
            identity = read_extras(head.metadata).identity
            self._store.known.note_marker(self._store.keys.prefix(container), identity)

    def page(self, container: bytes, cursor: str | None) -> tuple[list[Row], str | None]:
        """The rows of a page of the container, and where the next begins."""
        keys = self._store.keys
        prefix = keys.prefix(container)
        after = b"" if cursor is None else bytes.fromhex(cursor)
        page = self._store.objects.page(prefix, after=after, keys_max=self._page_entries)
        prefixes = [found for found in page.prefixes if found + AFTER_PREFIX != after]
        if cursor is None and not page.objects and not prefixes:
            self._require_container(container)
        objects = [found for found in page.objects if found.key not in (prefix, keys.marker_of(prefix))]
        ends = [found.key for found in objects] + [found + AFTER_PREFIX for found in prefixes]
        shadows = {found[:-1] for found in prefixes}
        following = None
        if not page.is_last and ends:
            objects, ends = self._cut(objects, sorted(ends), shadows)
            following = ends[-1].hex()
        elif not page.is_last and page.objects:
            following = page.objects[-1].key.hex()
        rows = [self._row(container, found.key, found, shadowed=found.key in shadows) for found in objects]
        rows += [self._row(container, found, None) for found in prefixes]
        return [row for row in rows if row is not None], following

    def describe(self, row: Row) -> EntryInfo | None:
        """The entry of a row, None when it is gone meanwhile."""
        if row.listed is not None and (known := self._store.known.match(row.key, row.listed)) is not None:
            if known.link and not known.links:
                known = self.links.looked_up(row.key, known)
            self._store.known.confirm(row.key, known, row.listed, self._store.client.server_s())
            return info_of(_true_name(row, known.name), known)
        head = self._store.objects.head(self._store.keys.marker_of(row.key) if row.is_container else row.key)
        name = _true_name(row, read_extras(head.metadata).name) if head is not None else row.name
        if row.is_container:
            if head is None:
                self._store.implicit.add(EntryPath(row.container, name).joined)
            return self.container_info(name, head)
        return None if head is None else self.artifact_info(name, row.key, head)

    def needs_index(self, rows: Sequence[Row]) -> bool:
        """Whether so many of them would have to be asked for one by one that an index may pay."""
        unknown = (row for row in rows if row.listed is not None and not self._store.known.match(row.key, row.listed))
        return len(list(itertools.islice(unknown, PAYS_FROM))) == PAYS_FROM

    def artifact_info(self, name: bytes, key: bytes, head: Head) -> EntryInfo:
        """An object as an artifact; a symlink's target is fetched."""
        attributes = self.attributes_of(head, is_container=False)
        if attributes.kind is Kind.SYMLINK and not attributes.target:
            attributes = self._with_target(key, head, attributes)
        extras = read_extras(head.metadata)
        modified_s = modified_ns_of(head.headers.get("last-modified", "")) // 1_000_000_000
        seen_s = self._store.client.server_s()
        plain, token = is_plain(head), extras.token
        known = Known(head.etag, head.size, modified_s, seen_s, attributes, token, extras.name, plain, extras.link)
        if known.link:
            known = self.links.looked_up(key, known)
        self._store.known.note(key, known)
        return info_of(name, known)

    def attributes_of(self, head: Head, *, is_container: bool) -> Attributes:
        return read_attributes(
            head.metadata,
            is_container=is_container,
            modified_ns=modified_ns_of(head.headers.get("last-modified", "")),
            owner=self._store.owner,
            xattr_text=self._sidecar(head),
        )

    def read(self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int) -> int:
        """The interface's contract."""
        key = self._store.keys.key(path)
        if length <= 0:
            return 0
        failure: Exception | None = None
        for attempt in range(ATTEMPTS):
            if failure is not None:
                self._store.client.pause(attempt - 1)
            receiving = Receiving(path, version, offset, length, descriptor, position)
            headers = {"range": f"bytes={offset}-{offset + length - 1}"}
            if version != ANY:
                headers["if-match"] = f'"{version}"'
            try:
                self._store.objects.get(key, headers, receiving.begin)
            except (Lost, Unsent) as error:
                failure = error
                continue
            except Refused as refusal:
                if refusal.is_for_now:
                    failure = refusal
                    continue
                return self._refused_read(refusal, path, key, version)
            return receiving.end()
        assert failure is not None
        raise unavailable(failure) from failure

    def _refused_read(self, refusal: Refused, path: EntryPath, key: bytes, version: Version) -> int:
        """0 for a range behind the end; else the reason in the seam's words."""
        if refusal.status == 416:
            head = self._store.objects.head(key)
            if head is not None and version in (ANY, head.etag):
                return 0
            raise Conflict(container=path.container, artifact=path.name, operation="read") from refusal
        if refusal.is_precondition:
            raise Conflict(container=path.container, artifact=path.name, operation="read") from refusal
        if refusal.code == "NoSuchKey" or (refusal.status == 404 and not refusal.code):
            kind = IsAContainer if self.find_container(path.joined)[0] else NotFound
            raise kind(container=path.container, artifact=path.name, operation="read") from refusal
        raise refusal

    def _cut(
        self, objects: Sequence[Listed], ends: list[bytes], shadows: set[bytes]
    ) -> tuple[list[Listed], list[bytes]]:
        """Whether ``x/`` comes on a later page for an ``x`` on this one: leave the last to that page, or ask."""
        kept = list(objects)
        if len(ends) > 1 and kept and kept[-1].key == ends[-1]:
            kept.pop()
            ends.pop()
        for found in kept:
            if found.key + b"/" > ends[-1] and self._store.objects.page(found.key + b"/", keys_max=1).objects:
                shadows.add(found.key)
        return kept, ends

    def _row(self, container: bytes, key: bytes, listed: Listed | None, *, shadowed: bool = False) -> Row | None:
        is_container = listed is None
        component = key[len(self._store.keys.prefix(container)) :].removesuffix(b"/")
        if not container and component == RESERVED:
            return None
        if is_hashed(component):
            return Row(container, component, key, listed)
        name = self._store.keys.shown(container, component, is_container=is_container, shadowed=shadowed)
        return None if name is None else Row(container, name, key, listed)

    def _require_container(self, container: bytes) -> None:
        """An empty listing: of an empty container whose marker lies elsewhere, or of nothing."""
        if not container or (self._store.keys.is_long(container) and self.find_container(container)[0]):
            return
        parent, _, name = container.rpartition(b"/")
        is_artifact = self._store.objects.head(self._store.keys.key(EntryPath(parent, name))) is not None
        raise (NotAContainer if is_artifact else NotFound)(container=container, operation="list")

    def container_info(self, name: bytes, head: Head | None) -> EntryInfo:
        """A container by its own object, or without one."""
        if head is None:
            opened_ns, owner = self._store.opened_ns, self._store.owner
            attributes = Attributes(Kind.CONTAINER, 0o755, owner.uid, owner.gid, opened_ns, opened_ns, opened_ns)
            return EntryInfo(name, attributes, 0, IMPLICIT)
        identity = read_extras(head.metadata).identity
        return EntryInfo(name, self.attributes_of(head, is_container=True), 0, Version(identity or IMPLICIT))

    def _with_target(self, key: bytes, head: Head, attributes: Attributes) -> Attributes:
        """A link's target from its body; what cannot be a target makes it a plain file."""
        target = b""
        if head.size <= _TARGET_BYTES_MAX:
            reply = self._store.objects.get(key, {"if-match": f'"{head.etag}"'})
            if etag_of(reply) != head.etag:
                raise Conflict("the symlink changed while it was read")
            target = reply.body
        if not target or b"\0" in target:
            return msgspec.structs.replace(attributes, kind=Kind.FILE)
        return msgspec.structs.replace(attributes, target=target)

    def _sidecar(self, head: Head) -> str | None:
        name = head.metadata.get(SIDECAR, "")
        if len(name) != 64 or not name.isalnum():
            return None
        with suppress(UnicodeDecodeError):
            try:
                return self._store.objects.get(self._store.keys.private("attributes", name), {}).body.decode("ascii")
            except Refused as refusal:
                if refusal.status != 404:
                    raise
        return None


def _true_name(row: Row, told: bytes) -> bytes:
    """The name of a row, which a hashed key does not show; what is told is foreign input, and so it is checked."""
    if is_hashed(row.name) and hashed(store(told, container=row.is_container)) == row.name:
        return told
    return row.name
