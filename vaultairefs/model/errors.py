"""The only errors that cross room borders.

Each says what happened in words; ``fuse/errno_map.py`` holds the one table that turns them into errnos, and the
CLI prints their message as one sentence.  An error wraps its cause (``raise ... from cause``) and names the
container, artifact, operation and tenant when they are known.
"""

from typing import ClassVar


class VaultaireError(Exception):
    """Base of all errors that one room may raise to another.

    ``container`` and ``artifact`` name what was asked for, ``operation`` is the verb (POSIX or engine word),
    ``tenant`` the namespace.
    """

    _meaning: ClassVar[str] = "something failed"
    """The first line of a class's own text, cut once: most errors are answers that a name or attribute is not there."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._meaning = (cls.__doc__ or cls.__name__).split("\n")[0].rstrip(".")

    def __init__(
        self,
        message: str = "",
        *,
        container: bytes | None = None,
        artifact: bytes | None = None,
        operation: str | None = None,
        tenant: str | None = None,
    ) -> None:
        super().__init__(message or self._meaning)
        self.container = container
        self.artifact = artifact
        self.operation = operation
        self.tenant = tenant

    def __str__(self) -> str:
        where = [
            f"{label}={value!r}"
            for label, value in (
                ("operation", self.operation),
                ("tenant", self.tenant),
                ("container", self.container),
                ("artifact", self.artifact),
            )
            if value is not None
        ]
        text = super().__str__()
        return f"{text} ({', '.join(where)})" if where else text


class NotFound(VaultaireError):
    """No such container or artifact."""


class AlreadyExists(VaultaireError):
    """The name is taken."""


class NotAContainer(VaultaireError):
    """A container is needed here and this is none."""


class IsAContainer(VaultaireError):
    """An artifact is needed here and this is a container."""


class ContainerNotEmpty(VaultaireError):
    """The container still holds something."""


class NameTooLong(VaultaireError):
    """A name of more than 255 bytes, or a path or link target of more than 4095."""


class NotPermitted(VaultaireError):
    """The operation is not permitted to anybody here, or only to the owner (EPERM)."""


class AccessDenied(VaultaireError):
    """The caller's permissions do not allow it (EACCES)."""


class InvalidRequest(VaultaireError):
    """The arguments make no sense together."""


class NotSupported(VaultaireError):
    """This volume or engine cannot do that."""


class TooManyLinks(VaultaireError):
    """The link count would overflow."""


class TooLarge(VaultaireError):
    """The file would pass the largest possible size."""


class OutOfSpace(VaultaireError):
    """No room left in the buffer, the state filesystem or the engine."""


class QuotaExceeded(VaultaireError):
    """A quota of the state filesystem or the engine is used up."""


class ReadOnly(VaultaireError):
    """The volume is read-only."""


class AttributeMissing(VaultaireError):
    """No extended attribute of that name."""


class AttributeTooLarge(VaultaireError):
    """An extended attribute is larger than this volume holds."""


class CrossesVolumes(VaultaireError):
    """Source and target are on different volumes or buckets."""


class BadHandle(VaultaireError):
    """The handle is not open, or not open for that."""


class Busy(VaultaireError):
    """Something else uses it right now."""


class Stale(VaultaireError):
    """The artifact changed or vanished behind an open handle (ESTALE)."""


class Lost(Stale):
    """Bytes of a file that was changed here which nobody holds any more (EIO): they are never read as zeros."""


class Withheld(VaultaireError):
    """Cannot reach the engine before somebody decides; it is kept here until then (EIO)."""


class Conflict(VaultaireError):
    """The engine holds another version than the one expected; nothing was changed."""


class Unavailable(VaultaireError):
    """The engine cannot be reached or refused for now; the call may be repeated."""


class TimedOut(VaultaireError):
    """A deadline passed; what was acknowledged is kept."""


class Corrupt(VaultaireError):
    """Bytes failed their checksum or could not be decoded; they are kept in quarantine."""


class DeviceFailed(VaultaireError):
    """The local disk refused a read, write or sync (EIO)."""


class BadInput(VaultaireError):
    """An operator's input that cannot work: one clear sentence, exit status 1."""
