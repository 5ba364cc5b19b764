"""What a copy that is described anew must say again beside its metadata: who may read it, and its tags.

An object copied onto itself keeps its tags, but gets the access list of a new object; one that is sent again, by parts
or whole, loses both.  Both are told in headers of the request that makes the copy, so nobody sees it without them.

Promise: what cannot be read is left to the store.  Objects that we put have no list of their own, so nothing is asked
about them; what we copied together with one says so in its metadata.  Blocking.
"""

import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from typing import Final

from vaultairefs.engine.s3_client import Request, S3Client
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_metadata import read_extras
from vaultairefs.engine.s3_objects import Head, document

ACCESS: Final = "vaultaire-access"
_GRANTS: Final = {
    "FULL_CONTROL": "x-amz-grant-full-control",
    "READ": "x-amz-grant-read",
    "READ_ACP": "x-amz-grant-read-acp",
    "WRITE_ACP": "x-amz-grant-write-acp",
}


def access_headers(client: S3Client, key: bytes, head: Head) -> dict[str, str]:
    """Headers that grant what the object at ``key`` grants; none where only its owner has access."""
    if read_extras(head.metadata).token and ACCESS not in head.metadata:
        return {}
    root = _asked(client, key, "acl")
    if root is None:
        return {}
    owner = root.findtext("Owner/ID", "")
    granted: defaultdict[str, list[str]] = defaultdict(list)
    for grant in root.iter("Grant"):
        header, grantee = _GRANTS.get(grant.findtext("Permission", "")), _grantee(grant)
        if header is not None and grantee:
            granted[header].append(grantee)
    if dict(granted) == {_GRANTS["FULL_CONTROL"]: [f'id="{owner}"']}:
        return {}
    return {header: ", ".join(grantees) for header, grantees in granted.items()}


def tagging_header(client: S3Client, key: bytes, head: Head) -> dict[str, str]:
    """The tags of the object at ``key``, for a request that makes it anew."""
    if head.headers.get("x-amz-tagging-count", "0") == "0":
        return {}
    root = _asked(client, key, "tagging")
    if root is None:
        return {}
    tags = [(tag.findtext("Key", ""), tag.findtext("Value", "")) for tag in root.iter("Tag")]
    return {"x-amz-tagging": urllib.parse.urlencode(tags)}


def _asked(client: S3Client, key: bytes, what: str) -> ElementTree.Element | None:
    try:
        return document(client.send(Request(f"get-{what}", "GET", key, query=((what, ""),))), f"get-{what}")
    except Refused as refusal:
        if refusal.is_for_now:
            raise
        return None


def _grantee(grant: ElementTree.Element) -> str:
    for name, word in (("ID", "id"), ("URI", "uri"), ("EmailAddress", "emailAddress")):
        text = grant.findtext(f"Grantee/{name}", "")
        if text and '"' not in text:
            return f'{word}="{text}"'
    return ""
