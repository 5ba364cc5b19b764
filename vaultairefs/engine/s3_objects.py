"""The verbs of one bucket on single objects and listings, in plain values.

Promise: keys, headers and conditions go out exactly as given; nothing is normalised.  A request with a condition is
sent once, and its doubtful end is settled in ``s3_settling``.  Blocking, thread-safe.
"""

import base64
import datetime
import hashlib
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from vaultairefs.engine.s3_client import FileRange, Request, S3Client
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Reply, Sink
from vaultairefs.model.values import Version

META: Final = "x-amz-meta-"
PAGE_KEYS: Final = 1000
AFTER_PREFIX: Final = "\U0010ffff".encode()
"""Appended to a common prefix, it sorts behind every key below it."""
_XML_SAFE: Final = frozenset((0x09, 0x0A, *range(0x20, 0xFFFE)))


class Head(NamedTuple):
    """What a HEAD says: the ETag without its quotes, the size, every header, the user metadata without its prefix."""

    etag: Version
    size: int
    headers: dict[str, str]
    metadata: dict[str, str]


class Listed(NamedTuple):
    """An object in a listing; ``modified_s`` is its Last-Modified in whole seconds since 1970."""

    key: bytes
    etag: Version
    size: int
    modified_s: int


class Page(NamedTuple):
    """Objects and common prefixes, each sorted; ``is_last`` when nothing comes behind them."""

    objects: Sequence[Listed]
    prefixes: Sequence[bytes]
    is_last: bool


class S3Objects:
    """Objects of the client's bucket."""

    def __init__(self, client: S3Client) -> None:
        self.client = client

    def head(self, key: bytes) -> Head | None:
        """What is at the key, None when nothing is."""
        try:
            reply = self.client.send(Request("head", "HEAD", key))
        except Refused as refusal:
            if refusal.status == 404 and refusal.code != "NoSuchBucket":
                return None
            raise
        return head_of(reply)

    def get(self, key: bytes, headers: Mapping[str, str], sink: Sink | None = None) -> Reply:
        """The body goes to the sink.  With one a broken answer is not repeated here: the sink may have some of it."""
        return self.client.send(Request("get", "GET", key, headers=headers, sink=sink, repeatable=sink is None))

    def put(self, key: bytes, body: bytes | FileRange, headers: Mapping[str, str], *, repeatable: bool = False) -> str:
        """Store an object; returns its ETag."""
        request = Request("put", "PUT", key, headers=headers, body=body, repeatable=repeatable)
        return etag_of(self.client.send(request))

    def delete(self, key: bytes, headers: Mapping[str, str] = {}) -> None:
        """Delete one object; one that is gone is no error."""
        try:
            self.client.send(Request("delete", "DELETE", key, headers=headers, repeatable=not headers))
        except Refused as refusal:
            if refusal.status != 404 or refusal.code == "NoSuchBucket":
                raise

    def page(self, prefix: bytes, *, after: bytes = b"", delimiter: str = "/", keys_max: int = PAGE_KEYS) -> Page:
        """One page of a listing: keys that begin with ``prefix`` and sort behind ``after``."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(keys_max)), ("prefix", _text(prefix))]
        if delimiter:
            query.append(("delimiter", delimiter))
        if after:
            query.append(("start-after", _text(after)))
        root = document(self.client.send(Request("list", "GET", query=tuple(query))), "list")
        decode = urllib.parse.unquote_plus if root.findtext("EncodingType") == "url" else str
        objects = [
            Listed(
                _bytes(decode(found.findtext("Key", ""))),
                Version(found.findtext("ETag", "").strip('"')),
                int(found.findtext("Size", "0")),
                _seconds(found.findtext("LastModified", "")),
            )
            for found in root.iterfind("Contents")
        ]
        prefixes = [_bytes(decode(found.findtext("Prefix", ""))) for found in root.iterfind("CommonPrefixes")]
        return Page(objects, prefixes, root.findtext("IsTruncated", "false") != "true")

    def walk(self, prefix: bytes, after: bytes = b"") -> Iterator[Listed]:
        """Every object whose key begins with ``prefix``, a page at a time."""
        while True:
            page = self.page(prefix, after=after, delimiter="")
            yield from page.objects
            if page.is_last or not page.objects:
                return
            after = page.objects[-1].key

    def delete_many(self, keys: Sequence[tuple[bytes, str]]) -> dict[bytes, str]:
        """Delete up to 1000 objects, each under its ETag where one is given; returns key -> code of the failed.

        A key that XML cannot write is not for this: see ``fits_xml``.
        """
        lines = [
            f"<Object><Key>{_xml_text(key)}</Key>" + (f"<ETag>{escape(etag)}</ETag>" if etag else "") + "</Object>"
            for key, etag in keys
        ]
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Quiet>true</Quiet>{''.join(lines)}</Delete>"
        ).encode()
        headers = {"content-md5": md5_of(text), "content-type": "application/xml"}
        request = Request("delete-many", "POST", query=(("delete", ""),), headers=headers, body=text)
        root = document(self.client.send(request), "delete-many")
        return {
            found.findtext("Key", "").encode(): found.findtext("Code", "InternalError")
            for found in root.iterfind("Error")
        }


def head_of(reply: Reply) -> Head:
    """Names of user metadata come in lower case, whatever the store makes of them."""
    metadata = {name[len(META) :]: value for name, value in reply.headers.items() if name.startswith(META)}
    return Head(etag_of(reply), int(reply.headers.get("content-length", "0")), reply.headers, metadata)


def etag_of(reply: Reply) -> Version:
    return etag_in(reply.headers)


def etag_in(headers: Mapping[str, str]) -> Version:
    return Version(headers.get("etag", "").removeprefix("W/").strip('"'))


def document(reply: Reply, operation: str) -> ElementTree.Element:
    """The answer's XML without its namespaces; ``Lost`` when it is none, ``Refused`` when it is an error after all."""
    try:
        root = ElementTree.fromstring(reply.body)
    except ElementTree.ParseError as error:
        raise Lost(f"the answer to {operation} is no XML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag == "Error":  # copies and commits may fail after their 200 was sent
        raise Refused(reply._replace(status=500), operation)
    return root


def md5_of(body: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def fits_xml(key: bytes) -> bool:
    """Whether XML 1.0 can write the key: not most control characters, nor what lies outside of Unicode."""
    return all(ord(letter) in _XML_SAFE or ord(letter) > 0xFFFF for letter in key.decode("utf-8", "replace"))


def _seconds(text: str) -> int:
    """ISO 8601 as listings have it; 0 where it says nothing."""
    try:
        return int(datetime.datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0


def _xml_text(key: bytes) -> str:
    return escape(key.decode("utf-8"))


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
