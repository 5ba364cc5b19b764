"""What a service manager hears of us: sd_notify(3) and the watchdog, in a few lines of our own.

Promise: without a NOTIFY_SOCKET nothing is sent; a service manager that is gone is no error of ours.  A stop is
extended only as long as draining gets on: an engine that is away does not hold up a shutdown for ever, and nothing
is lost by being killed.
"""

import os
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

import trio

from vaultairefs.config import environment

_REPORT_SECONDS: Final = 5.0
_EXTENSION_SECONDS: Final = 30
"""Each EXTEND_TIMEOUT_USEC asks for this much: several reports fit into it."""
_TELL_SECONDS_MAX: Final = 0.5
"""A manager that does not read holds nobody up: the kernel queues only ten messages for it."""
_STALLED_SECONDS_MAX: Final = 300.0
"""How long a stop may go on without progress."""


class OwedSummary(NamedTuple):
    """What the engine does not have: changed artifacts (removed ones too) and bytes."""

    artifacts: int
    bytes: int


def notify(*assignments: str) -> bool:
    """Send assignments such as ``READY=1``; whether somebody was told."""
    address = environment.service_manager().notify_socket
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.settimeout(_TELL_SECONDS_MAX)
            link.connect(address)
            link.sendall("\n".join(assignments).encode())
    except OSError:
        return False
    return True


def tell(status: str, *, stopping: bool) -> None:
    """Say in which phase we are; ``mounted`` is READY."""
    if status == "mounted":
        notify("READY=1", f"MAINPID={os.getpid()}", "STATUS=mounted")
    elif stopping:
        notify("STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={_EXTENSION_SECONDS * 1_000_000}")


async def report_draining(owed: Callable[[], OwedSummary]) -> None:
    """Until cancelled: show what is left, and ask for more time while it changes."""
    last, since = owed(), trio.current_time()
    while True:
        now = owed()
        if now != last:
            last, since = now, trio.current_time()
        lines = [f"STATUS=draining: {now.artifacts} changes, {now.bytes} bytes to go"]
        if trio.current_time() - since < _STALLED_SECONDS_MAX:
            lines.append(f"EXTEND_TIMEOUT_USEC={_EXTENSION_SECONDS * 1_000_000}")
        notify(*lines)
        await trio.sleep(_REPORT_SECONDS)


async def keep_watchdog_quiet(mountpoint: str) -> None:
    """Until cancelled: prove that the mount answers (a statfs through the kernel and back), then say so."""
    seconds = environment.service_manager().watchdog_seconds
    if not seconds:
        return
    while True:
        with trio.move_on_after(seconds / 2) as probing:
            await trio.to_thread.run_sync(_probe, mountpoint, abandon_on_cancel=True)
        if not probing.cancelled_caught:
            notify("WATCHDOG=1")
        await trio.sleep(seconds / 3)


def _probe(mountpoint: str) -> None:
    try:
        os.statvfs(mountpoint)
    except OSError:
        pass  # unmounted meanwhile: the daemon that says so lives
