"""The ``vaultairefs`` program with trip wires in its rooms: ``python launcher.py ARMED ARGUMENTS...``

While the file ARMED holds a name from ``FAULTS``, each call of that fault's target raises its exception; with an
empty or missing file everything works as always.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from vaultairefs.model.errors import OutOfSpace


class Injected(RuntimeError):
    """What no room expects."""


def unexpected() -> Exception:
    return Injected("a fault was injected here")


def broken_disk() -> Exception:
    return OSError(5, "a fault was injected here")


def full_disk() -> Exception:
    return OutOfSpace("a fault was injected here")


FAULTS: dict[str, tuple[str, Callable[[], Exception]]] = {
    # disk first: other rooms import its functions by name
    "disk": ("vaultairefs.disk.durable:sync_data", broken_disk),
    "journal": ("vaultairefs.journal.journal:Journal.append", full_disk),
    "namespace": ("vaultairefs.namespace.namespace:Namespace.check", unexpected),
    "posting": ("vaultairefs.namespace.namespace:Namespace.apply", unexpected),
    "backlog": ("vaultairefs.backlog.backlog:Backlog.apply", unexpected),
    "buffer": ("vaultairefs.buffer.buffer:Buffer.write", unexpected),
    "events": ("vaultairefs.events.log:EventLog.append", unexpected),
    "ledger": ("vaultairefs.ledger.ledger:Ledger.commit", unexpected),
    "engine": ("vaultairefs.engine.local:LocalEngine.put", unexpected),
    "listing": ("vaultairefs.engine.local:LocalEngine.list", unexpected),
    "fetch": ("vaultairefs.fetch.fetcher:Fetcher.ensure", unexpected),
    "flush": ("vaultairefs.flush.passes:decide_name", unexpected),
    "volume": ("vaultairefs.volume.core:Core.home", unexpected),
    "fuse": ("vaultairefs.fuse.encoding:entry_attributes", unexpected),
    "control": ("vaultairefs.app.build:Rooms.owed", unexpected),
}


def arm(name: str, target: str, exception: Callable[[], Exception], armed: Path) -> None:
    module_name, _, path = target.partition(":")
    owner: Any = importlib.import_module(module_name)
    *holders, attribute = path.split(".")
    for holder in holders:
        owner = getattr(owner, holder)
    original = getattr(owner, attribute)

    def trip() -> None:
        try:
            if armed.read_text() == name:
                raise exception()
        except FileNotFoundError:
            pass

    @functools.wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        trip()
        return original(*arguments, **named)

    @functools.wraps(original)
    async def call_later(*arguments: Any, **named: Any) -> Any:
        trip()
        return await original(*arguments, **named)

    setattr(owner, attribute, call_later if inspect.iscoroutinefunction(original) else call)


def main() -> None:
    armed = Path(sys.argv.pop(1))
    for name, (target, exception) in FAULTS.items():
        arm(name, target, exception, armed)
    from vaultairefs.cli import main as program

    program()


if __name__ == "__main__":
    main()
