"""What the control socket answers: ``status``, ``drain``, ``flush``, ``unmount``, and ``operator_verbs.py``.

Every reply that tells of work carries ``dirty_artifacts`` and ``dirty_bytes``: what is left.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from vaultairefs.app import operator_verbs, status
from vaultairefs.control.protocol import Message
from vaultairefs.control.server import Send, Verb
from vaultairefs.model.errors import BadInput, Withheld
from vaultairefs.model.values import Ino, Kind

if TYPE_CHECKING:
    from vaultairefs.app.life import Life

_REPORT_SECONDS: Final = 0.5
"""Between two replies: counting what is left of a million changes costs tens of milliseconds."""

_LOOK_SECONDS: Final = 0.1


def verbs_of(life: "Life") -> Mapping[str, Verb]:
    """The verbs of one mount."""
    return {
        "status": partial(_status, life),
        "drain": partial(_drain, life),
        "flush": partial(_flush, life),
        "unmount": partial(_unmount, life),
        **operator_verbs.verbs_of(life),
    }


async def _status(life: "Life", request: Message, send: Send) -> Message:
    return status.status_of(life.settings, life.rooms, life.supervision)


async def _drain(life: "Life", request: Message, send: Send) -> Message:
    await _with_progress(life, send, life.drain)
    return _left(life)


async def _flush(life: "Life", request: Message, send: Send) -> Message:
    """``ino``: a file is flushed by itself, a container with everything below it."""
    ino = Ino(int(request["ino"]))
    if life.settings.read_only:
        raise BadInput("this mount is read-only: it writes nothing to the engine")
    life.rooms.volume.passing.look_at_all()  # else what programs just wrote would not be known to be owed
    inode = life.rooms.ledger.namespace.get(ino)
    if inode.kind is Kind.CONTAINER:
        await _with_progress(life, send, partial(_drain_below, life, ino))
    else:
        await _with_progress(life, send, partial(life.rooms.flusher.flush, ino))
    return _left(life)


async def _drain_below(life: "Life", container: Ino) -> None:
    """Drain until nothing inside the container is owed; what others go on changing elsewhere is not waited for.

    ``Withheld`` when draining ended with something left in there.
    """
    async with trio.open_nursery() as nursery:

        async def drain() -> None:
            await life.rooms.flusher.drain()
            if life.rooms.owes_below(container):
                raise Withheld("; ".join(life.rooms.flusher.status().flush_errors) or "something cannot be stored")

        nursery.start_soon(drain)
        while True:
            if not life.rooms.owes_below(container):
                break
            await trio.sleep(_LOOK_SECONDS)
        nursery.cancel_scope.cancel()


async def _unmount(life: "Life", request: Message, send: Send) -> Message:
    """``drain``: whether to wait for the engine; ``wanted_seconds``: for how long in all, null is for ever.

    Draining comes first, while programs still work; then the mount goes, or ``Busy`` says why not and everything is
    as before; then what came in between is drained.  The daemon ends after the last reply.
    """
    wanted = request.get("wanted_seconds")
    deadline = trio.current_time() + (wanted if isinstance(wanted, int | float) else float("inf"))
    drain = bool(request.get("drain", True)) and not life.settings.read_only
    if drain:
        with trio.CancelScope(deadline=deadline):
            await _with_progress(life, send, life.drain)
    before = life.drain_deadline
    life.give_up_draining_at(deadline if drain else trio.current_time())
    try:
        await life.unmount()
    except BaseException:
        life.give_up_draining_at(before)
        raise
    await _with_progress(life, send, life.drained.wait)
    left = _left(life)
    return {**left, "reasons": list(life.rooms.flusher.status().flush_errors)} if left["dirty_artifacts"] else left


async def _with_progress(life: "Life", send: Send, work: Callable[[], Awaitable[object]]) -> None:
    async with trio.open_nursery() as nursery:

        async def report() -> None:
            while True:
                await send(_left(life))
                await trio.sleep(_REPORT_SECONDS)

        nursery.start_soon(report)
        await work()
        nursery.cancel_scope.cancel()


def _left(life: "Life") -> Message:
    owed = life.rooms.owed()
    return {"dirty_artifacts": owed.artifacts, "dirty_bytes": owed.bytes}
