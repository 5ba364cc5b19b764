"""The bodies as one value, for checkpoints and fingerprints."""

from collections.abc import Iterable

import msgspec

from vaultairefs.buffer.bodies import Bodies
from vaultairefs.buffer.body import WHOLE_END, Body, Phase
from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import Extent, Ino, Sequence, Version


class BodyRow(msgspec.Struct, array_like=True):
    """One body that is not ABSENT; extents as (offset, length)."""

    ino: Ino
    body_id: Sequence
    phase: Phase
    complete: bool
    unflushed: bool
    size: int
    base_version: Version
    base_size: int
    present: list[Extent]
    dirty: list[Extent]
    durable: list[Extent]
    failed: bool = False
    durable_ahead: list[Extent] = []
    cut: int = WHOLE_END
    cut_ahead: int = WHOLE_END
    frail: bool = False


def take(bodies: Bodies) -> list[BodyRow]:
    """Every body that is not ABSENT."""
    return [row(body) for body in bodies.all() if body.phase is not Phase.ABSENT]


def row(body: Body) -> BodyRow:
    """One body."""
    return BodyRow(
        body.ino,
        body.body_id,
        body.phase,
        body.complete,
        body.unflushed,
        body.size,
        body.base_version,
        body.base_size,
        list(body.present),
        list(body.dirty),
        list(body.durable),
        body.failed,
        list(body.durable_ahead),
        body.cut,
        body.cut_ahead,
        body.frail,
    )


def restore(bodies: Bodies, rows: Iterable[BodyRow]) -> None:
    """Put back what ``take`` saw, into an empty buffer."""
    for saved in rows:
        body = bodies.begin(saved.ino, saved.body_id)
        body.phase = saved.phase
        body.complete = saved.complete
        body.unflushed = saved.unflushed
        body.size = saved.size
        body.base_version = saved.base_version
        body.base_size = saved.base_size
        body.present = ExtentSet(saved.present)
        body.dirty = ExtentSet(saved.dirty)
        body.durable = ExtentSet(saved.durable)
        body.failed = saved.failed
        body.durable_ahead = ExtentSet(saved.durable_ahead)
        body.cut, body.cut_ahead = saved.cut, saved.cut_ahead
        body.frail = saved.frail
