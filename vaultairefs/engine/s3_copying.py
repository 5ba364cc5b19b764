"""Copies objects inside the store: by one request, by parts above 5 GiB.

Promise: the copy is of exactly the version given.  Where the store cannot pin a source, a copy whose ETag shows another
version is taken back and reported as ``Conflict``.  Where copies lose the metadata they are sent with, the bytes are
fetched and sent again.  Blocking, thread-safe.
"""

import tempfile
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Final

from vaultairefs.engine.s3_checksums import checksum_headers
from vaultairefs.engine.s3_client import FileRange, Request
from vaultairefs.engine.s3_keeping import ACCESS, access_headers, tagging_header
from vaultairefs.engine.s3_multipart import S3Multipart
from vaultairefs.engine.s3_objects import META, Head, document, etag_in
from vaultairefs.engine.s3_store import COPY_BYTES_MAX, PARTS_MAX, S3Store, is_ours
from vaultairefs.model.errors import Conflict, NotSupported
from vaultairefs.model.values import ANY, Version

_PART_BYTES: Final = 512 << 20
DIGEST_LETTERS: Final = 32
"""An ETag of so many letters is that of an object in one part."""
PIN: Final = "x-amz-copy-source-if-match"


class S3Copying:
    """Server-side copies in one bucket."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._multipart = S3Multipart(store.client)

    def copy(
        self,
        source: bytes,
        head: Head,
        target: bytes,
        headers: Mapping[str, str],
        *,
        expected: Version,
        token: str,
    ) -> Version:
        """Copy ``source``, as ``head`` describes it, to ``target`` with ``headers`` in place of its own."""
        store, abilities = self._store, self._store.abilities
        if not abilities.copied_metadata and head.size <= COPY_BYTES_MAX:
            return self._send_again(source, head, target, headers, expected=expected, token=token)
        access = access_headers(store.client, source, head)
        headers = {**headers, **access, **({META + ACCESS: "1"} if access else {})}
        if head.size > COPY_BYTES_MAX:
            return self._copy_by_parts(source, head, target, headers, expected=expected, token=token)
        heeded = store.heeds(expected, absent=abilities.copy_absent, version=abilities.copy_version)
        sent = {**headers, "x-amz-copy-source": self._source(source), "x-amz-metadata-directive": "REPLACE"}
        if abilities.copy_source:
            sent[abilities.copy_source] = head.etag if abilities.copy_source != PIN else f'"{head.etag}"'
        if heeded:
            sent.update(store.conditions(expected))
        is_repeatable, is_plain = expected == ANY, store.client.policy.is_plain(head.headers)

        def send() -> str:
            request = Request("copy", "PUT", target, headers=sent, repeatable=is_repeatable, plain=is_plain)
            return document(store.client.send(request), "copy").findtext("ETag", "").strip('"')

        version = store.settle(send, target, expected=expected, token=token, heeded=heeded)
        if not abilities.copy_source and self._is_of_another(source, head, target, version):
            self._take_back(source, target, version, token)
        return version

    def _is_of_another(self, source: bytes, head: Head, target: bytes, version: Version) -> bool:
        """Whether a copy that was not pinned may be of another version than ``head``."""
        if self._store.abilities.digests:
            return _are_other_bytes(head.etag, version)
        return source != target and self._has_changed(source, head)

    def _has_changed(self, source: bytes, head: Head) -> bool:
        """Whether what was copied without a pin may be of two versions: one that is still there was there all along."""
        now = self._store.objects.head(source)
        return now is None or _moment(now) != _moment(head)

    def _send_again(
        self, source: bytes, head: Head, target: bytes, headers: Mapping[str, str], *, expected: Version, token: str
    ) -> Version:
        store = self._store
        with tempfile.TemporaryFile() as file:

            def begin(status: int, received: dict[str, str]) -> Callable[[memoryview], object] | None:
                if status == 200 and etag_in(received) != head.etag:
                    raise Conflict("the source changed while it was copied")
                return file.write if status == 200 else None

            store.objects.get(source, {}, begin)
            file.flush()
            body = FileRange(file.fileno(), 0, head.size)
            abilities = store.abilities
            heeded = store.heeds(expected, absent=abilities.put_absent, version=abilities.put_version)
            sent = {**headers, **checksum_headers(abilities.checksum, body), **self._tags(source, head)}
            if heeded:
                sent.update(store.conditions(expected))
            return store.settle(
                lambda: store.objects.put(target, body, sent), target, expected=expected, token=token, heeded=heeded
            )

    def _copy_by_parts(
        self, source: bytes, head: Head, target: bytes, headers: Mapping[str, str], *, expected: Version, token: str
    ) -> Version:
        store, multipart = self._store, self._multipart
        if not store.abilities.part_copy_works:
            raise NotSupported("this store cannot copy more than 5 GiB")
        part_bytes = max(_PART_BYTES, -(-head.size // PARTS_MAX))
        upload_id = multipart.begin(target, {**headers, **self._tags(source, head)})
        try:
            etags = []
            for number, start in enumerate(range(0, head.size, part_bytes)):
                place = range(start, min(start + part_bytes, head.size))
                etags.append(self.copy_part(source, head.etag, target, upload_id, number, place, head))
            if not store.abilities.part_copy and self._has_changed(source, head):
                raise Conflict("the source changed while it was copied")
            abilities = store.abilities
            heeded = store.heeds(expected, absent=abilities.commit_absent, version=abilities.commit_version)
            conditions = store.conditions(expected) if heeded else {}

            def send() -> str:
                etag = multipart.commit(target, upload_id, etags, conditions)
                return etag if abilities.commit_tells_version else abilities.digest_of_parts(etags)

            return store.settle(send, target, expected=expected, token=token, heeded=heeded)
        except BaseException:
            multipart.abort(target, upload_id)
            raise

    def copy_part(
        self,
        source: bytes,
        version: Version,
        target: bytes,
        upload_id: str,
        number: int,
        place: range,
        head: Head | None = None,
    ) -> str:
        """Copy the bytes at ``place`` of ``version`` as a part; returns its ETag.  ``head`` is asked for if needed."""
        pinned = {
            "x-amz-copy-source": self._source(source),
            "x-amz-copy-source-range": f"bytes={place.start}-{place.stop - 1}",
            PIN: f'"{version}"',
        }
        policy, objects = self._store.client.policy, self._store.objects
        if head is None and policy.customer_key:
            head = objects.head(source)
        is_plain = head is not None and policy.is_plain(head.headers)
        return self._multipart.copy_part(target, upload_id, number, pinned, plain=is_plain)

    def _tags(self, source: bytes, head: Head) -> dict[str, str]:
        return tagging_header(self._store.client, source, head)

    def _source(self, key: bytes) -> str:
        return urllib.parse.quote(f"/{self._store.client.bucket}/") + urllib.parse.quote(key, safe="/~")

    def _take_back(self, source: bytes, target: bytes, version: Version, token: str) -> None:
        if source != target:
            found = self._store.objects.head(target)
            if found is not None and found.etag == version and is_ours(found, token):
                self._store.objects.delete(target)
        raise Conflict("the source changed while it was copied")


def _moment(head: Head) -> tuple[str, str]:
    return head.etag, head.headers.get("last-modified", "")


def _are_other_bytes(source_etag: str, copied_etag: str) -> bool:
    """Whether two ETags are surely those of different bytes: of objects in one part they are digests."""
    return len(source_etag) == len(copied_etag) == DIGEST_LETTERS and source_etag != copied_etag
