"""Decide the next engine step for one name or one inode: values in, one step out, nothing done.

Every decision is made from the state of the moment and carried out before the next one at the same place is made,
so programs may go on renaming while the engine works, and a crash between a step and its record costs a repetition.

The rules, for a name K that programs see as W and the engine holds as S:

* A container is placed before anything is put into it, from the root of the *live* tree downwards.  That tree has
  no cycles, so a container is never moved into itself.
* W goes to K by the cheapest step: move from a name it no longer has, link from another name, else put.  A file
  whose bytes are owed is put straight to its last name: a half-written old version never shows up there.
* S makes way.  If it is wanted elsewhere and this is its only copy, it goes there first; if that leads back to K (a
  cycle, or a container that waits for its own guest), it is parked in ``STAGING``, from where its own place takes it
  up again.  If it is an artifact nobody wants, W replaces it in one step.  If it is a container nobody wants, it is
  emptied and deleted in place: foreign entries inside are never hidden.
* An unlinked file that is open and whose bytes are not all local keeps its stored name.

Why it ends: every step makes a wanted thing reach its place, parks one that was in a wrong place (which happens once
to each), or removes an unwanted one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vaultairefs.backlog import StoredRef
from vaultairefs.flush.steps import (
    Complete,
    CreateContainer,
    Decision,
    Delete,
    DeleteContainer,
    Doomed,
    Link,
    Move,
    Put,
    SetAttributes,
    Settle,
    Stage,
    Step,
    Wait,
)
from vaultairefs.flush.view import View
from vaultairefs.model.values import ABSENT, ROOT, STAGING, EntryKey, Ino, Version

DELETIONS_MAX: Final = 1000
"""Names in one delete step: what S3 takes in one request."""


@dataclass(frozen=True, slots=True)
class _First:
    """``key`` must be dealt with before the name in question."""

    key: EntryKey


_Verdict = Step | Wait | _First | None


def decide_name(view: View, key: EntryKey) -> Decision:
    """The next step that brings the engine's ``key`` nearer to what programs see there."""
    visited: set[EntryKey] = set()
    while True:
        verdict = _Examination(view, key, visited).verdict()
        if not isinstance(verdict, _First):
            return verdict
        visited.add(key)
        key = verdict.key


def decide_inode(view: View, ino: Ino) -> Decision:
    """The next step that brings the engine's bytes and attributes of ``ino`` up to date."""
    if not view.is_container(ino) and (held_up := _held_up(view, ino)) is not None:
        return held_up
    live = view.live_keys(ino)
    held = [(key, ref) for key in live if (ref := view.stored(key)) is not None and ref.ino == ino]
    if not live:
        return None
    if not held:
        return decide_name(view, live[0]) if ino != ROOT else Wait("not met yet")
    key, ref = min(held, key=lambda pair: pair[1].stale)
    if view.is_busy(key) or view.is_adrift(key):
        return Wait("under way")
    if (doubt := view.doubt_about(key)) is not None:
        return _settle(view, doubt)
    if view.content_owed(ino):
        return Put(ino, key, ref.version) if view.content_ready(ino) else Wait("still being written")
    if not view.attributes_owed(ino):
        return None
    if view.is_container(ino) and view.times_disturbed and view.has_owed_below(ino):
        return Wait("its entries come first")
    return SetAttributes(ino, key, ref.version)


def _settle(view: View, doubt: EntryKey) -> Settle | Wait:
    return Wait("in doubt, and under way") if view.is_busy(doubt) or view.is_adrift(doubt) else Settle(doubt)


def _held_up(view: View, ino: Ino) -> Settle | Wait | None:
    """Why no step may carry ``ino`` now, if so."""
    if view.is_busy_inode(ino):
        return Wait("under way")
    doubt = view.doubt_about_inode(ino)
    return None if doubt is None else _settle(view, doubt)


class _Examination:
    """One look at one name.  ``visited`` holds the names that wait for this one."""

    __slots__ = ("key", "view", "visited")

    def __init__(self, view: View, key: EntryKey, visited: set[EntryKey]) -> None:
        self.view = view
        self.key = key
        self.visited = visited

    def verdict(self) -> _Verdict:
        view, key = self.view, self.key
        if view.is_busy(key) or view.is_adrift(key):
            return Wait("under way")
        if (doubt := view.doubt_about(key)) is not None:
            return _settle(view, doubt)
        wanted, ref = view.live(key), view.stored(key)
        if wanted is None:
            return None if ref is None else self._remove(ref)
        if ref is not None and ref.ino == wanted:
            return self._refresh(wanted, ref) if ref.stale else None
        if (unplaced := self._unplaced_ancestor()) is not None:
            return self._after(unplaced, wanted)
        if ref is not None and (obstacle := self._make_way(wanted, ref)) is not None:
            return obstacle
        return self._place(wanted, ref.version if ref is not None else ABSENT)

    # What must come first

    def _unplaced_ancestor(self) -> EntryKey | None:
        """The name of the topmost container above ``key`` that the engine does not hold at its place."""
        found, container = None, self.key.container
        while container != ROOT:
            above = self.view.live_keys(container)[0]
            ref = self.view.stored(above)
            if ref is None or ref.ino != container:
                found = above
            container = above.container
        return found

    def _after(self, first: EntryKey, wanted: Ino) -> _Verdict:
        """Go on with ``first``, unless it waits for ``wanted`` to leave: then ``wanted`` is parked."""
        if first not in self.visited:
            return _First(first)
        sources = self.view.stored_keys(wanted)
        return self._stage(wanted, sources[0]) if sources else Wait("cannot be placed yet")

    def _stage(self, ino: Ino, source: EntryKey) -> _Verdict:
        ref = self.view.stored(source)
        if ref is None or source.container == STAGING:
            return Wait("parked already")
        if self.view.is_busy(source) or self.view.is_adrift(source):
            return Wait("in the way and under way")
        if (held_up := _held_up(self.view, ino)) is not None:
            return held_up
        doubt = self.view.doubt_about(source)
        return _settle(self.view, doubt) if doubt is not None else Stage(ino, source, ref.version)

    def _home_of(self, ino: Ino) -> EntryKey | None:
        """A name that ``ino`` has for programs and not yet, or not yet as it is now, in the engine."""
        for key in self.view.live_keys(ino):
            ref = self.view.stored(key)
            if ref is None or ref.ino != ino or ref.stale:
                return key
        return None

    def _is_spare(self, key: EntryKey, ref: StoredRef) -> bool:
        """Whether losing this name loses no bytes: another name holds them, or nobody will ask for them."""
        if any(
            other != key and (held := self.view.stored(other)) is not None and not held.stale
            for other in self.view.stored_keys(ref.ino)
        ):
            return True
        return not self.view.live_keys(ref.ino) and not self.view.is_lifeline(ref.ino)

    def _send_home(self, ino: Ino, source: EntryKey) -> _Verdict:
        """What is stored at ``source`` is in the way and wanted elsewhere."""
        home = self._home_of(ino)
        if home is None or home == self.key or home in self.visited:
            return self._stage(ino, source)
        return _First(home)

    def _make_way(self, wanted: Ino, ref: StoredRef) -> _Verdict:
        """Clear ``key`` of what it holds; None when ``wanted`` may replace it."""
        view = self.view
        if view.is_container(ref.ino):
            return self._send_home(ref.ino, self.key) if view.live_keys(ref.ino) else self._clear(ref.ino, self.key)
        if not self._is_spare(self.key, ref):
            return self._send_home(ref.ino, self.key) if view.live_keys(ref.ino) else self._stage(ref.ino, self.key)
        if (held_up := _held_up(view, ref.ino)) is not None:
            return held_up
        return Delete((Doomed(ref.ino, self.key, ref.version),)) if view.is_container(wanted) else None

    # Removing

    def _remove(self, ref: StoredRef) -> _Verdict:
        """Nobody wants what is stored at ``key`` to be there."""
        view = self.view
        if (held_up := _held_up(view, ref.ino)) is not None:
            return held_up
        if view.is_container(ref.ino):
            return Wait("goes elsewhere first") if view.live_keys(ref.ino) else self._clear(ref.ino, self.key)
        if self._is_spare(self.key, ref):
            return Delete((Doomed(ref.ino, self.key, ref.version),))
        if view.live_keys(ref.ino):
            return Wait("goes elsewhere first")
        return Complete(ref.ino) if view.completes(ref.ino) else Wait("still open")

    def _clear(self, container: Ino, key: EntryKey) -> _Verdict:
        """Bring an unwanted container nearer to its end, deepest entries first."""
        view = self.view
        while True:
            if view.is_busy(key):
                return Wait("in the way and under way")
            inner: EntryKey | None = None
            doomed: list[Doomed] = []
            inodes: set[Ino] = set()
            verdict: _Verdict = None
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

    def _clear_child(self, child: EntryKey, ref: StoredRef) -> Doomed | Step | Wait | _First | None:
        """What to do with one entry of an unwanted container; never None."""
        view = self.view
        if view.is_busy(child):
            return Wait("in the way and under way")
        if not view.is_container(ref.ino) and (held_up := _held_up(view, ref.ino)) is not None:
            return held_up
        if (doubt := view.doubt_about(child)) is not None:
            return _settle(view, doubt)
        if view.is_container(ref.ino) or not self._is_spare(child, ref):
            if view.live_keys(ref.ino):
                return self._send_home(ref.ino, child)
            return Complete(ref.ino) if view.completes(ref.ino) else Wait("still open")
        return Doomed(ref.ino, child, ref.version)

    # Placing

    def _place(self, wanted: Ino, expected: Version) -> _Verdict:
        """``key`` is free, or holds what may be replaced as ``expected``."""
        view, key = self.view, self.key
        if (held_up := _held_up(view, wanted)) is not None:
            return held_up
        sources = [(source, ref) for source in view.stored_keys(wanted) if (ref := view.stored(source)) is not None]
        if any(view.is_busy(source) or view.is_adrift(source) for source, _ in sources):
            return Wait("under way")
        for source, _ in sources:
            if (doubt := view.doubt_about(source)) is not None:
                return _settle(view, doubt)
        if view.is_container(wanted):
            if not sources:
                return CreateContainer(wanted, key)
            return Move(wanted, sources[0][0], key, sources[0][1].version, expected)
        fresh = [(source, ref) for source, ref in sources if not ref.stale] or sources
        gone = [(source, ref) for source, ref in fresh if view.live(source) != wanted]
        # One more name beside others follows cheaply whatever is written; a lone or a replacing one arrives whole.
        follows = len(gone) < len(sources) and expected == ABSENT and view.links
        if not sources or (view.content_owed(wanted) and not follows):
            return Put(wanted, key, expected) if view.content_ready(wanted) else Wait("still being written")
        if view.moves and gone:
            source, ref = gone[0]
            return Move(wanted, source, key, ref.version, expected)
        if view.links:
            source, ref = fresh[0]
            return Link(wanted, source, key, ref.version, expected)
        return Put(wanted, key, expected)

    def _refresh(self, wanted: Ino, ref: StoredRef) -> _Verdict:
        """``key`` holds an older version of ``wanted`` than one of its other names."""
        view = self.view
        if (held_up := _held_up(view, wanted)) is not None:
            return held_up
        for source in view.stored_keys(wanted):
            held = view.stored(source)
            if held is None or held.stale or view.is_busy(source) or view.is_adrift(source):
                continue
            if view.doubt_about(source) is None:
                if view.links:
                    return Link(wanted, source, self.key, held.version, ref.version)
                return Put(wanted, self.key, ref.version)
        return Put(wanted, self.key, ref.version) if view.content_ready(wanted) else Wait("still being written")
