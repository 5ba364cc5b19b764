"""Container paths as the seam speaks them, taken apart.

Promise: no component that leaves this module can climb out of a namespace: none is empty, ``.``, ``..`` or holds a
``/`` or NUL.  Parked entries live below a container whose name no user can make, because it begins with NUL.
"""

from typing import Final, NamedTuple

from vaultairefs.model.errors import InvalidRequest
from vaultairefs.model.names import check_name
from vaultairefs.model.values import EntryPath

STAGING_CONTAINER: Final = b"\0staging"
"""Parking place for entries while names are rearranged; no listing shows it."""

ROOT_PATH: Final = EntryPath(b"", b"")


class ContainerPath(NamedTuple):
    """The checked components below the root container, or below the staging container."""

    staged: bool
    components: tuple[bytes, ...]


def parse_container(container: bytes) -> ContainerPath:
    """``InvalidRequest``/``NameTooLong`` when a component is not a possible name."""
    if not container:
        return ContainerPath(False, ())
    first, *rest = container.split(b"/")
    staged = first == STAGING_CONTAINER
    components = tuple(rest) if staged else (first, *rest)
    for component in components:
        check_name(component)
    return ContainerPath(staged, components)


def entry_of(container: bytes) -> EntryPath:
    """The container itself as an entry of its parent; ``InvalidRequest`` for the root and the staging container."""
    if container in (b"", STAGING_CONTAINER):
        raise InvalidRequest("this container is not an entry of another one", container=container)
    parent, _, name = container.rpartition(b"/")
    return EntryPath(parent, name)


def staging_path(name: bytes) -> EntryPath:
    """Where ``name`` can be parked."""
    check_name(name)
    return EntryPath(STAGING_CONTAINER, name)
