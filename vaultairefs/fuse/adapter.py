"""All handlers of one mount in one object, as pyfuse3 wants them.

Promise: thin; a handler decodes, calls the volume once, encodes.

Does not: mount or serve; ``session.py`` does.
"""

import trio

from vaultairefs.fuse.files import FileHandlers
from vaultairefs.fuse.inodes import InodeHandlers
from vaultairefs.fuse.listings import ListingHandlers
from vaultairefs.fuse.names import NameHandlers
from vaultairefs.volume import Volume


class Adapter(NameHandlers, InodeHandlers, FileHandlers, ListingHandlers):
    """A volume as pyfuse3's ``Operations``.

    No kernel write-back cache: it would acknowledge writes that neither the journal nor a body has seen (P1).  POSIX
    ACLs are the kernel's to check and ours to keep.
    """

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = True

    def __init__(self, volume: Volume, *, tenant: str = "", ttl_seconds: float = 60.0) -> None:
        super().__init__(volume, tenant=tenant, ttl_seconds=ttl_seconds)
        self.initialised = trio.Event()

    def init(self) -> None:
        """The kernel greeted us; its answer is on the way before any other task runs."""
        self.initialised.set()
