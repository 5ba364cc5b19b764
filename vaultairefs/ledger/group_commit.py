"""One sync for everybody who waits for one.

Promise: a caller returns only after a sync that began when its changes were appended already; callers that come
while one is running share the next.  A failure is final for all of them.
"""

from collections.abc import Awaitable, Callable

import trio


class GroupCommit:
    """``newest`` says how far things are appended; ``sync_once`` makes that much safe and returns how far."""

    def __init__(self, newest: Callable[[], int], sync_once: Callable[[], Awaitable[int]]) -> None:
        self.through = 0
        self._newest = newest
        self._sync_once = sync_once
        self._running: trio.Event | None = None

    async def wait(self) -> None:
        """Return when everything appended before this call is safe; raises what ``sync_once`` raised.

        A caller that is cancelled leaves the running sync to finish: only waiting can be cancelled.
        """
        target = self._newest()
        while self.through < target:
            if self._running is not None:
                await self._running.wait()
                continue
            self._running = trio.Event()
            try:
                with trio.CancelScope(shield=True):
                    self.through = await self._sync_once()
            finally:
                self._running.set()
                self._running = None
        await trio.lowlevel.checkpoint_if_cancelled()
