"""The one table that turns our errors into errno numbers (errno(3)).

Promise: every word of ``model/errors.py`` has a number here, and anything else is EIO.

Does not: raise or log; the handlers do.
"""

import errno
from typing import Final

from vaultairefs.model import errors

OK: Final = "OK"
"""The outcome of an operation that did not fail."""


IO_ERROR: Final = errno.EIO
"""What a program is told of failures that it did not cause."""

_ERRNOS: Final[dict[type[errors.VaultaireError], int]] = {
    errors.NotFound: errno.ENOENT,
    errors.AlreadyExists: errno.EEXIST,
    errors.NotAContainer: errno.ENOTDIR,
    errors.IsAContainer: errno.EISDIR,
    errors.ContainerNotEmpty: errno.ENOTEMPTY,
    errors.NameTooLong: errno.ENAMETOOLONG,
    errors.NotPermitted: errno.EPERM,
    errors.AccessDenied: errno.EACCES,
    errors.InvalidRequest: errno.EINVAL,
    errors.NotSupported: errno.EOPNOTSUPP,
    errors.TooManyLinks: errno.EMLINK,
    errors.TooLarge: errno.EFBIG,
    errors.OutOfSpace: errno.ENOSPC,
    errors.QuotaExceeded: errno.EDQUOT,
    errors.ReadOnly: errno.EROFS,
    errors.AttributeMissing: errno.ENODATA,
    errors.AttributeTooLarge: errno.E2BIG,
    errors.CrossesVolumes: errno.EXDEV,
    errors.BadHandle: errno.EBADF,
    errors.Busy: errno.EBUSY,
    errors.Stale: errno.ESTALE,
    errors.BadInput: errno.EINVAL,
    # What the engine or the disk could not do reaches a program as a failed read, write or fsync: EIO (fsync(2)).
    errors.Lost: errno.EIO,
    errors.Withheld: errno.EIO,
    errors.Conflict: errno.EIO,
    errors.Unavailable: errno.EIO,
    errors.TimedOut: errno.EIO,
    errors.Corrupt: errno.EIO,
    errors.DeviceFailed: errno.EIO,
}


def errno_of(error: BaseException | None) -> int:
    """The errno for ``error``: 0 for None, the nearest class of the table for ours, EIO for anything else."""
    if error is None:
        return 0
    for ancestor in type(error).__mro__:
        number = _ERRNOS.get(ancestor)
        if number is not None:
            return number
    return errno.EIO


def errno_name(error: BaseException | None) -> str:
    """The outcome word for logs and events: ``OK`` or a name such as ``ENOENT``."""
    return errno.errorcode[errno_of(error)] if error is not None else OK


def is_disconnected(error: OSError) -> bool:
    """Whether a path failed because the daemon behind its mount is dead ("Transport endpoint is not connected")."""
    return error.errno == errno.ENOTCONN


def is_busy(error: OSError) -> bool:
    """Whether an unmount failed because programs still use the mount (umount(2))."""
    return error.errno == errno.EBUSY


def is_not_mounted(error: OSError) -> bool:
    """Whether an unmount failed because nothing is mounted there (umount(2))."""
    return error.errno in (errno.EINVAL, errno.ENOENT)
