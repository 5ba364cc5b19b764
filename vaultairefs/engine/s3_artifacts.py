"""Puts artifacts, gives them other attributes, copies them inside the store.

Promise: each artifact appears with all its bytes and attributes by one request.  Attributes are changed by copying an
object onto itself; what its metadata and content headers said beside ours is said again.  Blocking, thread-safe.
"""

from contextlib import suppress

import msgspec

from vaultairefs.engine.conditions import holds
from vaultairefs.engine.s3_checksums import checksum_headers
from vaultairefs.engine.s3_copying import DIGEST_LETTERS, S3Copying
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_known import RECENT_SECONDS, UNKNOWN, Known
from vaultairefs.engine.s3_metadata import TOKEN, Extras, Written, is_plain, kept_headers, read_extras, write
from vaultairefs.engine.s3_objects import Head
from vaultairefs.engine.s3_reading import S3Reading
from vaultairefs.engine.s3_store import COPY_BYTES_MAX, S3Store, is_ours
from vaultairefs.model.errors import Conflict, IsAContainer, NotAContainer, NotFound
from vaultairefs.model.values import ABSENT, ANY, Attributes, EntryPath, Kind, Version


class S3Artifacts:
    """Writes to a store."""

    def __init__(self, store: S3Store, reading: S3Reading) -> None:
        self._store = store
        self._reading = reading
        self._copying = S3Copying(store)

    def put(
        self,
        path: EntryPath,
        content: bytes,
        attributes: Attributes,
        expected: Version,
        token: str,
        link_id: str = "",
    ) -> Version:
        """The interface's contract."""
        if attributes.kind is Kind.CONTAINER:
            raise IsAContainer("a container is made by create_container", container=path.container, artifact=path.name)
        key = self._store.keys.key(path)
        body = content if attributes.kind is Kind.FILE else attributes.target
        headers = self.described(path, attributes, token, link_id)
        headers.update(checksum_headers(self._store.abilities.checksum, body))
        abilities = self._store.abilities
        heeded = self._store.heeds(expected, absent=abilities.put_absent, version=abilities.put_version)
        if heeded:
            headers.update(self._store.conditions(expected))

        def send() -> str:
            return self._store.objects.put(key, body, headers)

        version = self._store.settle(send, key, expected=expected, token=token, heeded=heeded)
        self.note(path, key, version, len(body), attributes, token, link=link_id)
        return version

    def note(
        self,
        path: EntryPath,
        key: bytes,
        version: Version,
        size: int,
        attributes: Attributes,
        token: str,
        *,
        plain: bool = True,
        link: str = "",
    ) -> None:
        """Remember what was just written; not of a link whose target is its body alone, which nobody has read."""
        extras = Extras(token=token, name=self._store.keys.name_to_tell(path, container=False), link=link)
        self._note(key, version, size, attributes, extras, plain=plain)

    def _note(
        self, key: bytes, version: Version, size: int, attributes: Attributes, extras: Extras, *, plain: bool
    ) -> None:
        if attributes.kind is Kind.SYMLINK and not attributes.target:
            return
        seen_s = self._store.client.server_s()
        row = Known(version, size, UNKNOWN, seen_s, attributes, extras.token, extras.name, plain, extras.link)
        self._store.known.note(key, self._reading.links.as_registered(key, row))

    def described(self, path: EntryPath, attributes: Attributes, token: str, link_id: str = "") -> dict[str, str]:
        """The headers that say everything about a new artifact."""
        name = self._store.keys.name_to_tell(path, container=False)
        return self._with_sidecar(write(attributes, Extras(token=token, name=name, link=link_id)))

    def set_attributes(self, path: EntryPath, attributes: Attributes, expected: Version, link_id: str = "") -> Version:
        """Of an artifact; the interface's contract."""
        key = self._store.keys.key(path)
        head = self._store.objects.head(key)
        if head is None:
            kind = IsAContainer if self._reading.find_container(path.joined)[0] else NotFound
            raise kind(container=path.container, artifact=path.name)
        if attributes.kind is Kind.CONTAINER:
            raise NotAContainer(container=path.container, artifact=path.name)
        current = self._reading.attributes_of(head, is_container=False)
        wanted = msgspec.structs.replace(
            attributes, kind=current.kind, rdev=current.rdev, target=current.target, mode=attributes.mode
        )
        said = read_extras(head.metadata)
        is_so = current == wanted
        if link_id:  # a link(2) changes ctime and nothing else
            is_so = link_id == said.link and current == msgspec.structs.replace(wanted, ctime_ns=current.ctime_ns)
        if not holds(head.etag, expected):
            if said.origin == expected and is_so:
                return Version(head.etag)
            raise Conflict(container=path.container, artifact=path.name)
        if is_so:
            return Version(head.etag)
        said = said._replace(origin=head.etag, link=link_id or said.link)
        headers = self._with_sidecar(write(wanted, said))
        self._store.known.forget(key)
        version = self._copy_onto_itself(key, head, {**headers, **kept_headers(head)}, wanted)
        self.note(path, key, version, head.size, wanted, said.token, plain=is_plain(head), link=said.link)
        return version

    def copy(
        self,
        source: EntryPath,
        target: EntryPath,
        version: Version,
        attributes: Attributes | None,
        expected: Version,
        token: str,
        link_id: str = "",
    ) -> Version:
        """The interface's contract."""
        source_key, target_key = self._store.keys.key(source), self._store.keys.key(target)
        known = self._store.known.get(source_key)
        if known is not None and attributes is not None and self._needs_no_look(known, version, expected):
            with suppress(Conflict, Refused):  # what stands in the way is found out below
                return self._copy_known(source_key, known, target, attributes, expected, token, link_id)
        head = self._store.objects.head(source_key)
        if head is None or not holds(head.etag, version):
            done = self._store.objects.head(target_key)
            if done is not None and is_ours(done, token):
                return Version(done.etag)
            if head is None and self._reading.find_container(source.joined)[0]:
                raise IsAContainer(container=source.container, artifact=source.name)
            raise (NotFound if head is None else Conflict)(container=source.container, artifact=source.name)
        extras = Extras(token=token, name=self._store.keys.name_to_tell(target, container=False), link=link_id)
        return self.copy_over(source_key, head, target_key, attributes, extras, expected)

    def copy_over(
        self, source: bytes, head: Head, target: bytes, attributes: Attributes | None, extras: Extras, expected: Version
    ) -> Version:
        """Copy the object ``source``, as ``head`` describes it, to the key ``target``; else as ``copy``."""
        given = self._reading.attributes_of(head, is_container=False)
        if attributes is not None:
            given = msgspec.structs.replace(attributes, kind=given.kind, rdev=given.rdev)
        headers = {**self._with_sidecar(write(given, extras)), **kept_headers(head)}
        self._store.known.forget(target)
        version = self._copying.copy(source, head, target, headers, expected=expected, token=extras.token)
        self._note(target, version, head.size, given, extras, plain=is_plain(head))
        return version

    def _needs_no_look(self, known: Known, version: Version, expected: Version) -> bool:
        """Whether a copy of other bytes is refused, or seen by its ETag, and all that the object says was seen now.

        One that is seen is taken back, which is as good where the name was free.  An ETag does not tell of a change of
        metadata alone by somebody else; between a HEAD and its copy there is such a moment, too.
        """
        abilities = self._store.abilities
        seen = abilities.digests and len(known.etag) == DIGEST_LETTERS and expected == ABSENT
        pinned = bool(abilities.copy_source) or seen
        pinned = pinned and abilities.copied_metadata and known.size <= COPY_BYTES_MAX
        policy = self._store.client.policy
        is_plain = known.plain and not (policy.customer_key or policy.storage_class)
        is_recent = self._store.client.server_s() - known.seen_s <= RECENT_SECONDS
        return pinned and is_plain and is_recent and known.token != "" and known.etag == version

    def _copy_known(
        self,
        source: bytes,
        known: Known,
        target: EntryPath,
        attributes: Attributes,
        expected: Version,
        token: str,
        link_id: str,
    ) -> Version:
        key, of_source = self._store.keys.key(target), known.attributes
        given = msgspec.structs.replace(attributes, kind=of_source.kind, rdev=of_source.rdev, target=of_source.target)
        head = Head(Version(known.etag), known.size, {}, {TOKEN: known.token})
        self._store.known.forget(key)
        headers = self.described(target, given, token, link_id)
        version = self._copying.copy(source, head, key, headers, expected=expected, token=token)
        self.note(target, key, version, known.size, given, token, link=link_id)
        return version

    def _copy_onto_itself(self, key: bytes, head: Head, headers: dict[str, str], wanted: Attributes) -> Version:
        try:
            return self._copying.copy(key, head, key, headers, expected=ANY, token="")
        except (Conflict, Refused) as error:
            if isinstance(error, Refused) and not error.is_precondition:
                raise
            found = self._store.objects.head(key)  # our own lost answer changed the version, or somebody else did
            done = found is not None and read_extras(found.metadata).origin == head.etag
            if found is not None and done and self._reading.attributes_of(found, is_container=False) == wanted:
                return found.etag
            raise Conflict("the artifact changed meanwhile") from error

    def _with_sidecar(self, written: Written) -> dict[str, str]:
        store_sidecar(self._store, written)
        return written.headers


def store_sidecar(store: S3Store, written: Written) -> None:
    """Put what is too long for metadata where the metadata says; before the object that needs it."""
    if written.sidecar_name:
        key = store.keys.private("attributes", written.sidecar_name)
        store.objects.put(key, written.sidecar.encode(), {"content-type": "text/plain"}, repeatable=True)
