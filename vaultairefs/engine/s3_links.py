"""Which objects are names of one artifact: the registry ``.vaultairefs/links/<id>`` says so.

Each name of a hard link is a plain object with all bytes, and carries the id of its group in its metadata.  The id
counts only where the registry names that very key with the object's ETag: a copy that others made of it keeps the
metadata and is no link, and a name that others wrote anew leaves the group by itself.

Promise: a registry that is missing, damaged or foreign makes separate files of names, never one of two files with
different bytes.  Blocking, thread-safe.
"""

import threading
import time
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
import structlog
from cachetools import LRUCache

from vaultairefs.engine.interface import EntryInfo
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_known import Known
from vaultairefs.engine.s3_objects import etag_of
from vaultairefs.engine.s3_store import S3Store
from vaultairefs.model.values import ABSENT, Version

MAGIC: Final = b"VFSLNK1\n"
_FRESH_SECONDS: Final = 10.0
"""So long what a registry said is not asked again by listings."""
_CACHED_MAX: Final = 20_000

_log: Final = structlog.get_logger("vaultairefs.engine")


class Membership(NamedTuple):
    """How many names the group has with this one, and the ETags that the others have; 1 of a lone name."""

    links: int = 1
    same: tuple[str, ...] = ()


LONE: Final = Membership()


class Registry(NamedTuple):
    """ETags by key below the namespace; the registry's own ETag is empty where there is none."""

    members: Mapping[bytes, str]
    etag: Version
    read_at: float


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """The body, packed."""

    link_id: str
    members: dict[bytes, str]


_decoder: Final[msgspec.msgpack.Decoder[Saved]] = msgspec.msgpack.Decoder(Saved)


class S3Links:
    """The registries of one namespace."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._seen: LRUCache[str, Registry] = LRUCache(_CACHED_MAX)
        self._guard = threading.Lock()

    def membership(self, key: bytes, etag: str, link_id: str) -> Membership:
        """What an object that carries ``link_id`` is."""
        if not link_id:
            return LONE
        registry = self.last(link_id)
        if registry is None or time.monotonic() - registry.read_at >= _FRESH_SECONDS:
            registry = self.read(link_id)
        return self.member_of(registry.members, key, etag)

    def member_of(self, members: Mapping[bytes, str], key: bytes, etag: str) -> Membership:
        """What the object is if its group has these members."""
        if members.get(self.told(key)) != etag or len(members) < 2:
            return LONE
        return Membership(len(members), tuple(sorted({*members.values()} - {etag})))

    def looked_up(self, key: bytes, known: Known) -> Known:
        """With what the registry of its group says."""
        links, same = self.membership(key, known.etag, known.link)
        return msgspec.structs.replace(known, links=links, same=same)

    def as_registered(self, key: bytes, known: Known) -> Known:
        """With what is known of its group without asking."""
        registry = self.last(known.link) if known.link else None
        links, same = self.member_of(registry.members, key, known.etag) if registry is not None else LONE
        return msgspec.structs.replace(known, links=links, same=same) if links > 1 else known

    def told(self, key: bytes) -> bytes:
        """The key as registries tell it: below the namespace, so that this can be moved."""
        return key[len(self._store.keys.base) :]

    def last(self, link_id: str) -> Registry | None:
        """What was read or written last, without asking."""
        with self._guard:
            return self._seen.get(link_id)

    def read(self, link_id: str) -> Registry:
        """What the store has."""
        members: Mapping[bytes, str] = {}
        etag = ABSENT
        try:
            reply = self._store.objects.get(self._key(link_id), {})
        except Refused as refusal:
            if refusal.status != 404:
                raise
        else:
            etag = etag_of(reply)
            members = unpack(reply.body, link_id)
        return self._keep(link_id, Registry(members, etag, time.monotonic()))

    def write(self, link_id: str, members: dict[bytes, str], old: Registry) -> bool:
        """In place of ``old``; False when that is not what is there any more."""
        key, abilities = self._key(link_id), self._store.abilities
        conditions: dict[str, str] = {}
        if abilities.put_version if old.etag else abilities.put_absent:
            conditions = self._store.conditions(old.etag)
        headers = {"content-type": "application/octet-stream", **conditions}
        try:
            if members:
                etag = Version(self._store.objects.put(key, pack(link_id, members), headers, repeatable=not conditions))
            else:
                etag = ABSENT
                is_pinned = old.etag and abilities.delete_version
                self._store.objects.delete(key, {"if-match": f'"{old.etag}"'} if is_pinned else {})
        except Refused as refusal:
            is_gone = refusal.status == 404 and bool(old.etag)  # what If-Match says where nothing is
            if not (refusal.is_precondition or is_gone):
                raise
            return False
        self._keep(link_id, Registry(members, etag, time.monotonic()))
        return True

    def _keep(self, link_id: str, registry: Registry) -> Registry:
        with self._guard:
            self._seen[link_id] = registry
        return registry

    def _key(self, link_id: str) -> bytes:
        return self._store.keys.private("links", link_id)


def info_of(name: bytes, known: Known) -> EntryInfo:
    """The entry of an artifact of which that is known."""
    size = len(known.attributes.target) or known.size
    info = EntryInfo(name, known.attributes, size, Version(known.etag), token=known.token)
    if known.links < 2:
        return info
    return info._replace(links=known.links, link_id=known.link, same_as=tuple(map(Version, known.same)))


def pack(link_id: str, members: Mapping[bytes, str]) -> bytes:
    """The body of a registry."""
    body = msgspec.msgpack.encode(Saved(link_id, dict(sorted(members.items()))))
    return MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def unpack(data: bytes, link_id: str) -> Mapping[bytes, str]:
    """The members that ``pack`` was given; none of anything else, nor of another group's registry."""
    body = data[len(MAGIC) + 4 :]
    if data[: len(MAGIC)] == MAGIC and data[len(MAGIC) : len(MAGIC) + 4] == zlib.crc32(body).to_bytes(4, "big"):
        try:
            saved = _decoder.decode(body)
        except msgspec.DecodeError:
            pass
        else:
            if saved.link_id == link_id:
                return saved.members
    _log.warning("links_unreadable", link_id=link_id)
    return {}
