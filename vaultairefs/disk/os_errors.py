"""Translate ``OSError`` into the errors that may cross room borders.

Promise: one table, looked up by number and never by text; an unknown number is a ``DeviceFailed``, so nothing that
a disk says is ever mistaken for success.  It retries nothing and logs nothing.
"""

import errno
import os
from types import TracebackType
from typing import Final

from vaultairefs.model import errors

_CLASSES: Final[dict[int, type[errors.VaultaireError]]] = {
    errno.ENOENT: errors.NotFound,
    errno.EEXIST: errors.AlreadyExists,
    errno.ENOTDIR: errors.NotAContainer,
    # O_NOFOLLOW on a symlink: whoever wanted to walk through it found no container.
    errno.ELOOP: errors.NotAContainer,
    errno.EISDIR: errors.IsAContainer,
    errno.ENOTEMPTY: errors.ContainerNotEmpty,
    errno.ENAMETOOLONG: errors.NameTooLong,
    errno.EPERM: errors.NotPermitted,
    errno.EACCES: errors.AccessDenied,
    errno.EINVAL: errors.InvalidRequest,
    errno.EOPNOTSUPP: errors.NotSupported,
    errno.ENOSYS: errors.NotSupported,
    errno.ENOTTY: errors.NotSupported,
    errno.EMLINK: errors.TooManyLinks,
    errno.EFBIG: errors.TooLarge,
    errno.EOVERFLOW: errors.TooLarge,
    errno.ENOSPC: errors.OutOfSpace,
    errno.EDQUOT: errors.QuotaExceeded,
    errno.EROFS: errors.ReadOnly,
    errno.ENODATA: errors.AttributeMissing,
    errno.E2BIG: errors.AttributeTooLarge,
    errno.ERANGE: errors.AttributeTooLarge,
    errno.EXDEV: errors.CrossesVolumes,
    errno.EBADF: errors.BadHandle,
    errno.EBUSY: errors.Busy,
    errno.ETXTBSY: errors.Busy,
    errno.ESTALE: errors.Stale,
    errno.ETIMEDOUT: errors.TimedOut,
    errno.EAGAIN: errors.Unavailable,
    errno.EINTR: errors.Unavailable,
    errno.EMFILE: errors.Unavailable,
    errno.ENFILE: errors.Unavailable,
    errno.ENOMEM: errors.Unavailable,
    errno.ENOTCONN: errors.Unavailable,
    errno.EHOSTDOWN: errors.Unavailable,
    errno.EHOSTUNREACH: errors.Unavailable,
    errno.ENETUNREACH: errors.Unavailable,
    errno.ECONNREFUSED: errors.Unavailable,
    errno.ECONNRESET: errors.Unavailable,
}

_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EINVAL, errno.EXDEV})


def translate(
    error: OSError, *, operation: str, container: bytes | None = None, artifact: bytes | None = None
) -> errors.VaultaireError:
    """Our word for ``error``; raise it ``from`` the original.

    A number that is not in the table, or none at all, is ``DeviceFailed``.
    """
    kind = _CLASSES.get(error.errno or 0, errors.DeviceFailed)
    text = error.strerror or str(error)
    if error.filename is not None:
        text = f"{text}: {os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename}"
    return kind(text, operation=operation, container=container, artifact=artifact)


def is_unsupported(error: OSError) -> bool:
    """Whether the kernel or filesystem says that it has no such operation here, so that another way may be tried."""
    return error.errno in _UNSUPPORTED


def is_full(error: OSError) -> bool:
    """Whether the disk or a quota has no room (ENOSPC, EDQUOT)."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class translated:
    """Context manager: an ``OSError`` inside leaves as our word for it, with the original as its cause."""

    __slots__ = ("_artifact", "_container", "_operation")

    def __init__(self, operation: str, *, container: bytes | None = None, artifact: bytes | None = None) -> None:
        self._operation = operation
        self._container = container
        self._artifact = artifact

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise translate(
                error, operation=self._operation, container=self._container, artifact=self._artifact
            ) from error
