"""S3 servers for tests, all on loopback: started once, asked for a fresh bucket each time.

``moto`` keeps everything in memory and checks no signature; it is the quick one.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import boto3

_NUMBERS = itertools.count(1)


class Server(NamedTuple):
    """An S3 server that answers."""

    name: str
    endpoint_url: str
    access_key: str = "testkey"
    secret_key: str = "testsecret"

    def client(self) -> "boto3.client":
        """boto3's own client, to look at the store past the engine."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )

    def new_bucket(self) -> str:
        """The name of a new, empty bucket."""
        bucket = f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket


@contextmanager
def moto() -> Iterator[Server]:
    """moto's server in a thread of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Server("moto", f"http://{host}:{port}")
    finally:
        server.stop()
