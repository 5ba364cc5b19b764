"""Gives an engine its chance to do what it has put off (``Engine.upkeep``): now and then, and before a mount ends.

Promise: nothing depends on it: a failure is logged, and what was not done costs requests later.
"""

from typing import Final

import structlog
import trio

from vaultairefs.engine.interface import Engine
from vaultairefs.model.errors import VaultaireError

_SECONDS_MIN: Final = 1.0
_SECONDS_MAX: Final = 5.0
_LAST_SECONDS_MAX: Final = 15.0
"""How much longer the end of a mount may take for it."""

_log: Final = structlog.get_logger("vaultairefs.upkeep")


async def keep_up(engine: Engine) -> None:
    """Until cancelled; returns at once where the engine puts nothing off."""
    while engine.capabilities.upkeep:
        try:
            wait = await engine.upkeep(everything=False)
        except VaultaireError as error:
            _log.warning("upkeep_failed", reason=str(error))
            wait = None
        await trio.sleep(_SECONDS_MAX if wait is None else min(max(wait, _SECONDS_MIN), _SECONDS_MAX))


async def finish(engine: Engine, deadline: float) -> None:
    """All of it, as far as there is time until ``deadline`` (trio's clock)."""
    if not engine.capabilities.upkeep:
        return
    deadline = min(deadline, trio.current_time() + _LAST_SECONDS_MAX)
    with trio.CancelScope(deadline=deadline) as scope:
        try:
            await engine.upkeep(everything=True)
        except VaultaireError as error:
            _log.warning("upkeep_failed", reason=str(error))
    if scope.cancelled_caught:
        _log.warning("upkeep_left_undone")
