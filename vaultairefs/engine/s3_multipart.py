"""The requests of multipart uploads, in plain values.  Part numbers count from 0 here, from 1 on the wire."""

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from vaultairefs.engine.s3_client import FileRange, Request, S3Client
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost
from vaultairefs.engine.s3_objects import document, etag_of


class Pending(NamedTuple):
    """An upload that was neither committed nor aborted."""

    key: bytes
    upload_id: str


class S3Multipart:
    """Uploads into the client's bucket."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def begin(self, key: bytes, headers: Mapping[str, str]) -> str:
        """Returns the upload's id.  Repeated after a lost answer it leaves an empty upload behind, which is listed."""
        request = Request("begin-upload", "POST", key, query=(("uploads", ""),), headers=headers)
        upload_id = document(self._client.send(request), "begin-upload").findtext("UploadId", "")
        if not upload_id:
            raise Lost("the store began an upload without naming it")
        return upload_id

    def put_part(
        self, key: bytes, upload_id: str, number: int, body: bytes | FileRange, headers: Mapping[str, str] = {}
    ) -> str:
        """Returns the part's ETag."""
        request = Request("put-part", "PUT", key, query=_part(upload_id, number), headers=headers, body=body)
        return etag_of(self._client.send(request))

    def copy_part(
        self, key: bytes, upload_id: str, number: int, headers: Mapping[str, str], *, plain: bool = False
    ) -> str:
        """``plain`` is as for ``Request``, of the source.  Returns the part's ETag."""
        request = Request("copy-part", "PUT", key, query=_part(upload_id, number), headers=headers, plain=plain)
        return document(self._client.send(request), "copy-part").findtext("ETag", "").strip('"')

    def commit(self, key: bytes, upload_id: str, etags: Sequence[str], conditions: Mapping[str, str]) -> str:
        """Publish parts 0.. of these ETags; returns the object's ETag.  Sent once."""
        parts = "".join(
            f"<Part><PartNumber>{number + 1}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags)
        )
        text = (
            '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{parts}</CompleteMultipartUpload>"
        )
        request = Request(
            "commit-upload",
            "POST",
            key,
            query=(("uploadId", upload_id),),
            headers={"content-type": "application/xml", **conditions},
            body=text.encode(),
            repeatable=False,
        )
        return document(self._client.send(request), "commit-upload").findtext("ETag", "").strip('"')

    def abort(self, key: bytes, upload_id: str) -> None:
        """One that is gone is no error."""
        try:
            self._client.send(Request("abort-upload", "DELETE", key, query=(("uploadId", upload_id),)))
        except Refused as refusal:
            if refusal.status != 404:
                raise

    def exists(self, key: bytes, upload_id: str) -> bool:
        """Whether the upload is still under way."""
        try:
            query = (("max-parts", "1"), ("uploadId", upload_id))
            self._client.send(Request("list-parts", "GET", key, query=query))
        except Refused as refusal:
            if refusal.status != 404 and refusal.code != "NoSuchUpload":
                raise
            return False
        return True

    def list(self, prefix: bytes) -> list[Pending]:
        """Uploads under way to keys that begin with ``prefix``."""
        found: list[Pending] = []
        marker: tuple[tuple[str, str], ...] = ()
        while True:
            query = (("encoding-type", "url"), ("prefix", prefix.decode()), ("uploads", ""), *marker)
            root = document(self._client.send(Request("list-uploads", "GET", query=query)), "list-uploads")
            decode = urllib.parse.unquote_plus if root.findtext("EncodingType") == "url" else str
            for upload in root.iterfind("Upload"):
                key = decode(upload.findtext("Key", "")).encode()
                if key.startswith(prefix):
                    found.append(Pending(key, upload.findtext("UploadId", "")))
            following = decode(root.findtext("NextKeyMarker", "")), root.findtext("NextUploadIdMarker", "")
            if root.findtext("IsTruncated", "false") != "true" or not following[0]:
                return found
            marker = (("key-marker", following[0]), ("upload-id-marker", following[1]))


def _part(upload_id: str, number: int) -> tuple[tuple[str, str], ...]:
    return (("partNumber", str(number + 1)), ("uploadId", upload_id))
