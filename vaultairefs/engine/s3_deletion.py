"""Deletes many artifacts: in bulk where it can, each under its condition as far as the store honours that.

Promise: an artifact whose version is another than expected stays: by the store's own check, else by a look right
before (one listing page serves up to a thousand).  A container that exists only by what is in it outlives that.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

from vaultairefs.engine.conditions import holds
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.paths import ROOT_PATH
from vaultairefs.engine.s3_containers import S3Containers
from vaultairefs.engine.s3_errors import Refused, kind_of_code
from vaultairefs.engine.s3_objects import AFTER_PREFIX, fits_xml
from vaultairefs.engine.s3_running import Runner, placed
from vaultairefs.engine.s3_store import S3Store
from vaultairefs.model.errors import Conflict, VaultaireError
from vaultairefs.model.values import ABSENT, ANY, EntryPath, Version

T = TypeVar("T")

_BULK_MAX: Final = 1000
_LISTING_PAYS: Final = 4
"""From so many names of one container on, a listing is cheaper than a HEAD each."""


class _Wish(NamedTuple):
    number: int
    path: EntryPath
    key: bytes
    expected: Version


class S3Deletion:
    """Deletes from one namespace."""

    def __init__(self, store: S3Store, containers: S3Containers, runner: Runner) -> None:
        self._store = store
        self._containers = containers
        self._runner = runner

    async def delete(self, deletions: Sequence[Deletion]) -> Sequence[VaultaireError | None]:
        """The interface's contract."""
        outcomes: list[VaultaireError | None] = [None] * len(deletions)
        wishes = []
        for number, deletion in enumerate(deletions):
            try:
                key = self._store.keys.key(deletion.path)
            except VaultaireError as error:
                outcomes[number] = error
            else:
                wishes.append(_Wish(number, deletion.path, key, deletion.expected))
        await self._keep_containers(wishes)
        settled = await self._check([wish for wish in wishes if self._needs_look(wish)])
        for wish, outcome in settled:
            outcomes[wish.number] = outcome
        done = {wish.number for wish, _ in settled}
        singles, bulk = self._split([wish for wish in wishes if wish.number not in done])
        for wish, outcome in zip(singles, await self._each(singles, self._delete_one), strict=True):
            outcomes[wish.number] = outcome
        for wish in wishes:
            self._store.known.forget(wish.key)
        for start in range(0, len(bulk), _BULK_MAX):
            part = bulk[start : start + _BULK_MAX]
            refused = await self._runner.run(ROOT_PATH, "delete", partial(self._delete_part, part))
            for wish in part:
                outcomes[wish.number] = refused.get(wish.number)
        for wish in wishes:
            if outcomes[wish.number] is None:
                self._store.known.note_deleted(wish.key)
        return outcomes

    def _needs_look(self, wish: _Wish) -> bool:
        """Whether the store will not check the condition itself."""
        abilities = self._store.abilities
        if wish.expected in (ANY, ABSENT):
            return wish.expected == ABSENT
        return not (abilities.bulk_delete_version or abilities.delete_version)

    async def _keep_containers(self, wishes: Sequence[_Wish]) -> None:
        containers = {wish.path.container for wish in wishes} & self._store.implicit
        await self._runner.each(ROOT_PATH, "delete", sorted(containers), self._containers.keep)

    async def _check(self, wishes: Sequence[_Wish]) -> list[tuple[_Wish, VaultaireError | None]]:
        """Those that are settled by a look: gone already, or another version."""
        groups: defaultdict[bytes, list[_Wish]] = defaultdict(list)
        for wish in wishes:
            groups[wish.key.rpartition(b"/")[0]].append(wish)
        etags: dict[bytes, Version] = {}
        few = [wish for group in groups.values() if len(group) < _LISTING_PAYS for wish in group]
        etags.update(found for found in await self._each(few, self._look_at) if found is not None)
        many = [group for group in groups.values() if len(group) >= _LISTING_PAYS]
        for found in await self._runner.each(ROOT_PATH, "delete", many, self._look_through):
            etags.update(found)
        settled: list[tuple[_Wish, VaultaireError | None]] = []
        for wish in wishes:
            etag = etags.get(wish.key)
            if etag is None:
                settled.append((wish, None))
            elif not holds(etag, wish.expected):
                settled.append((wish, _conflict(wish)))
        return settled

    def _look_at(self, wish: _Wish) -> tuple[bytes, Version] | None:
        head = self._store.objects.head(wish.key)
        return None if head is None else (wish.key, head.etag)

    def _look_through(self, group: list[_Wish]) -> dict[bytes, Version]:
        """The ETags of one container's keys, by listing or, where too much lies between them, one by one."""
        objects = self._store.objects
        keys = sorted(wish.key for wish in group)
        prefix = keys[0].rpartition(b"/")[0]
        etags: dict[bytes, Version] = {}
        after = keys[0][:-1]
        for _ in range(1 + len(keys) // 100):
            page = objects.page(prefix + b"/" if prefix else b"", after=after)
            etags.update((found.key, found.etag) for found in page.objects)
            last = max([*(found.key for found in page.objects), *page.prefixes], default=keys[-1])
            if page.is_last or last >= keys[-1]:
                return etags
            after = last + AFTER_PREFIX if last.endswith(b"/") else last
        for key in keys:
            if key > after:
                head = objects.head(key)
                if head is not None:
                    etags[key] = head.etag
        return etags

    def _split(self, wishes: Sequence[_Wish]) -> tuple[list[_Wish], list[_Wish]]:
        """Those that need a request each, and the rest."""
        abilities = self._store.abilities
        singles: list[_Wish] = []
        bulk: list[_Wish] = []
        for wish in wishes:
            conditional = wish.expected != ANY and abilities.delete_version and not abilities.bulk_delete_version
            alone = conditional or not abilities.bulk_delete or not fits_xml(wish.key)
            (singles if alone else bulk).append(wish)
        return ([*singles, *bulk], []) if len(bulk) == 1 else (singles, bulk)

    def _delete_one(self, wish: _Wish) -> VaultaireError | None:
        try:
            conditional = wish.expected != ANY and self._store.abilities.delete_version
            headers = {"if-match": f'"{wish.expected}"'} if conditional else {}
            self._store.objects.delete(wish.key, headers)
        except Refused as refusal:
            if not refusal.is_precondition:
                return placed(refusal.translated(), wish.path, "delete")
            return None if self._store.objects.head(wish.key) is None else _conflict(wish)
        return None

    def _delete_part(self, wishes: list[_Wish]) -> dict[int, VaultaireError]:
        conditional = self._store.abilities.bulk_delete_version
        pairs = [(wish.key, wish.expected if conditional and wish.expected != ANY else "") for wish in wishes]
        codes = self._store.objects.delete_many(pairs)
        refused: dict[int, VaultaireError] = {}
        for wish in wishes:
            code = codes.get(wish.key, "NoSuchKey")
            if code == "PreconditionFailed":
                refused[wish.number] = _conflict(wish)
            elif code != "NoSuchKey":
                kind = kind_of_code(code)
                refused[wish.number] = kind(code, container=wish.path.container, artifact=wish.path.name)
        return refused

    async def _each(self, wishes: Sequence[_Wish], work: Callable[[_Wish], T]) -> list[T]:
        return await self._runner.each(ROOT_PATH, "delete", wishes, work)


def _conflict(wish: _Wish) -> Conflict:
    return Conflict(container=wish.path.container, artifact=wish.path.name, operation="delete")
