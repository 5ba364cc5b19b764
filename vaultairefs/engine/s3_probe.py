"""Finds out what a store really honours, by trying it on objects of our own under ``.vaultairefs/probe/``.

Promise: what it tried is gone when it returns, also after failures; a condition counts as honoured only when the store
refused a request that broke it *and* took one that kept it.  Blocking.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_client import Request
from vaultairefs.engine.s3_copying import PIN
from vaultairefs.engine.s3_dialects import modified_ns_of
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Unsent
from vaultairefs.engine.s3_keys import KEY_BYTES_MAX
from vaultairefs.engine.s3_multipart import S3Multipart
from vaultairefs.engine.s3_objects import META, document, md5_of
from vaultairefs.engine.s3_store import S3Store

_STALE: Final = "00000000000000000000000000000000"
_KEY_LENGTHS: Final = (1024, 980, KEY_BYTES_MAX)
_CLOCK_SECONDS_MAX: Final = 60
_CEPH_PIN: Final = "x-amz-copy-if-match"


class _Copies(NamedTuple):
    source: str
    metadata: bool
    absent: bool
    version: bool


class _Deletes(NamedTuple):
    single: bool
    bulk: bool
    bulk_version: bool


class _Parts(NamedTuple):
    works: bool
    pinned: bool


class S3Probe:
    """One look at one store."""

    def __init__(self, store: S3Store) -> None:
        self._objects = store.objects
        self._client = store.client
        self._multipart = S3Multipart(store.client)
        self._bucket = store.client.bucket
        self._base = store.keys.private("probe", secrets.token_hex(8))
        self._made: list[bytes] = []
        self._uploads: list[tuple[bytes, str]] = []
        self._told: list[str] = []

    def run(self) -> Abilities:
        """``Refused`` when objects cannot even be put there and read back."""
        try:
            one = self._key("one")
            etag = self._objects.put(one, b"one", {}, repeatable=True)
            bare = not self._puts(one, {"if-match": f'"{etag}"'}) and self._puts(one, {"if-match": etag})
            copies, deletes, parts = self._copies(one, etag), self._deletes(), self._copies_parts(one, etag)
            return Abilities(
                digests=etag == hashlib.md5(b"one", usedforsecurity=False).hexdigest(),
                markers=self._has_markers(),
                copied_metadata=copies.metadata,
                put_absent=self._wants_a_free_name(self._puts),
                put_version=not self._puts(one, _if_match(_STALE, bare)) and self._puts(one, _if_match(etag, bare)),
                bare_etags=bare,
                commit_absent=self._wants_a_free_name(self._commits),
                commit_version=self._commits_by_version(bare),
                commit_tells_version=self._commit_tells_version(),
                commit_digests=self._etag(self._key("told")) == Abilities(commit_digests=True).digest_of_parts([etag]),
                read_version=not self._gets(one, _STALE),
                delete_version=deletes.single,
                bulk_delete=deletes.bulk,
                bulk_delete_version=deletes.bulk_version,
                copy_source=copies.source,
                copy_absent=copies.absent,
                copy_version=copies.version,
                part_copy_works=parts.works,
                part_copy=parts.pinned,
                tells_modified=self._tells_modified(),
                key_bytes_max=self._longest_key(),
                checksum=self._checksum(),
            )
        finally:
            self._clean()

    def _wants_a_free_name(self, writes: Callable[[bytes, Mapping[str, str]], bool]) -> bool:
        """Whether If-None-Match: * is taken where the name is free, and refused where it is not."""
        key = self._key(f"absent{len(self._made)}")
        condition = {"if-none-match": "*"}
        return writes(key, condition) and not writes(key, condition)

    def _commits_by_version(self, bare: bool) -> bool:
        key = self._key("committed")
        etag = self._objects.put(key, b"to be replaced", {}, repeatable=True)
        return not self._commits(key, _if_match(_STALE, bare)) and self._commits(key, _if_match(etag, bare))

    def _has_markers(self) -> bool:
        """Whether an object with a ``/`` at its end is one of its own."""
        plain = self._key("folder")
        etag = self._objects.put(plain, b"a file", {}, repeatable=True)
        marked = self._puts(self._key("folder/"), {})
        return marked and self._etag(plain) == etag and self._etag(plain + b"/") not in ("", etag)

    def _tells_modified(self) -> bool:
        """Whether Last-Modified is the time of the put, and not of the metadata's words."""
        key = self._key("dated")
        self._objects.put(key, b"", {META + "mtime": "1.000000000"}, repeatable=True)
        head = self._objects.head(key)
        told_s = modified_ns_of(head.headers.get("last-modified", "")) // 1_000_000_000 if head is not None else 0
        return abs(told_s - self._client.server_s()) <= _CLOCK_SECONDS_MAX

    def _copies(self, source: bytes, etag: str) -> _Copies:
        target = self._key("copy")
        pin = ""
        for header, form in ((PIN, '"{}"'), (_CEPH_PIN, "{}")):
            refuses_stale = not self._copied(source, target, {header: form.format(_STALE)})
            if refuses_stale and self._copied(source, target, {header: form.format(etag)}):
                pin = header
                break
        there = self._objects.put(target, b"two", {}, repeatable=True)
        absent = not self._copied(source, target, {"if-none-match": "*"})
        absent = absent and self._copied(source, self._key("copied"), {"if-none-match": "*"})
        version = not self._copied(source, target, {"if-match": f'"{_STALE}"'})
        version = version and self._copied(source, target, {"if-match": f'"{there}"'})
        return _Copies(pin, self._keeps_metadata(), absent, version)

    def _keeps_metadata(self) -> bool:
        one, two = self._key("described"), self._key("described-copy")
        self._objects.put(one, b"one", {META + "mtime": "1.000000000", META + "old": "1"}, repeatable=True)
        said = {META + "mtime": "2.000000000", META + "new": "2", "x-amz-metadata-directive": "REPLACE"}
        for target in (two, one):
            head = self._objects.head(target) if self._copied(one, target, said) else None
            if head is None or head.metadata != {"mtime": "2.000000000", "new": "2"}:
                return False
        return True

    def _deletes(self) -> _Deletes:
        one, two = self._key("deleted-one"), self._key("deleted-two")
        etags = {key: self._objects.put(key, b"to be deleted", {}, repeatable=True) for key in (one, two)}
        self._tried(lambda: self._objects.delete(one, {"if-match": f'"{_STALE}"'}))
        single = self._etag(one) != ""
        single = single and self._tried(lambda: self._objects.delete(one, {"if-match": f'"{etags[one]}"'}))
        single = single and self._etag(one) == ""
        self._tried(lambda: self._objects.delete_many([(two, _STALE)]))
        version = self._etag(two) != ""
        version = version and self._tried(lambda: self._objects.delete_many([(two, etags[two])]))
        version = version and self._etag(two) == ""
        self._objects.put(two, b"to be deleted", {}, repeatable=True)
        bulk = self._tried(lambda: self._objects.delete_many([(two, "")])) and self._etag(two) == ""
        return _Deletes(single, bulk, bulk and version)

    def _copies_parts(self, source: bytes, etag: str) -> _Parts:
        key = self._key("parts")
        where = {"x-amz-copy-source": f"/{self._bucket}/{source.decode()}", "x-amz-copy-source-range": "bytes=0-1"}
        told: list[str] = []
        try:
            upload_id = self._begin(key)
        except (Refused, Lost, Unsent):
            return _Parts(False, False)

        def copied(pin: str) -> bool:
            headers = {**where, PIN: f'"{pin}"'}
            return self._tried(lambda: told.append(self._multipart.copy_part(key, upload_id, 0, headers)))

        refuses_stale = not copied(_STALE)
        works = copied(etag) and self._tried(lambda: self._multipart.commit(key, upload_id, told[-1:], {}))
        head = self._objects.head(key) if works else None
        works = head is not None and head.size == 2
        return _Parts(works, works and refuses_stale)

    def _longest_key(self) -> int:
        """Tried: what AWS takes, what Ceph takes, what our layout needs."""
        for length in _KEY_LENGTHS:
            key = (self._base + (b"/" + b"k" * 99) * 11)[: length - 1] + b"k"
            self._made.append(key)
            if self._puts(key, {}) and self._etag(key):
                return length
        return 0

    def _checksum(self) -> str:
        """What the store verifies: tried with a wrong one."""
        key = self._key("checksum")
        wrong = base64.b64encode(bytes(4)).decode()
        if not self._puts(key, {"x-amz-checksum-crc32": wrong}):
            return "crc32"
        return "md5" if not self._puts(key, {"content-md5": md5_of(b"another body")}) else ""

    def _puts(self, key: bytes, headers: Mapping[str, str]) -> bool:
        return self._tried(lambda: self._objects.put(key, b"one", headers))

    def _commits(self, key: bytes, headers: Mapping[str, str]) -> bool:
        try:
            upload_id = self._begin(key)
            etag = self._multipart.put_part(key, upload_id, 0, b"one")
        except (Refused, Lost, Unsent):
            return False
        return self._tried(lambda: self._told.append(self._multipart.commit(key, upload_id, [etag], headers)))

    def _commit_tells_version(self) -> bool:
        key = self._key("told")
        return self._commits(key, {}) and self._told[-1] == self._etag(key) != ""

    def _gets(self, key: bytes, etag: str) -> bool:
        return self._tried(lambda: self._objects.get(key, {"if-match": f'"{etag}"'}))

    def _copied(self, source: bytes, target: bytes, headers: Mapping[str, str]) -> bool:
        sent = {"x-amz-copy-source": f"/{self._bucket}/{source.decode()}", **headers}
        request = Request("copy", "PUT", target, headers=sent)
        return self._tried(lambda: document(self._client.send(request), "copy"))

    def _etag(self, key: bytes) -> str:
        head = self._objects.head(key)
        return "" if head is None else head.etag

    def _begin(self, key: bytes) -> str:
        upload_id = self._multipart.begin(key, {})
        self._uploads.append((key, upload_id))
        return upload_id

    def _tried(self, work: Callable[[], object]) -> bool:
        """Whether the store did it, and said so in words that can be understood."""
        try:
            work()
        except (Refused, Lost):
            return False
        return True

    def _key(self, name: str) -> bytes:
        key = self._base + b"/" + name.encode()
        self._made.append(key)
        return key

    def _clean(self) -> None:
        for key, upload_id in self._uploads:
            with suppress(Refused, Lost, Unsent):
                self._multipart.abort(key, upload_id)
        for key in dict.fromkeys(self._made):
            with suppress(Refused, Lost, Unsent):
                self._objects.delete(key)


def _if_match(etag: str, bare: bool) -> dict[str, str]:
    return {"if-match": etag if bare else f'"{etag}"'}
