"""Try one step: hand it to whoever carries it out, and keep a failure for ``status`` and the next try.

Promise: no failure of an engine, and no defect, leaves here; it is one item's failure, and the others go on.
"""

from vaultairefs.flush.conflicts import Conflicts
from vaultairefs.flush.copying import Copier
from vaultairefs.flush.desk import Desk
from vaultairefs.flush.failures import DISAGREEMENTS
from vaultairefs.flush.grouping import Grouper
from vaultairefs.flush.rearranging import Rearranger
from vaultairefs.flush.sending import Sender
from vaultairefs.flush.settling import Settler
from vaultairefs.flush.steps import Complete, Copy, Delete, Group, Put, SetAttributes, Settle, Stage, Step, items_of
from vaultairefs.flush.telling import log
from vaultairefs.model.errors import VaultaireError


class Attempts:
    """Everyone who can carry out a step; ``hopes`` counts those that were not tried in vain for sure."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        conflicts = Conflicts(desk)
        self._rearranger = Rearranger(desk, conflicts)
        self._settler = Settler(desk, conflicts)
        self._sender = Sender(desk, conflicts)
        self._copier = Copier(desk)
        self._grouper = Grouper(desk)
        self.hopes = 0

    async def attempt(self, step: Step) -> bool:
        """Do one step; False when it failed, which is kept for ``status`` and the next try."""
        items = items_of(step)
        is_lasting = self._desk.failures.are_lasting(items)
        self.hopes += not is_lasting
        try:
            await self._carry_out(step)
        except VaultaireError as error:
            at_once = isinstance(error, DISAGREEMENTS) and not isinstance(step, Settle | Complete)
            for item in items:
                self._desk.teller.failure(item, error, at_once=at_once)
            return False
        except Exception as error:  # a defect, of an engine perhaps, is one item's failure like any other
            log.exception("flush_step_failed")
            for item in items:
                self._desk.teller.failure(item, error)
            return False
        self.hopes += is_lasting
        if not isinstance(step, Settle | Delete):
            for item in items:
                self._desk.failures.clear(item)
        return True

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Put():
                await self._sender.put(step)
            case SetAttributes():
                await self._sender.set_attributes(step)
            case Copy():
                await self._copier.copy(step)
            case Stage() if not self._desk.engine.capabilities.moves:
                await self._copier.copy_aside(step)
            case Group():
                await self._grouper.group(step)
            case Complete(ino):
                await self._desk.fetcher.complete(ino)
            case Settle(key):
                await self._settler.settle(key)
            case _:
                await self._rearranger.carry_out(step)
