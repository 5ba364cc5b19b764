"""The buckets of an account.  Blocking, thread-safe."""

import datetime
from collections.abc import Sequence
from typing import Final, NamedTuple

from vaultairefs.engine.s3_client import Request, S3Client
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_objects import S3Objects, document
from vaultairefs.model.errors import AlreadyExists, ContainerNotEmpty, InvalidRequest
from vaultairefs.model.names import RESERVED

_OWN_REGION: Final = "us-east-1"


class Bucket(NamedTuple):
    """A bucket and when it was made."""

    name: str
    created_ns: int


class S3Buckets:
    """Lists, makes and removes buckets; ``client`` is one about no bucket."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def list(self) -> Sequence[Bucket]:
        root = document(self._client.send(Request("list-buckets", "GET", b"")), "list-buckets")
        return [
            Bucket(found.findtext("Name", ""), _time_ns(found.findtext("CreationDate", "")))
            for found in root.iter("Bucket")
        ]

    def create(self, client: S3Client) -> None:
        """Make the bucket of ``client``; one of our own that is there already is no error."""
        body = b""
        region = client.session.region
        if region != _OWN_REGION:
            body = (
                '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                f"<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ).encode()
        try:
            client.send(Request("create-bucket", "PUT", body=body))
        except Refused as refusal:
            if refusal.code == "InvalidBucketName":
                raise InvalidRequest(f"{client.bucket} cannot be the name of a bucket") from refusal
            if refusal.code == "BucketAlreadyExists":
                raise AlreadyExists("somebody else has a bucket of that name") from refusal
            if refusal.code != "BucketAlreadyOwnedByYou":
                raise

    def delete(self, client: S3Client) -> None:
        """Remove the bucket of ``client``, with what we ourselves keep in it; ``ContainerNotEmpty`` for more."""
        objects = S3Objects(client)
        ours = RESERVED + b"/"
        try:
            page = objects.page(b"", keys_max=2)
            if page.objects or any(prefix != ours for prefix in page.prefixes):
                raise ContainerNotEmpty(container=client.bucket.encode())
            for found in list(objects.walk(ours)):
                objects.delete(found.key)
            client.send(Request("delete-bucket", "DELETE"))
        except Refused as refusal:
            if refusal.code == "BucketNotEmpty":
                raise ContainerNotEmpty(container=client.bucket.encode()) from refusal
            if refusal.code != "NoSuchBucket":
                raise


def _time_ns(text: str) -> int:
    try:
        return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000) * 1_000_000
    except ValueError:
        return 0
