"""Ask the kernel who has a file open, by a lease that is taken and given back at once (fcntl(2), "Leases").

A read lease is granted exactly when no process, ours or any other, has the file open for writing or mapped from such a
descriptor; a write lease when nobody but the asker has it open at all.  Nothing else tells that of programs that were
handed a file through FUSE passthrough: they keep it whatever becomes of their mount and its daemon.

Promise: a question changes nothing, and a program that opens the file in the middle of it waits for microseconds.

Does not: keep anybody from opening the file afterwards.
"""

import fcntl
import os
import signal

from vaultairefs.disk.os_errors import is_unsupported, translated


def open_to_ask(path: str, *, make: bool = False) -> int:
    """The file, open for reading only, as both questions need it; with ``make`` an empty one where there is none.

    ``NotFound``, ``DeviceFailed``.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with translated("open"):
        descriptor = os.open(path, flags | os.O_CREAT if make else flags, 0o600)
        # Whoever opens the file between grant and return makes the kernel send us a signal, unless told otherwise
        # SIGIO, of which a process dies; this one is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    return descriptor


def is_unwritten(descriptor: int) -> bool:
    """Whether nobody can write the file now.  Our own writable descriptors of it count.  ``DeviceFailed``."""
    return _would_be_granted(descriptor, fcntl.F_RDLCK)


def is_unused(descriptor: int) -> bool:
    """Whether nobody else has the file open or mapped.  Our own other descriptors of it count.  ``DeviceFailed``."""
    return _would_be_granted(descriptor, fcntl.F_WRLCK)


def are_supported(descriptor: int) -> bool:
    """Whether the file's filesystem has leases at all; where it has none, both questions are answered with yes."""
    return _asked(descriptor, fcntl.F_RDLCK) is not None


def _would_be_granted(descriptor: int, kind: int) -> bool:
    return _asked(descriptor, kind) is not False


def _asked(descriptor: int, kind: int) -> bool | None:
    """Whether the lease was granted, and given back; None where the filesystem knows none."""
    with translated("lease"):
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, kind)
        except BlockingIOError:
            return False
        except OSError as error:
            if is_unsupported(error):
                return None
            raise
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True
