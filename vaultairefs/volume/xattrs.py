"""Extended attributes and POSIX ACLs.  (skeleton; being filled in)"""

from vaultairefs.model.values import Ino
from vaultairefs.volume.requests import XattrMode


class Xattrs:
    """xattr(7) by whole name (``user.x``, ``trusted.x``, ``security.x``, ``system.posix_acl_*``)."""

    async def getxattr(self, ino: Ino, name: bytes) -> bytes:
        """``AttributeMissing`` when there is none; ``NotSupported`` for an unknown ``system.`` name."""
        raise NotImplementedError

    async def setxattr(self, ino: Ino, name: bytes, value: bytes, mode: XattrMode = XattrMode.ANY) -> None:
        """``AlreadyExists``, ``AttributeMissing``, ``AttributeTooLarge``, ``NameTooLong``, ``NotSupported``."""
        raise NotImplementedError

    async def listxattr(self, ino: Ino) -> list[bytes]:
        """Whole names, in a stable order; the kernel filters ``trusted.`` by the caller."""
        raise NotImplementedError

    async def removexattr(self, ino: Ino, name: bytes) -> None:
        """``AttributeMissing`` when there is none."""
        raise NotImplementedError
