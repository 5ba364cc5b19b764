"""sd_notify(3) in a few lines: tell the service manager how we are.

Promise: without a NOTIFY_SOCKET nothing happens; a service manager that is gone is no error of ours.
"""

import socket
from typing import Final

from vaultairefs.config import environment

EXTENSION_SECONDS: Final = 30
"""Each EXTEND_TIMEOUT_USEC asks for this much; sent well before the last one ends."""


def notify(*lines: str) -> bool:
    """Send assignments such as ``READY=1``; whether somebody was told."""
    address = environment.service_manager().notify_socket
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.connect(address)
            link.sendall("\n".join(lines).encode())
    except OSError:
        return False
    return True


def extend_timeout() -> bool:
    """A stop that makes progress must not be killed half way."""
    return notify(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1_000_000}")
