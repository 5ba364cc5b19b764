"""Says what a store was found to do, a line per verb, in words for operators.

Promise: what is called ``protected`` the store itself refuses when it would undo another's work; ``best effort`` is a
look of ours right before, between which and the request somebody may slip in.  Pure.
"""

from typing import Final

from vaultairefs.engine.interface import Finding
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_keys import KEY_BYTES_MAX

PROTECTED: Final = "protected"
BEST_EFFORT: Final = "best effort"
_CHECKSUMS: Final = {"crc32": "CRC32 of every body", "md5": "MD5 of every body"}


def findings_of(abilities: Abilities) -> tuple[Finding, ...]:
    """In the order in which a file lives: put, upload, read, copy, delete."""
    found = abilities
    return (
        _condition("put of a new name", found.put_absent),
        _condition("put over a version", found.put_version),
        _condition("upload of a new name", found.commit_absent),
        _condition("upload over a version", found.commit_version),
        Finding("read of one version", PROTECTED if found.read_version else "compared before use"),
        _condition("copy of one version", bool(found.copy_source)),
        _condition("copy to a new name", found.copy_absent),
        _condition("copy over a version", found.copy_version),
        Finding("copy of unchanged chunks", PROTECTED if found.part_copy else "not used: they are sent again"),
        _condition("delete of one version", found.delete_version or found.bulk_delete_version),
        _bulk(found),
        Finding("times of last change", "told: listings are indexed" if found.tells_modified else "not told: no index"),
        Finding("attributes of copies", "as sent" if found.copied_metadata else "lost: bytes are sent again"),
        Finding("objects dir/", "apart from dir" if found.markers else "one with dir: dir/%%2F is used"),
        Finding("checks of what is sent", _CHECKSUMS.get(found.checksum, "none"), not found.checksum),
        _keys(found),
    )


def _condition(subject: str, heeded: bool) -> Finding:
    return Finding(subject, PROTECTED if heeded else BEST_EFFORT, not heeded)


def _bulk(found: Abilities) -> Finding:
    if not found.bulk_delete:
        return Finding("delete of many", "one by one")
    return Finding("delete of many", "at once, each version protected" if found.bulk_delete_version else "at once")


def _keys(found: Abilities) -> Finding:
    if found.key_bytes_max < KEY_BYTES_MAX:
        return Finding("longest key", f"under {KEY_BYTES_MAX} bytes: some names cannot be stored", True)
    return Finding("longest key", f"at least {found.key_bytes_max} bytes")
