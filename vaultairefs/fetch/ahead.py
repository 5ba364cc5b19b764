"""Fetch what reads foretell, in the background and in parallel.

Promise: at most ``AHEAD_BYTES_MAX`` and ``RANGES_MAX`` ranges of all files together are under way, whoever reads.  A
failure is nobody's: who needs the bytes fetches them and hears of it himself.

Does not: fetch without ``run``, or know which bytes are next (``windows``).
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

from vaultairefs.fetch.under_way import UnderWay, Window
from vaultairefs.fetch.windows import AHEAD_BYTES_MAX
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Extent, Ino

RANGES_MAX: Final = 16

_log: Final = structlog.get_logger("vaultairefs.fetch")


class Ahead:
    """``fetch`` brings one range; ``failed`` is told of a file whose range did not come."""

    def __init__(
        self, under_way: UnderWay, fetch: Callable[[Ino, Extent], Awaitable[None]], failed: Callable[[Ino], None]
    ) -> None:
        self._under_way = under_way
        self._fetch = fetch
        self._failed = failed
        self._nursery: trio.Nursery | None = None
        self.bytes_under_way = 0
        self.ranges_under_way = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be there until cancelled; what is under way then is cancelled, too."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def may_begin(self, length: int) -> bool:
        """Whether one more range of that many bytes may be under way."""
        fits = self.bytes_under_way + length <= AHEAD_BYTES_MAX and self.ranges_under_way < RANGES_MAX
        return self._nursery is not None and fits

    def begin(self, ino: Ino, extent: Extent) -> None:
        """Fetch it soon, and let others know at once; only where ``may_begin``."""
        assert self._nursery is not None
        window = self._under_way.open(ino, extent, is_ahead=True)
        self.bytes_under_way += extent.length
        self.ranges_under_way += 1
        self._nursery.start_soon(self._bring, ino, extent, window)

    async def _bring(self, ino: Ino, extent: Extent, window: Window) -> None:
        try:
            await self._fetch(ino, extent)
        except VaultaireError as error:
            _log.debug("not_fetched_ahead", inode=ino, offset=extent.offset, reason=str(error))
            self._failed(ino)
        except Exception:
            _log.exception("fetching_ahead_failed", inode=ino, offset=extent.offset)
            self._failed(ino)
        finally:
            self._under_way.close(ino, window)
            self.bytes_under_way -= extent.length
            self.ranges_under_way -= 1
