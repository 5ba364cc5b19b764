"""Forget what is known of the engine's entries when it becomes too much.

A volume may hold more names than a machine has memory for.  What is clean and on the ledger's shelf, the kernel has
dropped, and nobody has open, is given up, container by container, those listed longest ago first.  The next use of
such a container lists it again and finds the same entries, under other inode numbers.

Promise: st_ino of anything that the kernel or a program holds stays what it is.

Does not: forget containers themselves, nor entries with a body; those leave the buffer first.
"""

from typing import Final

import trio

from vaultairefs.model.changes import ContainerForgotten
from vaultairefs.model.values import ROOT, Ino
from vaultairefs.volume.core import Core

LOOK_SECONDS: Final = 5.0

ENTRY_BYTES: Final = 400
"""What a known entry takes, all rooms together, if the kernel holds it too (benchmarks/memory.py)."""

_AT_ONCE: Final = 16
"""Containers looked at before other tasks get their turn."""


class Forgetting:
    """Keeps a volume to about ``entries_max`` known entries."""

    def __init__(self, core: Core, *, entries_max: int) -> None:
        self._core = core
        self._entries_max = entries_max
        self.forgotten = 0
        """Entries given up so far."""

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            await self.forget_some()

    async def forget_some(self) -> None:
        """Give up as much as has to be and can be."""
        namespace = self._core.namespace
        if len(namespace) <= self._entries_max or self._core.ledger.refusal is not None:
            return
        containers = [inode.ino for inode in namespace.inodes.values() if inode.children and inode.ino != ROOT]
        containers.sort(key=self._core.discovery.listed_at)
        for number, ino in enumerate(containers):
            if len(namespace) <= self._entries_max:
                return
            if self._is_unused(ino):
                before = len(namespace)
                self._core.ledger.commit(ContainerForgotten(ino))
                self._core.discovery.expire(ino)
                self.forgotten += before - len(namespace)
            if number % _AT_ONCE == _AT_ONCE - 1:
                await trio.lowlevel.checkpoint()

    def _is_unused(self, ino: Ino) -> bool:
        """Neither the kernel nor a call under way may rely on the container or on anything in it: a call's names are
        the kernel's, which holds them until it is answered."""
        lives, ledger = self._core.lives, self._core.ledger
        if lives.is_known(ino) or not ledger.may_forget(ino):
            return False
        children = self._core.namespace.get(ino).children or {}
        return not any(lives.is_known(child) for child in children.values())
