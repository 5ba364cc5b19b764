"""S3 servers for tests, all on loopback: started once, asked for a fresh bucket each time.

``moto`` keeps everything in memory and checks no signature; it is the quick one.
"""

import functools
import itertools
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import trio

from vaultairefs.engine.s3 import S3Engine
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_account import S3Account
from vaultairefs.engine.s3_client import S3Client
from vaultairefs.engine.s3_objects import PAGE_KEYS
from vaultairefs.engine.s3_options import MAX_REQUESTS, Login, S3Options
from vaultairefs.engine.s3_policy import Policy
from vaultairefs.engine.s3_running import Runner
from vaultairefs.engine.s3_session import Session

POLICY = Policy()
_NUMBERS = itertools.count(1)
_FOUND: dict[str, Abilities] = {}
"""What each server's probe found: the same for all its buckets.  Probing itself has its own tests."""


class Server(NamedTuple):
    """An S3 server that answers."""

    name: str
    endpoint_url: str
    access_key: str = "testkey"
    secret_key: str = "testsecret"

    def client(self) -> Any:
        """boto3's own client, to look at the store past the engine; one for all who ask."""
        return _client(self)

    def engine(
        self, bucket: str, base: bytes = b"", *, page_entries: int = PAGE_KEYS, policy: Policy = POLICY
    ) -> S3Engine:
        """An engine on the bucket, not probed."""
        client = S3Client(_session(self, policy), bucket, MAX_REQUESTS)
        return S3Engine(client, base, f"s3://{bucket}", Runner(MAX_REQUESTS), page_entries=page_entries)

    def account(self) -> S3Account:
        """An engine on all the buckets, not probed."""
        return S3Account(S3Client(_session(self), "", MAX_REQUESTS), "s3://", Runner(MAX_REQUESTS), S3Engine)

    def mount_options(self, base: Path) -> list[str]:
        """What a mount of this server is told; the key is in a file in ``base``."""
        passwd_file = base / f"passwd-{self.name}"
        if not passwd_file.exists():
            passwd_file.touch(0o600)
            passwd_file.write_text(f"{self.access_key}:{self.secret_key}\n")
        return [f"endpoint_url={self.endpoint_url}", "region=us-east-1", f"passwd_file={passwd_file}"]

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        bucket = f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket


@functools.cache
def _client(server: Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


@functools.cache
def _session(server: Server, policy: Policy = POLICY) -> Session:
    login = Login(server.access_key, server.secret_key)
    options = S3Options("", b"", server.endpoint_url, region="us-east-1", login=login, addressing_style="path")
    return Session(options._replace(policy=policy))


@asynccontextmanager
async def opened(server: Server, page_entries: int = PAGE_KEYS) -> AsyncIterator[S3Engine]:
    """An engine on an empty bucket that has found out what the server can do."""
    async with opened_in(server, server.new_bucket(), page_entries) as engine:
        yield engine


@asynccontextmanager
async def opened_in(server: Server, bucket: str, page_entries: int = PAGE_KEYS) -> AsyncIterator[S3Engine]:
    """The same on a bucket that is there."""
    engine = server.engine(bucket, page_entries=page_entries)
    known = _FOUND.get(server.endpoint_url)
    if known is None:
        await engine.probe()
        _FOUND[server.endpoint_url] = engine.abilities
    else:
        engine._store.rely_on(known)
    yield engine
    with trio.CancelScope(shield=True):
        await engine.close()


@contextmanager
def moto() -> Iterator[Server]:
    """moto's server in a thread of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it tells of every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Server("moto", f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def rclone() -> Iterator[Server]:
    """``rclone serve s3`` over an empty directory: a store that says yes to conditions and heeds none."""
    with tempfile.TemporaryDirectory(prefix="vaultairefs-rclone-") as directory, socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
        chosen.close()
        server = Server("rclone", f"http://127.0.0.1:{port}")
        login = f"{server.access_key},{server.secret_key}"
        command = [
            Path(sys.executable).with_name("rclone"),
            "serve",
            "s3",
            "--auth-key",
            login,
            "--addr",
            f"127.0.0.1:{port}",
            directory,
        ]
        command += ["--config", os.devnull]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_port(port, process)
            yield server
        finally:
            process.terminate()
            process.wait()


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until somebody listens there."""
    while process.poll() is None:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError("the server ended before it answered")


@contextmanager
def store(name: str) -> Iterator[Server | None]:
    """The server of that name, ``None`` for ``local``: the store is a directory then."""
    if name == "local":
        yield None
    elif name == "ceph":
        from tests.support import shared_ceph

        yield shared_ceph.server()
    else:
        with {"moto": moto, "rclone": rclone}[name]() as server:
            yield server
