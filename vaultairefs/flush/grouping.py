"""Tell engines without links which names are one file's, after the names are where they should be.

Each name is an artifact of its own there; put and copy keep the bytes of all of them the same.  What is told here
only says who belongs together, so it comes last, and a crash before it costs nothing but being told again.

Promise: an inode that has, and had, one name costs no call.  A name is told of with the version that our records say;
where somebody else has put another one, that is none of the file's names for anybody who looks.
"""

from vaultairefs.engine.interface import Grouped
from vaultairefs.flush.desk import Desk, secure
from vaultairefs.flush.leaving import held_up, settle
from vaultairefs.flush.rearranging import mtime_token
from vaultairefs.flush.steps import Decision, Group, Wait
from vaultairefs.flush.view import View
from vaultairefs.ledger.arrivals import link_id_of
from vaultairefs.model.changes import ArtifactCopied
from vaultairefs.model.values import Attributes, EntryKey, Ino, Kind, Version

_NOBODYS = Attributes(Kind.FILE, 0, 0, 0, 0, 0, 0)


def decide_group(view: View, ino: Ino) -> Decision:
    """The step that tells of ``ino``'s names, when each of them holds what it should."""
    if (reason := held_up(view, ino)) is not None:
        return reason
    live, names = set(view.live_keys(ino)), []
    for key in view.stored_keys(ino):
        ref = view.stored(key)
        if view.is_busy(key) or view.is_adrift(key):
            return Wait("under way")
        if (doubt := view.doubt_about(key)) is not None:
            return settle(view, doubt)
        if ref is None or ref.stale or key not in live:
            return Wait("its names come first")
        names.append((key, ref.version))
    return Group(ino, tuple(sorted(names))) if len(names) == len(live) else Wait("its names come first")


class Grouper:
    """Carries the step out.  ``told`` is what the engine was told last of each inode in this life."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: dict[Ino, list[Grouped]] = {}

    async def group(self, step: Group) -> None:
        """Errors of the engine go to the caller; nothing is in doubt then but a mark, which is journalled."""
        desk, ino = self._desk, step.ino
        mark = link_id_of(desk.ledger, ino)
        if self._is_told(step):
            desk.ledger.backlog.settle_group(ino, is_group=True)
            return
        if len(step.names) > 1:
            for key, version in step.names:
                if desk.marked.get(key) != version:
                    await self._give_mark(ino, key, version, mark)
        with desk.working_on([key for key, _ in step.names], [ino]):
            names = self._names_now(step)
            if names is None:
                return
            inode = desk.ledger.namespace.find(ino)
            attributes = inode.attributes() if inode is not None else _NOBODYS
            told = self._paths(names)
            await secure(desk)
            count = await desk.engine.group(mark, told, attributes)
            if self._names_now(step) == names:
                self._note(ino, told if count > 1 else [])
                self._forget_marks(step, is_group=count > 1)

    def _is_told(self, step: Group) -> bool:
        """Whether the engine knows all of that, and of no name that we do not know."""
        inode = self._desk.ledger.namespace.find(step.ino)
        if inode is not None and inode.nlink != len(step.names):
            return False
        return self._told.get(step.ino) == self._paths(step.names)

    def _paths(self, names: tuple[tuple[EntryKey, Version], ...]) -> list[Grouped]:
        return [Grouped(self._desk.path(key), version) for key, version in names]

    def _note(self, ino: Ino, told: list[Grouped]) -> None:
        self._desk.ledger.backlog.settle_group(ino, is_group=bool(told))
        self._told.pop(ino, None)
        if told:
            self._told[ino] = told

    def _forget_marks(self, step: Group, *, is_group: bool) -> None:
        """Of a file with one name nothing has to be remembered."""
        if not is_group:
            for key, _ in step.names:
                self._desk.marked.pop(key, None)

    def _names_now(self, step: Group) -> tuple[tuple[EntryKey, Version], ...] | None:
        """The names that the step is about, as they are recorded now; None when there are others."""
        backlog = self._desk.ledger.backlog
        rows = {key: backlog.stored(key) for key in backlog.refs_of(step.ino)}
        if rows.keys() != {key for key, _ in step.names}:
            return None
        if any(row is None or row.stale for row in rows.values()):
            return None
        return tuple(sorted((key, row.version) for key, row in rows.items() if row is not None))

    async def _give_mark(self, ino: Ino, key: EntryKey, version: Version, mark: str) -> None:
        """A name that was stored when it was the only one."""
        desk = self._desk
        inode = desk.ledger.namespace.find(ino)
        if inode is None or key not in inode.refs:
            return
        path = desk.path(key)
        with desk.working_on([key], [ino]):
            attributes = inode.attributes()
            desk.begin("set_attributes", ino, key, version=version, token=mtime_token(attributes))
            await secure(desk)
            marked = await desk.engine.set_attributes(
                path, attributes, expected=desk.expected(key, version), link_id=mark
            )
            desk.overrides.pop(key, None)
            desk.ledger.commit(ArtifactCopied(ino, *key, marked, version, attributes=False))
            desk.marked[key] = marked
