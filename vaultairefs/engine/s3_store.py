"""One namespace in one bucket: what every room of the S3 engine works on, and how doubtful requests are settled.

Promise: a conditional request goes out once at a time.  When its answer is lost, or says that a condition did not
hold, a HEAD decides: our token there means that it was done, anything else a conflict or another try.  Where the store
heeds no condition the same HEAD, or a listing that tells as much, comes right before (best effort).  Blocking,
thread-safe.
"""

from collections.abc import Callable
from typing import Final

from vaultairefs.engine.conditions import holds
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_client import ATTEMPTS, S3Client
from vaultairefs.engine.s3_dialects import Owner
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Unsent
from vaultairefs.engine.s3_keys import Keys
from vaultairefs.engine.s3_known import S3Known
from vaultairefs.engine.s3_metadata import read_extras
from vaultairefs.engine.s3_objects import Head, S3Objects
from vaultairefs.engine.s3_vacancy import S3Vacancy
from vaultairefs.model.errors import Conflict, Unavailable, VaultaireError
from vaultairefs.model.values import ABSENT, ANY, Version

PART_BYTES_MIN: Final = 5 << 20
PARTS_MAX: Final = 10_000
_MAYBE_DONE: Final = frozenset({"NoSuchKey", "NoSuchUpload"})
"""What a store may say of a request that it had done before, or whose If-Match met nothing."""
COPY_BYTES_MAX: Final = 5 << 30
"""CopyObject takes no larger source."""


class S3Store:
    """A namespace, with the abilities of its store as far as they are known."""

    def __init__(self, client: S3Client, keys: Keys, owner: Owner, opened_ns: int) -> None:
        self.client = client
        self.objects = S3Objects(client)
        self.keys = keys
        self.owner = owner
        self.opened_ns = opened_ns
        """The time that containers without an object of their own are shown with."""
        self.abilities = Abilities()
        self.known = S3Known()
        self.vacancy = S3Vacancy(self.objects, self.known)
        self.implicit: set[bytes] = set()
        """Containers that were seen without an object of their own.  (Adding and removing need no lock.)"""

    def rely_on(self, abilities: Abilities) -> None:
        """Make use of what the probe found."""
        self.abilities = abilities
        self.keys.marks_inside = not abilities.markers
        self.known.tells_modified = abilities.tells_modified

    def conditions(self, expected: Version) -> dict[str, str]:
        """The headers by which a PUT says what it expects."""
        if expected == ANY:
            return {}
        if expected == ABSENT:
            return {"if-none-match": "*"}
        return {"if-match": expected if self.abilities.bare_etags else f'"{expected}"'}

    def heeds(self, expected: Version, *, absent: bool, version: bool) -> bool:
        """Whether the store itself checks ``expected``, given which of the two conditions it honours."""
        return expected == ANY or (absent if expected == ABSENT else version)

    def settle(self, send: Callable[[], str], key: bytes, *, expected: Version, token: str, heeded: bool) -> Version:
        """Call ``send`` until it is certain what became of it; returns the version that the key then has.

        ``heeded``: the request carries the condition and the store honours it.  ``Conflict`` when something else than
        ``expected`` is there, ``Unavailable`` when nothing could be found out.
        """
        failure: Exception | None = None
        for attempt in range(ATTEMPTS):
            if failure is not None:
                self.client.pause(attempt - 1, getattr(failure, "retry_after", ""))
            is_free = not heeded and failure is None and expected == ABSENT and self.vacancy.is_free(key)
            if not is_free and (not heeded or (failure is not None and token)):
                found = self.objects.head(key)
                if found is not None and is_ours(found, token):
                    return Version(found.etag)
                if not heeded and not holds(None if found is None else found.etag, expected):
                    raise Conflict(operation="put")
            try:
                return Version(send() or self._version_now(key, token))
            except (Lost, Unsent) as error:
                failure = error
            except Refused as refusal:
                if refusal.is_for_now:
                    failure = refusal
                    continue
                if not (refusal.is_precondition or refusal.code in _MAYBE_DONE):
                    raise
                found = self.objects.head(key)
                if found is not None and is_ours(found, token):
                    return Version(found.etag)
                if refusal.code == "NoSuchUpload" or expected == ANY:
                    raise
                raise Conflict(operation=refusal.operation) from refusal
        assert failure is not None
        raise unavailable(failure) from failure

    def _version_now(self, key: bytes, token: str) -> str:
        """The version of what was just written, for stores that do not tell it (Ceph's commits, rclone's copies)."""
        found = self.objects.head(key)
        if found is None or (token and not is_ours(found, token)):
            raise Conflict("it was replaced as soon as it was written")
        return found.etag


def is_ours(found: Head, token: str) -> bool:
    """Whether the object was put with our token."""
    return token != "" and read_extras(found.metadata).token == token


def unavailable(failure: Exception) -> VaultaireError:
    """A failure of the way to the store, or a refusal for now, in the seam's words."""
    if isinstance(failure, Refused):
        return failure.translated()
    return Unavailable(f"the store cannot be reached: {failure}")
