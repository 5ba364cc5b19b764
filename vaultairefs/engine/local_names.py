"""The local engine's names: move, link, delete, and containers.

Promise: each step is one atomic rename, link or unlink, and durable when the verb returns; a repeated verb finds its
own work by the version or the inode.  Blocking; callers translate ``OSError``.
"""

import os
from collections.abc import Sequence

from vaultairefs.disk.durable import sync_all, sync_directory
from vaultairefs.disk.os_errors import translate
from vaultairefs.engine.conditions import holds, require, require_replaceable
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.local_artifacts import LocalArtifacts
from vaultairefs.engine.local_attributes import LocalAttributes
from vaultairefs.engine.local_record import EMPTY
from vaultairefs.engine.local_session import LocalSession
from vaultairefs.engine.local_system import rename_no_replace
from vaultairefs.engine.local_tree import LocalTree, Pin, through
from vaultairefs.engine.paths import ROOT_PATH, entry_of
from vaultairefs.model.errors import (
    AlreadyExists,
    Conflict,
    ContainerNotEmpty,
    IsAContainer,
    NotAContainer,
    NotFound,
    VaultaireError,
)
from vaultairefs.model.values import ABSENT, ANY, Attributes, EntryPath, Version


class LocalNames:
    """Rearranges names.  Thread-safe for different names."""

    def __init__(
        self, tree: LocalTree, attributes: LocalAttributes, session: LocalSession, artifacts: LocalArtifacts
    ) -> None:
        self._tree = tree
        self._attributes = attributes
        self._session = session
        self._artifacts = artifacts

    def move(self, source: EntryPath, target: EntryPath, version: Version, expected: Version) -> None:
        with self._tree.container(source.container) as before, self._tree.container(target.container) as after:
            old, new = self._tree.stored_name(source), self._tree.stored_name(target)
            with self._tree.pinned(before, old) as moved, self._tree.pinned(after, new) as occupant:
                if moved is None or not holds(moved.version, version):
                    if occupant is None or occupant.version != version:
                        raise _not_there(moved, source, "move")
                else:
                    self._move(moved, occupant, (before, old), (after, new), target, expected)
                sync_directory(after)
                sync_directory(before)
                if occupant is not None:
                    self._attributes.forget_if_nameless(occupant)

    def _move(
        self,
        moved: Pin,
        occupant: Pin | None,
        source: tuple[int, bytes],
        target: tuple[int, bytes],
        path: EntryPath,
        expected: Version,
    ) -> None:
        require(None if occupant is None else occupant.version, expected, path, "move")
        if occupant is not None and occupant.identity == moved.identity:
            # rename(2) does nothing between two names of one inode.
            if not _is_same_name(source, target):
                os.unlink(source[1], dir_fd=source[0])
            return
        require_replaceable(occupant is not None and occupant.is_container, path, "move")
        if occupant is not None and moved.is_container:
            raise NotAContainer(
                "a container cannot take an artifact's place",
                container=path.container,
                artifact=path.name,
                operation="move",
            )
        if expected == ABSENT:
            try:
                rename_no_replace(*source, *target)
            except FileExistsError as error:
                raise Conflict(container=path.container, artifact=path.name, operation="move") from error
            return
        os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])

    def link(self, source: EntryPath, target: EntryPath, version: Version, expected: Version) -> None:
        with self._tree.entry(source) as linked, self._tree.container(target.container) as directory:
            if linked.is_container:
                raise IsAContainer(container=source.container, artifact=source.name, operation="link")
            name = self._tree.stored_name(target)
            with self._tree.pinned(directory, name) as occupant:
                if occupant is None or occupant.identity != linked.identity:
                    require(linked.version, version, source, "link")
                    self._link(linked, occupant, directory, name, target, expected)
                sync_directory(directory)
                if occupant is not None:
                    self._attributes.forget_if_nameless(occupant)

    def _link(
        self,
        linked: Pin,
        occupant: Pin | None,
        directory: int,
        name: bytes,
        path: EntryPath,
        expected: Version,
    ) -> None:
        require(None if occupant is None else occupant.version, expected, path, "link")
        require_replaceable(occupant is not None and occupant.is_container, path, "link")
        origin = through(linked.fd)
        if occupant is None:
            try:
                os.link(origin, name, dst_dir_fd=directory, follow_symlinks=True)
            except FileExistsError as error:
                raise Conflict(container=path.container, artifact=path.name, operation="link") from error
            return
        with self._session.spare_name() as (aside, spare):
            os.link(origin, spare, dst_dir_fd=aside, follow_symlinks=True)
            os.rename(spare, name, src_dir_fd=aside, dst_dir_fd=directory)

    def delete(self, deletions: Sequence[Deletion]) -> list[VaultaireError | None]:
        """The outcomes in the order asked for; every container is synced once."""
        outcomes: list[VaultaireError | None] = [None] * len(deletions)
        by_container: dict[bytes, list[int]] = {}
        for index, deletion in enumerate(deletions):
            by_container.setdefault(deletion.path.container, []).append(index)
        for container, indexes in by_container.items():
            try:
                with self._tree.container(container) as directory:
                    nameless: list[str] = []
                    for index in indexes:
                        outcomes[index] = self._delete_one(directory, deletions[index], nameless)
                    sync_directory(directory)
                    for identity in nameless:
                        self._attributes.forget(identity)
            except (FileNotFoundError, NotADirectoryError):
                continue  # no container, no names: all of them are gone
            except OSError as error:
                failure: VaultaireError = translate(error, operation="delete", container=container)
                outcomes = _with_failure(outcomes, indexes, failure)
            except VaultaireError as error:
                outcomes = _with_failure(outcomes, indexes, error)
        return outcomes

    def _delete_one(self, directory: int, deletion: Deletion, nameless: list[str]) -> VaultaireError | None:
        path = deletion.path
        try:
            name = self._tree.stored_name(path)
            with self._tree.pinned(directory, name) as pin:
                if pin is None:
                    return None
                require(pin.version, deletion.expected, path, "delete")
                require_replaceable(pin.is_container, path, "delete")
                os.unlink(name, dir_fd=directory)
                if os.fstat(pin.fd).st_nlink == 0:
                    nameless.append(pin.identity)
        except FileNotFoundError:
            return None
        except OSError as error:
            return translate(error, operation="delete", container=path.container, artifact=path.name)
        except VaultaireError as error:
            return error
        return None

    def create_container(self, container: bytes, attributes: Attributes) -> Version:
        if not container:
            return self._artifacts.set_attributes(ROOT_PATH, attributes, ANY)
        path = entry_of(container)
        with self._tree.container(path.container) as directory:
            name = self._tree.stored_name(path)
            with self._tree.pinned(directory, name) as present:
                if present is not None and not present.is_container:
                    raise AlreadyExists(container=path.container, artifact=path.name, operation="create_container")
            if present is None:
                with self._session.container() as made:
                    pin = self._tree.observe(made.fd)
                    self._attributes.apply(pin, attributes, EMPTY)
                    sync_all(made.fd)
                    try:
                        rename_no_replace(made.directory, made.name, directory, name)
                    except FileExistsError:
                        pass  # somebody was faster: theirs gets the attributes
                    else:
                        sync_directory(directory)
                        return pin.version
            return self._artifacts.set_attributes(path, attributes, ANY)

    def delete_container(self, container: bytes) -> None:
        path = entry_of(container)
        try:
            with self._tree.container(path.container) as directory:
                name = self._tree.stored_name(path)
                with self._tree.pinned(directory, name) as pin:
                    if pin is None:
                        return
                    if not pin.is_container:
                        raise NotAContainer(container=path.container, artifact=path.name, operation="delete_container")
                    self._remove_empty(directory, name, container)
                    sync_directory(directory)
                    self._attributes.forget_if_nameless(pin)
        except (FileNotFoundError, NotADirectoryError):
            return  # it, or what would hold it, is gone already

    @staticmethod
    def _remove_empty(directory: int, name: bytes, container: bytes) -> None:
        try:
            os.rmdir(name, dir_fd=directory)
        except FileExistsError as error:  # POSIX allows EEXIST for ENOTEMPTY
            raise ContainerNotEmpty(container=container, operation="delete_container") from error


def _not_there(pin: Pin | None, path: EntryPath, operation: str) -> VaultaireError:
    kind = NotFound if pin is None else Conflict
    return kind(container=path.container, artifact=path.name, operation=operation)


def _is_same_name(source: tuple[int, bytes], target: tuple[int, bytes]) -> bool:
    return source[1] == target[1] and os.path.sameopenfile(source[0], target[0])


def _with_failure(
    outcomes: list[VaultaireError | None], indexes: list[int], failure: VaultaireError
) -> list[VaultaireError | None]:
    """``failure`` for all of one container's names that seemed to be fine: nothing there is sure to be durable."""
    struck = set(indexes)
    return [failure if at in struck and outcome is None else outcome for at, outcome in enumerate(outcomes)]
