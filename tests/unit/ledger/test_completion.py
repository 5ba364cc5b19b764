"""Every operation has its event, also one that the daemon's death kept from being recorded."""

from pathlib import Path

import pytest
import trio

from tests.support.ledgers import Lab
from tests.unit.ledger.conftest import OpenLab
from vaultairefs.model import changes, context


def record(lab: Lab, operation_id: int, operation: str = "mkdir") -> None:
    lab.ledger.events.record(time_ns=1, operation=operation, operation_id=operation_id, outcome="OK")
    lab.ledger.operation_ended(operation_id)


class Caller:
    """Work as operation ``operation_id``."""

    def __init__(self, operation_id: int, operation: str) -> None:
        self._context = context.OperationContext(operation_id=operation_id, operation=operation, pid=5, uid=6)

    def __enter__(self) -> None:
        self._token = context.enter(self._context)

    def __exit__(self, *_: object) -> None:
        context.leave(self._token)


def test_an_operation_that_lost_its_event_gets_one(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    with Caller(1, "mkdir"):
        parent = lab.container(b"d")
    record(lab, 1)
    with Caller(2, "create"):
        ino = lab.file(b"a", parent)
        lab.commit(changes.XattrSet(ino, b"user.x", b"y", 1))
    with Caller(3, "rename"):
        lab.rename(b"a", b"b", parent, parent)
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.recovered.events_completed == 2
    events = list(again.ledger.events.read())
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [(event.operation_id, event.operation, event.outcome) for event in events] == [
        (1, "mkdir", "OK"),
        (2, "create", "OK"),
        (3, "rename", "OK"),
    ]
    assert (events[1].container, events[1].artifact, events[1].pid, events[1].uid) == (b"d", b"a", 5, 6)
    assert (events[2].artifact, events[2].target_container, events[2].target_artifact) == (b"a", b"d", b"b")
    assert open_lab(again.copy(base / "third")).ledger.recovered.events_completed == 0


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_operation_in_flight_across_a_checkpoint_gets_its_event(
    lab: Lab, base: Path, open_lab: OpenLab, elsewhere: bool
) -> None:
    """One had changed something before the checkpoint, one changes it afterwards, one nothing, one has ended."""
    lab.checkpoint()
    early, late, idle, ended = (lab.ledger.next_operation_id() for _ in range(4))
    with Caller(early, "rename"):
        lab.file(b"a")
        lab.rename(b"a", b"b")
    with Caller(ended, "create"):
        lab.file(b"c")
    record(lab, ended, "create")
    if elsewhere:
        trio.run(lab.ledger.checkpoint_elsewhere)
    else:
        lab.checkpoint()
    with Caller(late, "mkdir"):
        lab.container(b"d")
    again = open_lab(lab.copy(base / "copy"))
    found = [(event.operation_id, event.operation) for event in again.ledger.events.read()]
    assert found == [(ended, "create"), (early, "rename"), (late, "mkdir")]
    assert again.ledger.next_operation_id() > idle
    assert open_lab(again.copy(base / "third")).ledger.recovered.events_completed == 0


def test_changes_of_older_operations_and_of_nobody_get_no_event(lab: Lab, base: Path, open_lab: OpenLab) -> None:
    opened = lab.ledger.next_operation_id()
    record(lab, opened, "open")
    lab.checkpoint()
    with Caller(opened, "open"):
        lab.file(b"a")
    lab.file(b"b")
    again = open_lab(lab.copy(base / "copy"))
    assert again.ledger.recovered.events_completed == 0
