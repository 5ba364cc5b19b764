"""Control verbs for looking after a volume: ``check``, ``recover``, ``warm``, ``evict``.

Each finding is a message of its own, so that no reply grows with the volume.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from vaultairefs.app import caching, findings
from vaultairefs.app.checking import Checking, Difference
from vaultairefs.control.protocol import Message
from vaultairefs.control.server import Send, Verb
from vaultairefs.model.errors import BadInput, NotFound
from vaultairefs.model.values import Ino

if TYPE_CHECKING:
    from vaultairefs.app.life import Life

_REPORT_SECONDS: Final = 0.5


def verbs_of(life: "Life") -> Mapping[str, Verb]:
    """The verbs of one mount."""
    return {
        "check": partial(_check, life),
        "recover": partial(_recover, life),
        "drop": partial(_drop, life),
        "warm": partial(_warm, life),
        "evict": partial(_evict, life),
    }


async def _check(life: "Life", request: Message, send: Send) -> Message:
    """``deep``, ``repair``: see ``Checking``.  Messages have a ``difference`` or the ``counts`` so far."""
    repair = bool(request.get("repair"))
    if repair and life.settings.read_only:
        raise BadInput("this mount is read-only: nothing of it is repaired")

    async def tell(difference: Difference) -> None:
        await send({"difference": msgspec.to_builtins(difference)})

    checking = Checking(life.rooms, tell, deep=bool(request.get("deep")), repair=repair)

    def counts() -> Message:
        return {"counts": msgspec.to_builtins(checking.counts)}

    await _with_reports(send, counts, checking.run)
    return counts()


async def _recover(life: "Life", request: Message, send: Send) -> Message:
    """Messages have a ``finding``; the last one what the last mount ``recovered``."""
    rooms = life.rooms
    found = [*findings.of_quarantine(rooms.state), *findings.of_changed_files(rooms.ledger, is_live=True)]
    for finding in found:
        await send({"finding": msgspec.to_builtins(finding)})
    return {"recovered": msgspec.to_builtins(rooms.ledger.recovered), "mount": str(life.settings.mountpoint)}


async def _drop(life: "Life", request: Message, send: Send) -> Message:
    """``id``: of something in quarantine; everything else has a name, by which it can be removed."""
    name = str(request.get("id"))
    try:
        await trio.to_thread.run_sync(life.rooms.state.kept.drop, name)
    except NotFound as error:
        raise BadInput(str(error.args[0])) from error
    return {}


async def _warm(life: "Life", request: Message, send: Send) -> Message:
    """``ino``: a file, or a container with everything below it."""
    warming = caching.Warming(life.rooms)
    await _with_reports(send, lambda: warming.told, partial(warming.run, Ino(int(request["ino"]))))
    return warming.told


async def _evict(life: "Life", request: Message, send: Send) -> Message:
    """``ino``: likewise."""
    return await caching.evict(life.rooms, Ino(int(request["ino"])))


async def _with_reports(send: Send, report: Callable[[], Message], work: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:

        async def tell() -> None:
            while True:
                await trio.sleep(_REPORT_SECONDS)
                await send(report())

        nursery.start_soon(tell)
        await work()
        nursery.cancel_scope.cancel()
