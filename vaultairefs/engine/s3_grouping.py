"""Keeps the registries of linked artifacts (``s3_links``) true: who is a name of one, after anything about it changed.

Promise: a name that this mount does not know of is never lost from its group by a change here, and gets the new bytes
and attributes by a copy inside the store, under the condition that it is still as its registry says; what others put
there stays theirs.  Two mounts that change one group at the same time are told apart by the registry's ETag where the
store heeds it.  Blocking, thread-safe.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from vaultairefs.engine.interface import Grouped
from vaultairefs.engine.s3_artifacts import S3Artifacts
from vaultairefs.engine.s3_links import Registry, S3Links
from vaultairefs.engine.s3_metadata import read_extras
from vaultairefs.engine.s3_objects import Head
from vaultairefs.engine.s3_reading import S3Reading
from vaultairefs.engine.s3_store import S3Store
from vaultairefs.model.errors import Conflict, Unavailable
from vaultairefs.model.values import ABSENT, Attributes

_ATTEMPTS: Final = 4


class _Original(NamedTuple):
    """What names that only the registry knows have to be; ``is_new``: it holds other bytes than the registry says."""

    key: bytes
    etag: str
    attributes: Attributes
    is_new: bool


class S3Grouping:
    """Groups of one namespace."""

    def __init__(self, store: S3Store, reading: S3Reading, artifacts: S3Artifacts, links: S3Links) -> None:
        self._store = store
        self._reading = reading
        self._artifacts = artifacts
        self._links = links

    def group(self, link_id: str, names: Sequence[Grouped], attributes: Attributes) -> int:
        """The interface's contract."""
        keys = [self._store.keys.key(name.path) for name in names]
        ours = {self._links.told(key): str(name.version) for key, name in zip(keys, names, strict=True)}
        old = self._begin(link_id, is_whole=len(ours) > 1)
        for _ in range(_ATTEMPTS):
            members = {**self._of_others(link_id, old.members, ours, keys, attributes), **ours}
            if len(members) < 2:
                members = {}
            if members == old.members or self._links.write(link_id, members, old):
                self._note(link_id, members, ours)
                return len(members)
            old = self._links.read(link_id)
        raise Unavailable("another mount keeps changing the names of this file")

    def _begin(self, link_id: str, *, is_whole: bool) -> Registry:
        """What the registry may say; where the store does not check that, what it says now.

        ``is_whole``: we know of a whole group, so of one that nobody has read it may be that there is none yet.
        """
        abilities, last = self._store.abilities, self._links.last(link_id)
        if last is None:
            if is_whole and abilities.put_absent:
                return Registry({}, ABSENT, 0.0)
        elif abilities.put_version if last.etag else abilities.put_absent:
            return last
        return self._links.read(link_id)

    def _of_others(
        self,
        link_id: str,
        old: Mapping[bytes, str],
        ours: Mapping[bytes, str],
        keys: Sequence[bytes],
        attributes: Attributes,
    ) -> dict[bytes, str]:
        """The names that this mount does not know of and that are still what the registry says.

        A registry that names none of ours may be of another file, so nothing that it names is joined with them.
        """
        others = {told: etag for told, etag in old.items() if told not in ours}
        if ours and old.keys().isdisjoint(ours):
            return {}
        original = None
        if keys:
            is_new = any(old.get(told, etag) != etag for told, etag in ours.items())
            original = _Original(keys[0], ours[self._links.told(keys[0])], attributes, is_new)
        found = {}
        for told, etag in others.items():
            kept = self._keep(link_id, told, etag, original)
            if kept is not None:
                found[told] = kept
        return found

    def _keep(self, link_id: str, told: bytes, etag: str, original: _Original | None) -> str | None:
        """The ETag that the name has now; None where it is another's or gone."""
        key = self._store.keys.base + told
        if self._store.known.is_deleted(key):
            return None
        head = self._store.objects.head(key)
        if head is None or (original is not None and head.etag != etag):
            return None
        if original is None or not (original.is_new or self._is_other(head, original.attributes)):
            return etag
        source = self._store.objects.head(original.key)
        if source is None or source.etag != original.etag:
            return None
        token = f"{link_id}:{secrets.token_hex(8)}"
        extras = read_extras(head.metadata)._replace(token=token, origin="", link=link_id)
        try:
            return self._artifacts.copy_over(original.key, source, key, original.attributes, extras, head.etag)
        except Conflict:
            return None

    def _is_other(self, head: Head, attributes: Attributes) -> bool:
        theirs = self._reading.attributes_of(head, is_container=False)
        return theirs != msgspec.structs.replace(
            attributes,
            kind=theirs.kind,
            rdev=theirs.rdev,
            target=theirs.target,
            ctime_ns=theirs.ctime_ns,
        )

    def _note(self, link_id: str, members: Mapping[bytes, str], ours: Mapping[bytes, str]) -> None:
        """Listings and indexes tell at once what was registered."""
        for told, etag in {**ours, **members}.items():
            key = self._store.keys.base + told
            known = self._store.known.get(key)
            if known is not None and known.etag == etag:
                links, same = self._links.member_of(members, key, etag)
                self._store.known.note(key, msgspec.structs.replace(known, link=link_id, links=links, same=same))
