"""Python's cyclic garbage collector, kept from stopping the mount.

A full collection looks at every container object there is: a million of them take 0.3 s, in which no request is
answered.  Nearly all of ours live long and are in no cycle.

Promise: a full collection that took longer than ``STALL_SECONDS`` is the last one that looks at what it saw; small
heaps are collected as ever.

Does not: free cyclic garbage among objects that were set aside; what lives so long that it is set aside is state.
"""

import gc
import time
from typing import Any, Final

STALL_SECONDS: Final = 0.005

_YOUNG: Final = 10_000
"""Objects made before the youngest are looked at: requests leave no cycles behind, so looking more often finds none."""

_OLDEST: Final = 2


class Watch:
    """Sets aside what makes full collections long."""

    def __init__(self) -> None:
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """For ``gc.callbacks``."""
        if info["generation"] != _OLDEST:
            return
        if phase == "start":
            self._began = time.perf_counter()
        elif time.perf_counter() - self._began > STALL_SECONDS:
            gc.freeze()


def keep_short() -> None:
    """From now on, in this process."""
    gc.set_threshold(_YOUNG, 10, 10)
    gc.callbacks.append(Watch())
