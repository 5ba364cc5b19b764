"""Judge what became of a step whose outcome no record tells, from what the engine holds now.  Pure."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vaultairefs.backlog import StoredRef
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.flush.rearranging import mtime_token
from vaultairefs.model.changes import StepBegun
from vaultairefs.model.values import Ino, Kind

CARRIERS: Final = ("move", "link", "copy")
"""Verbs that bring what another name holds."""


class Verdict(enum.Enum):
    """What became of a step."""

    DONE = enum.auto()
    UNDONE = enum.auto()
    """Nothing happened, and it may be tried again as it was."""
    GONE = enum.auto()
    """What our records say is at the name is not there any more."""
    OURS = enum.auto()
    """Our own work is there, of which no record is left (power was cut): it may be replaced."""
    FOREIGN = enum.auto()
    """Somebody else's work is there."""
    LOST = enum.auto()
    """What was to be moved, linked or copied is not where our records say."""
    CHANGED = enum.auto()
    """What was to be moved, linked or copied is another version now."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """``target`` and ``source`` are what the engine holds there now; ``row`` is what our records say of the target.

    ``size`` is what it must have where only attributes were sent; None if its bytes are newer here.
    """

    target: EntryInfo | None
    source: EntryInfo | None = None
    row: StoredRef | None = None
    size: int | None = None

    @property
    def is_target_replaceable(self) -> bool:
        """Whether the engine holds at the target what our records say, and an artifact may take its place."""
        if self.target is None or self.row is None:
            return self.target is None and self.row is None
        return self.target.version == self.row.version and self.target.attributes.kind is not Kind.CONTAINER


def judge(step: StepBegun, evidence: Evidence, is_ours: Callable[[Ino, EntryInfo], bool]) -> Verdict:
    """What became of ``step``; ``is_ours`` tells an unrecorded put of an inode."""
    target = evidence.target
    if target is not None and _is_done(step, target, evidence):
        return Verdict.DONE
    if step.verb in CARRIERS:
        if evidence.source is None:
            return Verdict.LOST
        if evidence.source.version != step.version:
            return Verdict.CHANGED
    if target is None:
        return Verdict.UNDONE if evidence.row is None else Verdict.GONE
    if evidence.row is not None and evidence.row.version == target.version:
        return Verdict.UNDONE
    return Verdict.OURS if is_ours(step.ino, target) else Verdict.FOREIGN


def _is_done(step: StepBegun, target: EntryInfo, evidence: Evidence) -> bool:
    match step.verb:
        case "put" | "copy":
            return bool(step.token) and target.token == step.token
        case "create_container":
            return target.attributes.kind is Kind.CONTAINER
        case "set_attributes":
            if evidence.row is None or evidence.row.version == target.version:
                return False
            return step.token == mtime_token(target.attributes) and evidence.size in (None, target.size)
        case "delete" | "delete_container":
            return False
        case _:
            return target.version == step.version
