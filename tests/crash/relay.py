"""What stands between a mount and its object store, so that it can be killed: ``python relay.py PORT HOST PORT``.

Seen from the mount its death is the death of the server in the middle of requests: connections end, whatever was sent
may have been done or not, and nobody answers until it is started again.
"""

import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trio

_BLOCK_BYTES = 1 << 16


class Relay:
    """A relay process in front of ``endpoint_url``; its own ``endpoint_url`` stays the same over deaths."""

    def __init__(self, endpoint_url: str) -> None:
        parts = urlsplit(endpoint_url)
        self._upstream = (str(parts.hostname), str(parts.port))
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self._port = int(chosen.getsockname()[1])
        self.endpoint_url = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Returns when it listens."""
        command = [sys.executable, str(Path(__file__)), str(self._port), *self._upstream]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    @property
    def is_dead(self) -> bool:
        return self._process.poll() is not None

    def die(self) -> None:
        """kill -9; returns when it is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


async def _relay(upstream: tuple[str, int], client: trio.SocketStream) -> None:
    async with client, await trio.open_tcp_stream(*upstream) as server, trio.open_nursery() as nursery:

        async def pump(source: trio.SocketStream, target: trio.SocketStream) -> None:
            try:
                while block := await source.receive_some(_BLOCK_BYTES):
                    await target.send_all(block)
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(pump, client, server)
        nursery.start_soon(pump, server, client)


async def _main(port: int, host: str, upstream_port: int) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_tcp, partial(_relay, (host, upstream_port)), port, host="127.0.0.1"))
        os.write(1, b"ready\n")


if __name__ == "__main__":
    trio.run(_main, int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
