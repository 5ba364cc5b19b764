"""A real object store for tests: a one-node Ceph from ``script/ceph``, started once and stopped by pid.

Where one is up already (``VAULTAIREFS_TEST_CEPH`` names its directory) that one is used and left alone.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.stores import Server

SCRIPT = Path(__file__).parents[2] / "script" / "ceph"


@contextlib.contextmanager
def ceph() -> Iterator[Server]:
    """The server; needs root, and Debian's packages or the right to install them."""
    standing = os.environ.get("VAULTAIREFS_TEST_CEPH")
    if standing is not None:
        yield _server(Path(standing))
        return
    with tempfile.TemporaryDirectory(prefix="vaultairefs-ceph-") as parent:
        directory = Path(parent) / "ceph"
        environment = {
            **os.environ,
            "CEPH_DIRECTORY": str(directory),
            "CEPH_PORT": str(_free_port()),
            "CEPH_MONITOR_PORT": str(_free_port(2)),
        }
        subprocess.run([SCRIPT, "up"], check=True, env=environment, stdout=subprocess.DEVNULL, timeout=300)
        try:
            yield _server(directory)
        finally:
            subprocess.run([SCRIPT, "down"], check=True, env=environment, timeout=60)


def _server(directory: Path) -> Server:
    told = dict(line.split("=", 1) for line in (directory / "env").read_text().splitlines())
    return Server("ceph", told["AWS_ENDPOINT_URL"], told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])


def _free_port(following: int = 1) -> int:
    """A port of the loopback that is free together with those after it."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                for number in range(1, following):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port
