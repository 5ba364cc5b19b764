"""How one artifact gets into the local engine: made aside, synced, renamed into place, its directory synced.

Promise: at every moment, power loss included, its name leads to the old artifact whole or to the new one whole.  A
version is compared right before the rename: a foreign write in that instant is lost (``conditional`` is False); the
free name of ``ABSENT`` is checked by the kernel.  Blocking; callers translate ``OSError``.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import msgspec

from vaultairefs.disk.durable import sync_all, sync_directory, sync_filesystem, write_all
from vaultairefs.engine.conditions import holds, require, require_replaceable
from vaultairefs.engine.local_attributes import LocalAttributes
from vaultairefs.engine.local_reading import open_for_reading
from vaultairefs.engine.local_record import EMPTY, Record
from vaultairefs.engine.local_session import LocalSession, Temporary
from vaultairefs.engine.local_system import rename_no_replace
from vaultairefs.engine.local_tree import LocalTree, Pin
from vaultairefs.model.errors import Conflict, IsAContainer, NotAContainer
from vaultairefs.model.values import ABSENT, Attributes, EntryPath, Kind, Version


class Target(NamedTuple):
    """A name in an open directory, and what the caller believes to be there."""

    directory: int
    name: bytes
    path: EntryPath
    expected: Version
    operation: str


class LocalArtifacts:
    """Puts artifacts and changes attributes.  Thread-safe for different names."""

    def __init__(self, tree: LocalTree, attributes: LocalAttributes, session: LocalSession) -> None:
        self._tree = tree
        self._attributes = attributes
        self._session = session

    def put(self, path: EntryPath, content: bytes, attributes: Attributes, expected: Version, token: str) -> Version:
        """A small artifact in one go; the interface's contract."""

        def fill(fd: int) -> None:
            write_all(fd, content, 0)

        return self.make(path, attributes, expected, Record(token=token), "put", fill)

    def make(
        self,
        path: EntryPath,
        attributes: Attributes,
        expected: Version,
        ours: Record,
        operation: str,
        fill: Callable[[int], None],
    ) -> Version:
        """A new artifact; ``fill`` writes the bytes of a file."""
        if attributes.kind is Kind.CONTAINER:
            raise IsAContainer("a container is made by create_container", container=path.container, artifact=path.name)
        with self._tree.container(path.container) as directory:
            target = Target(directory, self._tree.stored_name(path), path, expected, operation)
            done = self.check(target, ours)
            if done is not None:
                return done
            with self._made(attributes) as (temporary, record):
                if attributes.kind is Kind.FILE:
                    fill(temporary.fd)
                pin = self._tree.observe(temporary.fd)
                self._attributes.apply(pin, attributes, msgspec.structs.replace(record, token=ours.token))
                if stat.S_ISREG(pin.status.st_mode):
                    sync_all(temporary.fd)
                # What cannot be opened cannot be synced, but it is in the log before the rename, which is synced.
                return self.publish(temporary.directory, temporary.name, pin, target)

    def check(self, target: Target, ours: Record) -> Version | None:
        """None when the name holds what is expected; its version when it holds our own work; ``Conflict`` else.

        ``ours`` has the token, and for an upload its id.
        """
        with self._tree.pinned(target.directory, target.name) as pin:
            current = None if pin is None else pin.version
            if holds(current, target.expected):
                require_replaceable(pin is not None and pin.is_container, target.path, target.operation)
                return None
            if pin is not None and not pin.is_container and self.is_ours(pin, ours):
                sync_directory(target.directory)  # a crash may have come between the rename and its sync
                return pin.version
            raise Conflict(container=target.path.container, artifact=target.path.name, operation=target.operation)

    def publish(self, source: int, source_name: bytes, pin: Pin, target: Target) -> Version:
        """Rename a finished, synced entry into its place and make that durable."""
        path, operation = target.path, target.operation
        if target.expected == ABSENT:
            try:
                rename_no_replace(source, source_name, target.directory, target.name)
            except FileExistsError as error:
                raise Conflict(container=path.container, artifact=path.name, operation=operation) from error
            sync_directory(target.directory)
            return pin.version
        with self._tree.pinned(target.directory, target.name) as replaced:
            require(None if replaced is None else replaced.version, target.expected, path, operation)
            os.rename(source_name, target.name, src_dir_fd=source, dst_dir_fd=target.directory)
            sync_directory(target.directory)
            if replaced is not None:
                self._attributes.forget_if_nameless(replaced)
        return pin.version

    def is_ours(self, pin: Pin, ours: Record) -> bool:
        """Whether the bytes are still those that were put with our token or by our upload."""
        _, record = self._attributes.read(pin)
        if not record.speaks_of(pin.status):
            return False
        return (record.token == ours.token != "") or (record.upload == ours.upload != "")

    def set_attributes(self, path: EntryPath, attributes: Attributes, expected: Version) -> Version:
        """Everything but the bytes; kind, device number and link target stay what they are."""
        with self._tree.entry(path) as pin:
            current, record = self._attributes.read(pin)
            if pin.is_container != (attributes.kind is Kind.CONTAINER):
                kind = IsAContainer if pin.is_container else NotAContainer
                raise kind(container=path.container, artifact=path.name, operation="set_attributes")
            if not holds(pin.version, expected):
                if _same_bytes(pin, expected) and _same_attributes(current, attributes):
                    return pin.version
                raise Conflict(container=path.container, artifact=path.name, operation="set_attributes")
            if not pin.is_container and not record.speaks_of(pin.status):
                record = msgspec.structs.replace(record, token="", upload="")
            self._attributes.apply(pin, attributes, record)
            self._sync(pin)
            return pin.version

    def _sync(self, pin: Pin) -> None:
        if not (pin.is_container or stat.S_ISREG(pin.status.st_mode)):
            sync_filesystem(self._tree.root_fd)  # symlinks and nodes cannot be opened to be synced
            return
        fd = open_for_reading(pin)
        try:
            sync_all(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _made(self, attributes: Attributes) -> Iterator[tuple[Temporary, Record]]:
        """A temporary entry of the kind, or an empty file that stands for a node that we may not make."""
        if attributes.kind is Kind.FILE:
            with self._session.file() as temporary:
                yield temporary, EMPTY
            return
        with ExitStack() as stack:
            record = EMPTY
            try:
                temporary = stack.enter_context(self._session.special(attributes))
            except PermissionError:
                if attributes.kind is Kind.SYMLINK:
                    raise
                temporary = stack.enter_context(self._session.file())
                record = Record(kind=int(attributes.kind), rdev=attributes.rdev)
            yield temporary, record


def _same_bytes(pin: Pin, version: Version) -> bool:
    """Whether ``version`` was this inode with this size: only its mtime may have been another."""
    if pin.is_container:
        return version == pin.version
    identity, _, rest = version.partition("-")
    return identity == pin.identity and rest.rpartition("-")[2] == str(pin.status.st_size)


def _same_attributes(current: Attributes, wanted: Attributes) -> bool:
    """But for ctime, which is the kernel's, and what ``set_attributes`` does not change."""
    mode = current.mode if current.kind is Kind.SYMLINK else wanted.mode
    return msgspec.structs.replace(current, ctime_ns=0) == msgspec.structs.replace(
        wanted, ctime_ns=0, mode=mode, kind=current.kind, rdev=current.rdev, target=current.target
    )
