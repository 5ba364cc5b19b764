"""Decide how what stands at a stored name leaves it: deleted, sent home, parked, or emptied first.

Part of the planner, whose text has the rules; as pure as that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vaultairefs.backlog import StoredRef
from vaultairefs.flush.steps import (
    Complete,
    Delete,
    DeleteContainer,
    Doomed,
    HandOver,
    Settle,
    Stage,
    Step,
    Wait,
)
from vaultairefs.flush.view import View
from vaultairefs.model.values import STAGING, EntryKey, Ino

DELETIONS_MAX: Final = 1000
"""Names in one delete step: what S3 takes in one request."""


@dataclass(frozen=True, slots=True)
class First:
    """``key`` must be dealt with before the name in question."""

    key: EntryKey


Verdict = Step | Wait | First | None


def settle(view: View, doubt: EntryKey) -> Settle | Wait:
    return Wait("in doubt, and under way") if view.is_busy(doubt) or view.is_adrift(doubt) else Settle(doubt)


def held_up(view: View, ino: Ino) -> Settle | Wait | None:
    """Why no step may carry ``ino`` now, if so."""
    if view.is_busy_inode(ino):
        return Wait("under way")
    doubt = view.doubt_about_inode(ino)
    return None if doubt is None else settle(view, doubt)


class Leaving:
    """One look at one name.  ``visited`` holds the names that wait for this one."""

    __slots__ = ("key", "view", "visited")

    def __init__(self, view: View, key: EntryKey, visited: set[EntryKey]) -> None:
        self.view = view
        self.key = key
        self.visited = visited

    def remove(self, ref: StoredRef) -> Verdict:
        """Nobody wants what is stored at ``key`` to be there."""
        view = self.view
        if (reason := held_up(view, ref.ino)) is not None:
            return reason
        if view.is_container(ref.ino):
            return Wait("goes elsewhere first") if view.live_keys(ref.ino) else self.clear(ref.ino, self.key)
        if self.key.container == STAGING and self._is_parked(ref):
            return Wait("goes elsewhere first")
        if self.is_spare(self.key, ref):
            return Delete((Doomed(ref.ino, self.key, ref.version),))
        if view.live_keys(ref.ino):
            return Wait("goes elsewhere first")
        return Complete(ref.ino) if view.completes(ref.ino) else Wait("still open")

    def clear(self, container: Ino, key: EntryKey) -> Verdict:
        """Bring an unwanted container nearer to its end, deepest entries first."""
        view = self.view
        while True:
            if view.is_busy(key):
                return Wait("in the way and under way")
            inner: EntryKey | None = None
            doomed: list[Doomed] = []
            inodes: set[Ino] = set()
            verdict: Verdict = None
            for child, ref in self._children(container):
                if view.is_container(ref.ino) and not view.live_keys(ref.ino) and view.doubt_about(child) is None:
                    inner = child
                    continue
                answer = self._clear_child(child, ref)
                if isinstance(answer, Doomed):
                    # Two names of one inode are each other's spare: only one of them may go at a time.
                    if answer.ino not in inodes:
                        doomed.append(answer)
                        inodes.add(answer.ino)
                elif verdict is None or isinstance(verdict, Wait):
                    verdict = answer
                if len(doomed) == DELETIONS_MAX:
                    break
            if doomed:
                return Delete(tuple(doomed))
            if verdict is not None and not isinstance(verdict, Wait):
                return verdict
            if inner is None:
                if verdict is not None:
                    return verdict
                if view.has_unsettled(container) or view.is_busy_inode(container):
                    return Wait("its entries come first")
                return DeleteContainer(container, key)
            stored = view.stored(inner)
            assert stored is not None
            container, key = stored.ino, inner

    def _children(self, container: Ino) -> Iterator[tuple[EntryKey, StoredRef]]:
        for child in self.view.stored_children(container):
            ref = self.view.stored(child)
            if ref is not None:
                yield child, ref

    def _clear_child(self, child: EntryKey, ref: StoredRef) -> Doomed | Step | Wait | First | None:
        """What to do with one entry of an unwanted container; never None."""
        view = self.view
        if view.is_busy(child):
            return Wait("in the way and under way")
        if not view.is_container(ref.ino) and (reason := held_up(view, ref.ino)) is not None:
            return reason
        if (doubt := view.doubt_about(child)) is not None:
            return settle(view, doubt)
        if view.is_container(ref.ino) or not self.is_spare(child, ref):
            if view.live_keys(ref.ino):
                return self.send_home(ref.ino, child)
            if view.completes(ref.ino):
                return Complete(ref.ino)
            # Whoever wants the container's name does not wait for a program to close a file.
            return self.stage(ref.ino, child) if view.live(self.key) is not None else Wait("still open")
        return Doomed(ref.ino, child, ref.version)

    def stage(self, ino: Ino, source: EntryKey) -> Verdict:
        if not self.view.moves and self.view.is_container(ino):
            return self.hand_over(ino, source, None)
        ref = self.view.stored(source)
        if ref is None or source.container == STAGING or (not self.view.moves and self._has_parked_copy(ino)):
            return Wait("parked already")
        if self.view.is_busy(source) or self.view.is_adrift(source):
            return Wait("in the way and under way")
        if (reason := held_up(self.view, ino)) is not None:
            return reason
        doubt = self.view.doubt_about(source)
        return settle(self.view, doubt) if doubt is not None else Stage(ino, source, ref.version)

    def hand_over(self, ino: Ino, key: EntryKey, heir: Ino | None) -> Verdict:
        """The container stored at ``key`` cannot be moved: let what is in it be taken down as ``heir``'s."""
        view = self.view
        for owner in (ino,) if heir is None else (ino, heir):
            if view.is_busy_inode(owner):
                return Wait("in the way and under way")
            if (doubt := view.doubt_about_inode(owner)) is not None:
                return settle(view, doubt)
            if view.has_unsettled(owner):
                return Wait("its entries come first")
        if view.is_busy(key) or view.is_adrift(key):
            return Wait("in the way and under way")
        doubt = view.doubt_about(key)
        return settle(view, doubt) if doubt is not None else HandOver(ino, key, heir)

    def _home_of(self, ino: Ino) -> EntryKey | None:
        """A name that ``ino`` has for programs and not yet, or not yet as it is now, in the engine."""
        for key in self.view.live_keys(ino):
            ref = self.view.stored(key)
            if ref is None or ref.ino != ino or ref.stale:
                return key
        return None

    def is_spare(self, key: EntryKey, ref: StoredRef) -> bool:
        """Whether losing this name loses no bytes: another name holds them for sure, or nobody will ask for them."""
        for other in self.view.stored_keys(ref.ino):
            held = self.view.stored(other)
            if other != key and held is not None and not held.stale and self.view.doubt_about(other) is None:
                return True
        return not self.view.live_keys(ref.ino) and not self.view.is_lifeline(ref.ino)

    def _has_parked_copy(self, ino: Ino) -> bool:
        rows = [(key, self.view.stored(key)) for key in self.view.stored_keys(ino)]
        return any(key.container == STAGING and row is not None and not row.stale for key, row in rows)

    def _is_parked(self, ref: StoredRef) -> bool:
        """Whether what is parked still has to be: the name that it was copied from goes, not the copy."""
        view = self.view
        homes = [held for home in view.live_keys(ref.ino) if (held := view.stored(home)) is not None]
        if not view.live_keys(ref.ino):
            return view.is_lifeline(ref.ino) and not view.completes(ref.ino)
        return not any(held.ino == ref.ino and not held.stale for held in homes)

    def send_home(self, ino: Ino, source: EntryKey) -> Verdict:
        """What is stored at ``source`` is in the way and wanted elsewhere."""
        if not self.view.moves and self.view.is_container(ino):
            return self.hand_over(ino, source, None)
        home = self._home_of(ino)
        if home is None or home == self.key or home in self.visited:
            return self.stage(ino, source)
        return First(home)
