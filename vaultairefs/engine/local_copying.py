"""Copies of artifacts inside the local engine: new artifacts that share the old one's blocks where they can.

Promise: the copy has the bytes of exactly the version asked for, or is not made.  Blocking; callers translate
``OSError``.
"""

import os

import msgspec

from vaultairefs.disk.copying import copy_range
from vaultairefs.engine.conditions import require
from vaultairefs.engine.local_artifacts import LocalArtifacts
from vaultairefs.engine.local_attributes import LocalAttributes
from vaultairefs.engine.local_reading import open_for_reading
from vaultairefs.engine.local_record import Record
from vaultairefs.engine.local_tree import LocalTree, Pin
from vaultairefs.model.errors import Conflict, IsAContainer, NotFound
from vaultairefs.model.values import Attributes, EntryPath, Version


class LocalCopying:
    """Makes copies."""

    def __init__(self, tree: LocalTree, attributes: LocalAttributes, artifacts: LocalArtifacts) -> None:
        self._tree = tree
        self._attributes = attributes
        self._artifacts = artifacts

    def copy(
        self,
        source: EntryPath,
        target: EntryPath,
        version: Version,
        attributes: Attributes | None,
        expected: Version,
        token: str,
    ) -> Version:
        """The interface's contract."""
        try:
            with self._tree.entry(source) as pin:
                if pin.is_container:
                    raise IsAContainer(container=source.container, artifact=source.name, operation="copy")
                require(pin.version, version, source, "copy")
                return self._copy(pin, source, target, attributes, expected, token)
        except (NotFound, Conflict, FileNotFoundError):
            done = self._made_before(target, token)
            if done is None:
                raise
            return done

    def _copy(
        self,
        pin: Pin,
        source: EntryPath,
        target: EntryPath,
        attributes: Attributes | None,
        expected: Version,
        token: str,
    ) -> Version:
        current, _ = self._attributes.read(pin)
        wanted = current if attributes is None else attributes
        wanted = msgspec.structs.replace(wanted, kind=current.kind, rdev=current.rdev, target=current.target)
        before = pin.version

        def fill(fd: int) -> None:
            reading = open_for_reading(pin)
            try:
                copy_range(reading, 0, fd, 0, pin.status.st_size)
            finally:
                os.close(reading)
            pin.refresh()
            require(pin.version, before, source, "copy")

        return self._artifacts.make(target, wanted, expected, Record(token=token), "copy", fill)

    def _made_before(self, target: EntryPath, token: str) -> Version | None:
        """The version at the target if it is this very copy, made before its source went."""
        try:
            with self._tree.entry(target) as pin:
                ours = not pin.is_container and self._artifacts.is_ours(pin, Record(token=token))
                return pin.version if ours else None
        except (NotFound, FileNotFoundError):
            return None
