"""What an engine checks before it changes anything; shared so that every engine decides alike.

Promise: pure, and the only place that knows what ``ABSENT`` and ``ANY`` mean.
"""

from vaultairefs.model.errors import Conflict, IsAContainer
from vaultairefs.model.values import ABSENT, ANY, EntryPath, Version


def holds(current: Version | None, expected: Version) -> bool:
    """Whether what is there (None: nothing) is what the caller believes to be there."""
    if expected == ANY:
        return True
    if expected == ABSENT:
        return current is None
    return current == expected


def require(current: Version | None, expected: Version, path: EntryPath, operation: str) -> None:
    """Raise ``Conflict`` unless ``holds``."""
    if not holds(current, expected):
        raise Conflict(container=path.container, artifact=path.name, operation=operation)


def require_replaceable(is_container: bool, path: EntryPath, operation: str) -> None:
    """Raise ``IsAContainer`` where an artifact would take the place of a container: those are never replaced."""
    if is_container:
        raise IsAContainer(container=path.container, artifact=path.name, operation=operation)
