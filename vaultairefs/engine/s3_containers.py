"""Makes and removes containers: the objects ``dir/`` that stand for them.

A container that has attributes, or is empty, has such an object, with its identity in the metadata; one that exists by
what is in it alone needs none.

Promise: a container that holds anything is not removed, as far as a look right before can tell; whatever slips in
meanwhile is kept, and keeps the container.  Blocking, thread-safe.
"""

import math
import secrets

from vaultairefs.engine.conditions import holds
from vaultairefs.engine.paths import entry_of
from vaultairefs.engine.s3_artifacts import store_sidecar
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_index import S3Index
from vaultairefs.engine.s3_known import RECENT_SECONDS
from vaultairefs.engine.s3_metadata import Extras, kept_headers, read_extras, write
from vaultairefs.engine.s3_objects import Head, fits_xml
from vaultairefs.engine.s3_reading import IMPLICIT, S3Reading
from vaultairefs.engine.s3_store import S3Store
from vaultairefs.model.errors import Conflict, ContainerNotEmpty, IsAContainer, NotFound, Unavailable
from vaultairefs.model.values import Attributes, EntryPath, Kind, Version


class S3Containers:
    """Containers of one namespace."""

    def __init__(self, store: S3Store, reading: S3Reading, index: S3Index) -> None:
        self._store = store
        self._reading = reading
        self._index = index

    def create(self, container: bytes, attributes: Attributes) -> Version:
        """The interface's contract, but for the parent, which nothing needs."""
        if not container:
            return self.set_attributes(container, attributes, Version("*"))
        entry_of(container)
        store = self._store
        if store.keys.is_long(container):
            headers = {"content-type": "application/x-directory"}
            store.objects.put(store.keys.true_path(container), container, headers, repeatable=True)
        identity = secrets.token_hex(8)
        if store.abilities.put_absent:
            try:
                self._put(container, attributes, identity, None, {"if-none-match": "*"})
            except Refused as refusal:
                if not refusal.is_precondition:
                    raise
            else:
                store.known.fresh.add(store.keys.prefix(container))
                return Version(identity)
        head = store.objects.head(store.keys.marker(container))
        if head is None:
            self._put(container, attributes, identity, None, {})
            return Version(identity)
        found = read_extras(head.metadata).identity
        if found != identity:
            self._put(container, attributes, found, head, {})
        return Version(found or IMPLICIT)

    def set_attributes(self, container: bytes, attributes: Attributes, expected: Version) -> Version:
        """The interface's contract."""
        known = self._store.known.marker(self._store.keys.prefix(container), RECENT_SECONDS if container else math.inf)
        head = self._store.objects.head(self._store.keys.marker(container)) if known is None else None
        if container and known is None and head is None and not self._reading.find_container(container)[0]:
            raise NotFound(container=container)
        identity = read_extras(head.metadata).identity if head is not None else known or ""
        version = Version(identity or IMPLICIT)
        if not holds(version, expected):
            raise Conflict(container=container)
        if attributes.kind is not Kind.CONTAINER:
            raise IsAContainer(container=container)
        self._put(container, attributes, identity, head, {})
        return version

    def delete(self, container: bytes) -> None:
        """The interface's contract."""
        entry_of(container)
        store = self._store
        marker, true_path = store.keys.marker(container), store.keys.true_path(container)
        prefix = store.keys.prefix(container)
        page = store.objects.page(prefix, delimiter="", keys_max=2)
        if any(found.key not in (true_path, marker) for found in page.objects):
            raise ContainerNotEmpty(container=container)
        if not page.objects and not store.keys.is_long(container):
            return
        parent = container.rpartition(b"/")[0]
        if parent in store.implicit:
            self.keep(parent)
        keys = [*self._index.all_keys(prefix), *([true_path] if store.keys.is_long(container) else []), marker]
        if len(keys) > 1 and store.abilities.bulk_delete and all(map(fits_xml, keys)):
            codes = store.objects.delete_many([(key, "") for key in keys]).values()
            if any(code != "NoSuchKey" for code in codes):
                raise Unavailable("the store did not delete a container's objects", container=container)
        else:
            for key in keys:
                store.objects.delete(key)
        store.known.forget_container(prefix)

    def keep(self, container: bytes) -> None:
        """Give a container that exists only by what is in it an object of its own, before that is deleted."""
        marker = self._store.keys.marker(container)
        if self._store.objects.head(marker) is None:
            info = self._reading.container_info(container, None)
            self._put(container, info.attributes, "", None, {})

    def _put(
        self, container: bytes, attributes: Attributes, identity: str, old: Head | None, conditions: dict[str, str]
    ) -> None:
        parent, _, name = container.rpartition(b"/")
        told = self._store.keys.name_to_tell(EntryPath(parent, name), container=True) if container else b""
        written = write(attributes, Extras(identity=identity, name=told))
        store_sidecar(self._store, written)
        headers = dict(written.headers)
        if old is not None:
            headers.update(kept_headers(old))
        headers.update(conditions)
        self._store.objects.put(self._store.keys.marker(container), b"", headers, repeatable=True)
        self._store.implicit.discard(container)
        if old is None:
            self._store.known.note_marker(self._store.keys.prefix(container), identity)
