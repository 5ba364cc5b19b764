"""A real object store for tests: a one-node Ceph from ``script/ceph``, stopped by the pids that it noted.

Where one is up already (``VAULTAIREFS_TEST_CEPH`` names its directory) that one is used and left alone.
"""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

from tests.support.stores import Server

SCRIPT = Path(__file__).parents[2] / "script" / "ceph"
STANDING = "VAULTAIREFS_TEST_CEPH"


def start(directory: Path) -> None:
    """Start one there; needs root, and Debian's packages or the right to install them."""
    environment = {**os.environ, "CEPH_PORT": str(_free_port()), "CEPH_MONITOR_PORT": str(_free_port(2))}
    environment["CEPH_DIRECTORY"] = str(directory)
    subprocess.run([SCRIPT, "up"], check=True, env=environment, stdout=subprocess.DEVNULL, timeout=300)


def stop(directory: Path) -> None:
    """Stop the one there; one that is not up is no error."""
    environment = {**os.environ, "CEPH_DIRECTORY": str(directory)}
    subprocess.run([SCRIPT, "down"], check=True, env=environment, stderr=subprocess.DEVNULL, timeout=60)


def server_in(directory: Path) -> Server:
    told = dict(line.split("=", 1) for line in (directory / "env").read_text().splitlines())
    return Server("ceph", told["AWS_ENDPOINT_URL"], told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])


def _free_port(following: int = 1) -> int:
    """A port of the loopback that is free together with those after it."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for number in range(1, following):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port
