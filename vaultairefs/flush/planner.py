"""Decide the next engine step for one name or one inode: values in, one step out, nothing done.

Every decision is made from the state of the moment and carried out before the next one at the same place is made,
so programs may go on renaming while the engine works, and a crash between a step and its record costs a repetition.

The rules, for a name K that programs see as W and the engine holds as S:

* A container is placed before anything is put into it, from the root of the *live* tree downwards.  That tree has
  no cycles, so a container is never moved into itself.
* W goes to K by the cheapest step: move from a name it no longer has, link from another name, else put.  A file
  whose bytes are owed is put straight to its last name: a half-written old version never shows up there.
* An engine without moves gets copies instead, and the old name is deleted when the copy is recorded.  A container
  cannot be copied: it is made anew where it belongs, and what it leaves behind (a container that nobody sees, or the
  one that is wanted at the old place) is taken down like any container nobody wants.
* S makes way.  If it is wanted elsewhere and this is its only copy, it goes there first; if that leads back to K (a
  cycle, or a container that waits for its own guest), it is parked in ``STAGING``, from where its own place takes it
  up again.  If it is an artifact nobody wants, W replaces it in one step.  If it is a container nobody wants, it is
  emptied and deleted in place: foreign entries inside are never hidden.
* An unlinked file that is open and whose bytes are not all local keeps its stored name.

Why it ends: every step makes a wanted thing reach its place, parks one that was in a wrong place (which happens once
to each), or removes an unwanted one.
"""

from vaultairefs.backlog import StoredRef
from vaultairefs.flush.leaving import First, Leaving, Verdict, held_up, settle
from vaultairefs.flush.steps import (
    Copy,
    CreateContainer,
    Decision,
    Delete,
    Doomed,
    Link,
    Move,
    Put,
    SetAttributes,
    Wait,
)
from vaultairefs.flush.view import View
from vaultairefs.model.values import ABSENT, ROOT, EntryKey, Ino, Version


def decide_name(view: View, key: EntryKey) -> Decision:
    """The next step that brings the engine's ``key`` nearer to what programs see there."""
    visited: set[EntryKey] = set()
    while True:
        verdict = _Examination(view, key, visited).verdict()
        if not isinstance(verdict, First):
            return verdict
        visited.add(key)
        key = verdict.key


def decide_inode(view: View, ino: Ino) -> Decision:
    """The next step that brings the engine's bytes and attributes of ``ino`` up to date."""
    if not view.is_container(ino) and (reason := held_up(view, ino)) is not None:
        return reason
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
        return settle(view, doubt)
    if view.content_owed(ino):
        return Put(ino, key, ref.version) if view.content_ready(ino) else Wait("still being written")
    if not view.attributes_owed(ino):
        return None
    if ref.stale:
        return Wait("its bytes come first")
    if view.is_container(ino) and view.times_disturbed and view.has_owed_below(ino):
        return Wait("its entries come first")
    # Native names share their attributes, and so their version: a step at another one of them would not know it again.
    for other in view.stored_keys(ino):
        if view.is_busy(other):
            return Wait("under way at another name")
        if (doubt := view.doubt_about(other)) is not None:
            return settle(view, doubt)
    return SetAttributes(ino, key, ref.version)


class _Examination(Leaving):
    """One look at one name that something may want."""

    __slots__ = ()

    def verdict(self) -> Verdict:
        view, key = self.view, self.key
        if view.is_busy(key) or view.is_adrift(key):
            return Wait("under way")
        if (doubt := view.doubt_about(key)) is not None:
            return settle(view, doubt)
        wanted, ref = view.live(key), view.stored(key)
        if wanted is None:
            return None if ref is None else self.remove(ref)
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

    def _after(self, first: EntryKey, wanted: Ino) -> Verdict:
        """Go on with ``first``, unless it waits for ``wanted`` to leave: then ``wanted`` is parked."""
        if first not in self.visited:
            return First(first)
        sources = self.view.stored_keys(wanted)
        return self.stage(wanted, sources[0]) if sources else Wait("cannot be placed yet")

    def _make_way(self, wanted: Ino, ref: StoredRef) -> Verdict:
        """Clear ``key`` of what it holds; None when ``wanted`` may replace it."""
        view = self.view
        if view.is_container(ref.ino):
            if not view.moves and view.is_container(wanted):
                return self._take_over(wanted, ref)
            return self.send_home(ref.ino, self.key) if view.live_keys(ref.ino) else self.clear(ref.ino, self.key)
        if not self.is_spare(self.key, ref):
            return self.send_home(ref.ino, self.key) if view.live_keys(ref.ino) else self.stage(ref.ino, self.key)
        if (reason := held_up(view, ref.ino)) is not None:
            return reason
        return Delete((Doomed(ref.ino, self.key, ref.version),)) if view.is_container(wanted) else None

    def _take_over(self, wanted: Ino, ref: StoredRef) -> Verdict:
        """Two containers have one place: the one that is wanted there need not wait for the other one's end."""
        sources = self.view.stored_keys(wanted)
        if sources:
            return self.hand_over(wanted, sources[0], None)
        return self.hand_over(ref.ino, self.key, wanted)

    # Placing

    def _place(self, wanted: Ino, expected: Version) -> Verdict:
        """``key`` is free, or holds what may be replaced as ``expected``."""
        view, key = self.view, self.key
        if (reason := held_up(view, wanted)) is not None:
            return reason
        sources = [(source, ref) for source in view.stored_keys(wanted) if (ref := view.stored(source)) is not None]
        if any(view.is_busy(source) or view.is_adrift(source) for source, _ in sources):
            return Wait("under way")
        for source, _ in sources:
            if (doubt := view.doubt_about(source)) is not None:
                return settle(view, doubt)
        if view.is_container(wanted):
            if not sources:
                return CreateContainer(wanted, key)
            if not view.moves:
                return self.hand_over(wanted, sources[0][0], None)
            return Move(wanted, sources[0][0], key, sources[0][1].version, expected)
        fresh = [(source, ref) for source, ref in sources if not ref.stale] or sources
        gone = [(source, ref) for source, ref in fresh if view.live(source) != wanted]
        # One more link beside others follows cheaply whatever is written; a lone or a replacing one arrives whole.
        follows = len(gone) < len(sources) and expected == ABSENT and view.links
        if not sources or (view.content_owed(wanted) and not follows):
            return Put(wanted, key, expected) if view.content_ready(wanted) else Wait("still being written")
        if view.moves and gone:
            source, ref = gone[0]
            return Move(wanted, source, key, ref.version, expected)
        source, ref = fresh[0]
        return (Link if view.links else Copy)(wanted, source, key, ref.version, expected)

    def _refresh(self, wanted: Ino, ref: StoredRef) -> Verdict:
        """``key`` holds an older version of ``wanted`` than one of its other names."""
        view = self.view
        if (reason := held_up(view, wanted)) is not None:
            return reason
        for source in view.stored_keys(wanted):
            held = view.stored(source)
            if held is None or held.stale or view.is_busy(source) or view.is_adrift(source):
                continue
            if view.doubt_about(source) is None:
                if not view.links and view.content_owed(wanted) and view.content_ready(wanted):
                    break  # newer ones yet
                return (Link if view.links else Copy)(wanted, source, self.key, held.version, ref.version)
        return Put(wanted, self.key, ref.version) if view.content_ready(wanted) else Wait("still being written")
