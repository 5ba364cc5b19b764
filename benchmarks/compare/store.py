"""The object store that every system under comparison is put in front of: one-node Ceph, and a fresh bucket for each.

Does not: measure.  ``script/ceph`` starts and stops the server; one that stands already is named by its directory.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

_SCRIPT: Final = Path(__file__).parents[2] / "script" / "ceph"
_PARALLEL: Final = TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20, max_concurrency=8)


class Store(NamedTuple):
    """Where the server listens, and its keys."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What programs of the AWS kind read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """boto3's client, set to do as little as it can."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path", "payload_signing_enabled": False},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                max_pool_connections=16,
            ),
        )

    def empty(self, bucket: str) -> None:
        """Delete all that the bucket holds, and make it if it is not there."""
        client = self.client()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=bucket)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
            if keys:
                client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})

    def count(self, bucket: str) -> int:
        """How many keys a whole LIST finds: the raw limit of a listing."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sum(len(page.get("Contents", ())) for page in pages)

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """boto3's parallel upload: the raw limit of a large write."""
        self.client().upload_file(str(path), bucket, key, Config=_PARALLEL)

    def download(self, bucket: str, key: str, path: Path) -> None:
        """boto3's parallel download: the raw limit of a large read."""
        self.client().download_file(bucket, key, str(path), Config=_PARALLEL)


@contextlib.contextmanager
def store(standing: Path | None, base: Path) -> Iterator[Store]:
    """The one in the directory ``standing``, or one of our own until the end of the block."""
    if standing is not None:
        yield _read(standing)
        return
    directory = base / "ceph"
    environment = {**os.environ, "CEPH_DIRECTORY": str(directory)}
    subprocess.run([_SCRIPT, "up"], check=True, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield _read(directory)
    finally:
        subprocess.run([_SCRIPT, "down"], check=True, env=environment)


def _read(directory: Path) -> Store:
    told = dict(line.split("=", 1) for line in (directory / "env").read_text().splitlines())
    return Store(told["AWS_ENDPOINT_URL"], told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])
