"""Multipart uploads as the seam has them.

Promise: nothing is visible before ``commit``; an upload outlives this process and is found by ``list`` again.
Blocking, thread-safe.
"""

import os
import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from vaultairefs.engine.interface import Upload
from vaultairefs.engine.receipts import receipt_of, require_whole
from vaultairefs.engine.s3_artifacts import S3Artifacts
from vaultairefs.engine.s3_checksums import checksum_headers
from vaultairefs.engine.s3_client import FileRange
from vaultairefs.engine.s3_copying import S3Copying
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_multipart import S3Multipart
from vaultairefs.engine.s3_store import S3Store
from vaultairefs.model.errors import Corrupt, InvalidRequest, NotFound, NotSupported
from vaultairefs.model.values import Attributes, EntryPath, Kind, Version

_REMEMBERED_MAX: Final = 10_000


class _Begun(NamedTuple):
    """What this process knows of an upload; others' uploads it asks the store for."""

    size: int
    attributes: Attributes
    token: str
    link_id: str = ""


class S3Uploads:
    """Uploads into one namespace."""

    def __init__(self, store: S3Store, artifacts: S3Artifacts) -> None:
        self._store = store
        self._artifacts = artifacts
        self._multipart = S3Multipart(store.client)
        self._copying = S3Copying(store)
        self._guard = threading.Lock()
        self._begun: dict[str, _Begun] = {}
        self._committed: dict[str, Version] = {}
        self._aborted: set[str] = set()

    def begin(self, path: EntryPath, size: int, attributes: Attributes, token: str, link_id: str = "") -> Upload:
        if attributes.kind is not Kind.FILE:
            raise InvalidRequest("only files go up in chunks", container=path.container, artifact=path.name)
        headers = self._artifacts.described(path, attributes, token, link_id)
        upload = Upload(path, self._multipart.begin(self._store.keys.key(path), headers))
        with self._guard:
            self._begun[upload.upload_id] = _Begun(size, attributes, token, link_id)
        return upload

    def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        if os.fstat(descriptor).st_size < offset + length:
            raise Corrupt("the source of a chunk ended early")
        self._require_not_aborted(upload)
        body = FileRange(descriptor, offset, length)
        key = self._store.keys.key(upload.path)
        try:
            etag = self._multipart.put_part(key, upload.upload_id, number, body, self._checksum(body))
        except Refused as refusal:
            raise _told(refusal, upload) from refusal
        return f"{receipt_of(number, offset, length)}:{etag}"

    def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        if not self._store.abilities.part_copy:
            raise NotSupported("this store does not pin what it copies", operation="copy_chunk")
        self._require_not_aborted(upload)
        key, source_key = self._store.keys.key(upload.path), self._store.keys.key(source)
        try:
            etag = self._copying.copy_part(
                source_key, version, key, upload.upload_id, number, range(offset, offset + length)
            )
        except Refused as refusal:
            if refusal.status == 416 or refusal.code in ("InvalidRange", "InvalidArgument"):
                raise Corrupt("the source of a chunk ended early") from refusal
            raise _told(refusal, upload) from refusal
        return f"{receipt_of(number, offset, length)}:{etag}"

    def commit(self, upload: Upload, receipts: Sequence[str], attributes: Attributes, expected: Version) -> Version:
        """The interface's contract; attributes that are others than the upload began with are set afterwards."""
        with self._guard:
            done, begun = self._committed.get(upload.upload_id), self._begun.get(upload.upload_id)
        if done is not None:
            return done
        self._require_not_aborted(upload)
        key = self._store.keys.key(upload.path)
        if begun is None and not (upload.upload_id and self._multipart.exists(key, upload.upload_id)):
            raise _unknown(upload)
        places, etags = _split(upload, receipts)
        require_whole(upload, places, begun.size if begun is not None else _end_of(places))
        version = self._publish(upload, key, etags, begun or _Begun(0, attributes, ""), expected)
        if begun is None or begun.attributes != attributes:
            version = self._artifacts.set_attributes(upload.path, attributes, version)
        with self._guard:
            if len(self._committed) + len(self._aborted) >= _REMEMBERED_MAX:
                self._committed.clear()
                self._aborted.clear()
            self._committed[upload.upload_id] = version
            self._begun.pop(upload.upload_id, None)
        return version

    def abort(self, upload: Upload) -> None:
        with self._guard:
            self._begun.pop(upload.upload_id, None)
            self._aborted.add(upload.upload_id)
        if upload.upload_id:
            self._multipart.abort(self._store.keys.key(upload.path), upload.upload_id)

    def list(self) -> Sequence[Upload]:
        """Those whose keys can be told apart without a listing of their container."""
        found = []
        for pending in self._multipart.list(self._store.keys.base):
            path = self._store.keys.path_of(pending.key)
            if path is not None:
                found.append(Upload(path, pending.upload_id))
        return found

    def _require_not_aborted(self, upload: Upload) -> None:
        if upload.upload_id in self._aborted:
            raise _unknown(upload)

    def _publish(self, upload: Upload, key: bytes, etags: Sequence[str], begun: _Begun, expected: Version) -> Version:
        store, token = self._store, begun.token
        if not etags:
            version = self._artifacts.put(upload.path, b"", begun.attributes, expected, token, begun.link_id)
            self._multipart.abort(key, upload.upload_id)
            return version
        abilities = store.abilities
        heeded = store.heeds(expected, absent=abilities.commit_absent, version=abilities.commit_version)
        conditions = store.conditions(expected) if heeded else {}

        def send() -> str:
            etag = self._multipart.commit(key, upload.upload_id, etags, conditions)
            return etag if abilities.commit_tells_version else abilities.digest_of_parts(etags)

        version = store.settle(send, key, expected=expected, token=token, heeded=heeded)
        if token:
            self._artifacts.note(upload.path, key, version, begun.size, begun.attributes, token, link=begun.link_id)
        return version

    def _checksum(self, body: FileRange) -> dict[str, str]:
        """A signature that covers the body is check enough."""
        return {} if self._store.client.signs_bodies else checksum_headers(self._store.abilities.checksum, body)


def _split(upload: Upload, receipts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The places that receipts tell, and the ETags of the parts."""
    places, etags = [], []
    for receipt in receipts:
        place, _, etag = receipt.rpartition(":")
        if place.count(":") != 2 or not etag:
            raise InvalidRequest(
                f"{receipt!r} is no receipt of a chunk", container=upload.path.container, artifact=upload.path.name
            )
        places.append(place)
        etags.append(etag)
    return places, etags


def _end_of(places: Sequence[str]) -> int:
    """Where the last chunk ends, for an upload that another process began: the store knows no intended size."""
    if not places:
        return 0
    _, offset, length = places[-1].split(":")
    return int(offset) + int(length)


def _unknown(upload: Upload) -> NotFound:
    return NotFound(f"no such upload: {upload.upload_id}", container=upload.path.container, artifact=upload.path.name)


def _told(refusal: Refused, upload: Upload) -> Exception:
    return _unknown(upload) if refusal.code == "NoSuchUpload" else refusal
