"""What a store was found to honour: per verb, since stores differ by verb."""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec

_DIGEST: Final = re.compile("[0-9a-f]{32}")


class Abilities(msgspec.Struct, frozen=True):
    """The probe's findings; without a probe nothing is relied upon."""

    markers: bool = True
    """``dir/`` and ``dir`` are two objects.  (rclone serve s3 would overwrite the file with the marker.)"""
    copied_metadata: bool = True
    """CopyObject gives the copy exactly the metadata that it is sent."""
    digests: bool = False
    """The ETag of an object in one part is the MD5 of its bytes (not so with other keys than the store's own)."""
    put_absent: bool = False
    """PUT If-None-Match: * is refused where something is."""
    put_version: bool = False
    """PUT If-Match is refused where another version is."""
    bare_etags: bool = False
    """PUT If-Match wants the ETag without its quotes (Ceph 16)."""
    commit_absent: bool = False
    commit_version: bool = False
    """CompleteMultipartUpload heeds the same two conditions."""
    commit_tells_version: bool = False
    """CompleteMultipartUpload answers with the ETag that the object then has."""
    commit_digests: bool = False
    """The ETag of an object in parts is the MD5 of theirs and their number."""
    read_version: bool = False
    """GET If-Match is refused where another version is."""
    delete_version: bool = False
    """DELETE If-Match is refused where another version is."""
    bulk_delete: bool = False
    """DeleteObjects works at all."""
    bulk_delete_version: bool = False
    """DeleteObjects heeds the ETag of each object."""
    copy_source: str = ""
    """The header that pins a copy's source (x-amz-copy-source-if-match; Ceph: x-amz-copy-if-match), if one does."""
    copy_absent: bool = False
    copy_version: bool = False
    """CopyObject heeds conditions on its target."""
    part_copy_works: bool = False
    """UploadPartCopy copies what it is asked for, whatever it makes of a pin."""
    part_copy: bool = False
    """UploadPartCopy works and refuses a stale x-amz-copy-source-if-match."""
    tells_modified: bool = False
    """Last-Modified says when the object was written, whatever its metadata say."""
    key_bytes_max: int = 0
    """The longest key that was tried and taken; 0 when none of those was that the layout may come to."""
    checksum: str = ""
    """``md5`` or ``crc32``: what the store verifies of a body (Content-MD5, x-amz-checksum-crc32)."""

    def digest_of_parts(self, etags: Sequence[str]) -> str:
        """The ETag that an object of parts with these ETags has, empty where the store does not make it so."""
        if not self.commit_digests or not all(map(_DIGEST.fullmatch, etags)):
            return ""
        digest = hashlib.md5(b"".join(map(bytes.fromhex, etags)), usedforsecurity=False)
        return f"{digest.hexdigest()}-{len(etags)}"

    @property
    def is_conditional(self) -> bool:
        """Whether puts, the verb by which data gets lost, are safe."""
        return self.put_absent and self.put_version
