"""Meets a store: finds the bucket's region, has the probe try things out, and hands on what was found.

Promise: what only asking the store can tell is asked once; an engine of the same namespace in another process takes
over the answer.  Blocking.
"""

from typing import NamedTuple

import msgspec

from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.engine.s3_client import S3Client
from vaultairefs.engine.s3_errors import Refused
from vaultairefs.engine.s3_http import Lost, Unsent
from vaultairefs.engine.s3_probe import S3Probe
from vaultairefs.engine.s3_store import S3Store, unavailable


class _Knowledge(NamedTuple):
    """What only asking the store, or having been there, can tell."""

    region: str
    opened_ns: int
    abilities: Abilities


class S3Meeting:
    """Of one namespace; ``read_only``: nothing is tried out."""

    def __init__(self, client: S3Client, store: S3Store, identity: str, *, read_only: bool) -> None:
        self._client = client
        self._store = store
        self._identity = identity
        self._read_only = read_only

    def probe(self) -> None:
        """The errors of the interface's ``probe``."""
        try:
            self._find_region()
            self._store.objects.page(self._store.keys.base, keys_max=1)
            if not self._read_only:
                self._store.rely_on(S3Probe(self._store).run())
        except Refused as refusal:
            if refusal.operation == "put" and refusal.status == 403:
                return  # who may only read can still mount; a write will be refused when it comes
            raise refusal.as_input(self._identity) from refusal
        except (Lost, Unsent) as failure:
            raise unavailable(failure) from failure

    def knowledge(self) -> bytes:
        """What the probe found, for an engine of the same namespace in another process."""
        return msgspec.msgpack.encode(
            _Knowledge(self._client.session.region, self._store.opened_ns, self._store.abilities)
        )

    def rely_on(self, knowledge: bytes) -> None:
        """As if this engine had been opened and probed when that one was."""
        known = msgspec.msgpack.decode(knowledge, type=_Knowledge)
        if known.region != self._client.session.region:
            self._client.move_to(known.region)
        self._store.opened_ns = known.opened_ns
        self._store.rely_on(known.abilities)

    def _find_region(self) -> None:
        """Go where the bucket is, when the store says that it is elsewhere; other refusals say more when listing."""
        try:
            self._client.send_about_bucket()
        except Refused as refusal:
            if refusal.status in (301, 307, 400) and refusal.region not in ("", self._client.session.region):
                self._client.move_to(refusal.region)
