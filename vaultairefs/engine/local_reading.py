"""The local engine's questions: stat, list, read, usage.

Promise: nothing here changes the namespace.  A read is of one version from its first byte to its last: the version is
looked at before and after.  Blocking; callers translate ``OSError``.
"""

import os
import secrets
import stat
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from vaultairefs.disk.copying import copy_range
from vaultairefs.engine.interface import EntryInfo, ListingPage, Usage
from vaultairefs.engine.local_attributes import LocalAttributes
from vaultairefs.engine.local_record import Sidecars
from vaultairefs.engine.local_tree import LocalTree, Pin, through
from vaultairefs.model.errors import Conflict, InvalidRequest, IsAContainer
from vaultairefs.model.names import unescape_root_name
from vaultairefs.model.values import ANY, EntryPath, Version

PAGE_ENTRIES: Final = 4096
_SNAPSHOTS_MAX: Final = 4


class LocalReading:
    """Looks at the tree.  Thread-safe."""

    def __init__(self, tree: LocalTree, attributes: LocalAttributes, page_entries: int = PAGE_ENTRIES) -> None:
        self._tree = tree
        self._attributes = attributes
        self._listings = _Listings(page_entries)

    def stat(self, path: EntryPath) -> EntryInfo:
        with self._tree.entry(path) as pin:
            return self._describe(pin, path.name)

    def list(self, container: bytes, cursor: str | None) -> ListingPage:
        with self._tree.container(container) as directory:
            names, following = self._listings.page(directory, cursor)
            pairs = [(name, name) for name in names] if container else _shown_at_the_root(names)
            while True:
                with self._attributes.sidecars() as sidecars:
                    entries = self._entries(directory, pairs, sidecars)
                if sidecars.were_seen():
                    return ListingPage(entries, following)

    def _entries(self, directory: int, pairs: Iterable[tuple[bytes, bytes]], sidecars: Sidecars) -> Sequence[EntryInfo]:
        """The entries that are there, by their names on disk and ours."""
        entries = []
        for stored, name in pairs:
            pin = self._tree.pin(directory, stored)
            if pin is not None:
                try:
                    entries.append(self._describe(pin, name, sidecars))
                finally:
                    os.close(pin.fd)
        return entries

    def read(self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int) -> int:
        """Copied bytes; after ``Conflict`` the target range holds nothing to rely on."""
        with self._tree.entry(path) as pin:
            if pin.is_container:
                raise IsAContainer(container=path.container, artifact=path.name, operation="read")
            if version not in (ANY, pin.version):
                raise Conflict(container=path.container, artifact=path.name, operation="read")
            before = pin.version
            if not stat.S_ISREG(pin.status.st_mode):
                raise InvalidRequest("only files have bytes", container=path.container, artifact=path.name)
            source = open_for_reading(pin)
            try:
                copied = copy_range(source, offset, descriptor, position, length)
            finally:
                os.close(source)
            pin.refresh()
            if pin.version != before:
                raise Conflict(
                    "the artifact changed while it was read",
                    container=path.container,
                    artifact=path.name,
                    operation="read",
                )
            return copied

    def usage(self) -> Usage:
        found = os.fstatvfs(self._tree.root_fd)
        return Usage(
            capacity_bytes=found.f_blocks * found.f_frsize,
            free_bytes=found.f_bfree * found.f_frsize,
            available_bytes=found.f_bavail * found.f_frsize,
            entries=found.f_files or None,  # Btrfs has no fixed number and says 0
            entries_free=found.f_ffree if found.f_files else None,
        )

    def _describe(self, pin: Pin, name: bytes, sidecars: Sidecars | None = None) -> EntryInfo:
        attributes, record = self._attributes.read(pin, sidecars)
        if pin.is_container:
            return EntryInfo(name, attributes, 0, pin.version)
        links = pin.status.st_nlink
        return EntryInfo(
            name,
            attributes,
            pin.status.st_size,
            pin.version,
            links=links,
            link_id=pin.identity if links > 1 else "",
            token=record.token if record.token and record.speaks_of(pin.status) else "",
        )


def open_for_reading(pin: Pin) -> int:
    """A descriptor of a pinned file or directory that reads without moving its atime where that is allowed."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(through(pin.fd), flags | os.O_NOATIME)
    except PermissionError:
        return os.open(through(pin.fd), flags)


class _Listings:
    """Cuts directories into pages.

    A page is the names whose CRC-32 falls into one of ``buckets`` classes; the cursor says which of how many.  So each
    name is on exactly one page, any page can be asked for again, by another process too, and nothing is sorted.  The
    names of recent directories are remembered, so that the next page need not read the directory again.
    """

    def __init__(self, page_entries: int) -> None:
        self._page_entries = page_entries
        self._guard = threading.Lock()
        self._snapshots: OrderedDict[str, list[list[bytes]]] = OrderedDict()

    def page(self, directory: int, cursor: str | None) -> tuple[list[bytes], str | None]:
        if cursor is None:
            names = _names(directory)
            buckets = -(-len(names) // self._page_entries)
            if buckets <= 1:
                return names, None
            serial, bucket = secrets.token_hex(8), 0
            pages = self._remember(serial, _cut(names, buckets))
        else:
            serial, buckets, bucket = _parse(cursor)
            with self._guard:
                remembered = self._snapshots.get(serial)
            if remembered is None:
                remembered = _cut(_names(directory), buckets)
            pages = remembered
        following = f"{serial}.{buckets}.{bucket + 1}" if bucket + 1 < buckets else None
        return pages[bucket], following

    def _remember(self, serial: str, pages: list[list[bytes]]) -> list[list[bytes]]:
        with self._guard:
            self._snapshots[serial] = pages
            while len(self._snapshots) > _SNAPSHOTS_MAX:
                self._snapshots.popitem(last=False)
        return pages


def _shown_at_the_root(names: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(stored, name) for stored in names if (name := unescape_root_name(stored)) is not None]


def _names(directory: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(directory)]


def _cut(names: list[bytes], buckets: int) -> list[list[bytes]]:
    pages: list[list[bytes]] = [[] for _ in range(buckets)]
    for name in names:
        pages[zlib.crc32(name) % buckets].append(name)
    return pages


def _parse(cursor: str) -> tuple[str, int, int]:
    try:
        serial, *numbers = cursor.split(".")
        buckets, bucket = (int(number) for number in numbers)
    except ValueError:
        raise InvalidRequest(f"{cursor} is no cursor of a listing", operation="list") from None
    if not 0 <= bucket < buckets:
        raise InvalidRequest(f"{cursor} is no cursor of a listing", operation="list")
    return serial, buckets, bucket
