"""What the planner may ask: the live tree, the stored tree, and what is under way.

Does not: change anything.  ``flush/ledger_view.py`` answers from the ledger; tests answer from two dicts.
"""

from collections.abc import Iterable
from typing import Protocol

from vaultairefs.backlog import StoredRef
from vaultairefs.model.values import EntryKey, Ino


class View(Protocol):
    """Answers must all be of one moment: the planner never awaits."""

    @property
    def moves(self) -> bool:
        """The engine renames without copying (``Capabilities.moves``)."""
        ...

    @property
    def links(self) -> bool:
        """The engine has second names (``Capabilities.links``)."""
        ...

    @property
    def times_disturbed(self) -> bool:
        """``Capabilities.container_times_disturbed``."""
        ...

    def live(self, key: EntryKey) -> Ino | None:
        """Which inode has this name for programs; always None in ``STAGING``."""
        ...

    def live_keys(self, ino: Ino) -> list[EntryKey]:
        """All names of an inode for programs; the root container has one, ``(ROOT, b"")``."""
        ...

    def stored(self, key: EntryKey) -> StoredRef | None:
        """What the engine holds at this name, as far as is recorded."""
        ...

    def stored_keys(self, ino: Ino) -> list[EntryKey]:
        """All names under which the engine holds this inode, fresh ones first."""
        ...

    def stored_children(self, container: Ino) -> Iterable[EntryKey]:
        """The names stored directly below a container."""
        ...

    def is_container(self, ino: Ino) -> bool:
        """Whether the inode is a container, also when programs have removed it already."""
        ...

    def content_owed(self, ino: Ino) -> bool:
        """Its bytes are newer here than in the engine (always False for anything but a file)."""
        ...

    def attributes_owed(self, ino: Ino) -> bool:
        """Something else about it is newer here."""
        ...

    def content_ready(self, ino: Ino) -> bool:
        """Its bytes have been quiet for long enough, or somebody insists."""
        ...

    def is_lifeline(self, ino: Ino) -> bool:
        """Unlinked, but open, and some of its bytes are only in the engine."""
        ...

    def completes(self, ino: Ino) -> bool:
        """Somebody insists that a lifeline be fetched whole now rather than waited for."""
        ...

    def is_busy(self, key: EntryKey) -> bool:
        """A step at this name is under way, or waits for its next try."""
        ...

    def is_busy_inode(self, ino: Ino) -> bool:
        """A step that carries this inode is under way, or a container's path is in use by one below it."""
        ...

    def doubt_about(self, key: EntryKey) -> EntryKey | None:
        """The name to settle because a step with an unknown outcome may have changed ``key``; often ``key`` itself."""
        ...

    def doubt_about_inode(self, ino: Ino) -> EntryKey | None:
        """The name to settle because a step with an unknown outcome carried this inode."""
        ...

    def is_adrift(self, key: EntryKey) -> bool:
        """A container above the stored ``key`` is being moved, or may have been: its path says nothing now."""
        ...

    def has_unsettled(self, container: Ino) -> bool:
        """Likewise for some name directly below this container."""
        ...

    def has_owed_below(self, container: Ino) -> bool:
        """Something directly below this container is still owed."""
        ...
