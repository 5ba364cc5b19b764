"""Who asks: the kernel's request context as an ``OperationContext``.

Promise: the caller's identity is exact; its program name may be a second old.

Does not: number operations; the volume's door does.
"""

import time
from pathlib import Path
from typing import Final

import pyfuse3

from vaultairefs.model.context import OperationContext

_FRESH_SECONDS: Final = 1.0
"""A pid runs exec or is used again after a while; within a second it costs nothing to be wrong about a name."""

_CALLERS_MAX: Final = 4096


class Callers:
    """Contexts by caller, so that a busy program costs one look into /proc per second."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._known: dict[tuple[int, int, int, int], tuple[float, OperationContext]] = {}

    def context(self, request: pyfuse3.RequestContext) -> OperationContext:
        """The context for this request."""
        key = (request.pid, request.uid, request.gid, request.umask)
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= _CALLERS_MAX:
            self._known.clear()
        pid, uid, gid, umask = key
        context = OperationContext(tenant=self._tenant, pid=pid, uid=uid, gid=gid, umask=umask, comm=program_name(pid))
        self._known[key] = (now + _FRESH_SECONDS, context)
        return context


def program_name(pid: int) -> str:
    """The ``comm`` of a process (proc(5)), empty when it is gone or is the kernel itself (pid 0)."""
    if pid == 0:
        return ""
    try:
        raw = Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:
        return ""
    return raw.rstrip(b"\n").decode("utf-8", "replace")
