"""Put a mount where a dead one is, so that programs meet either of the two and never the directory below.

A program that tries again and again while a volume heals would else create its files in that directory, where they
are hidden as soon as the volume is back.  Linux 6.5 can mount beneath (move_mount(2), MOVE_MOUNT_BENEATH): the new
mount is made aside, copied, put beneath the dead one, and the dead one is taken off.

Promise: False leaves everything as it was, for a kernel or a mount tree that cannot do this; the caller then takes the
dead mount away first, with a gap of a few milliseconds.
"""

import ctypes
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_OPEN_TREE: Final = 428
_MOVE_MOUNT: Final = 429
"""Numbers of system calls that all architectures of Linux share (asm-generic/unistd.h)."""

_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4
_MOVE_MOUNT_BENEATH: Final = 0x200
_AT_FDCWD: Final = -100

_libc: Final = ctypes.CDLL(None, use_errno=True)


def put_beneath(path: str, make: Callable[[str], int], unmount: Callable[[str], None]) -> int | None:
    """``make`` a mount at a directory that it is given, and show it instead of the dead mount at ``path``.

    ``make`` returns the descriptor of its connection, and so does this; ``unmount`` takes away lazily what is mounted
    at a path.  None when the kernel refuses: then nothing is left of it.
    """
    with _directory() as aside:
        descriptor = make(aside)
        tree = _libc.syscall(_OPEN_TREE, _AT_FDCWD, _text(aside), _OPEN_TREE_CLONE | os.O_CLOEXEC)
        unmount(aside)
        if tree >= 0:
            flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_BENEATH
            moved = _libc.syscall(_MOVE_MOUNT, tree, _text(""), _AT_FDCWD, _text(path), flags)
            os.close(tree)
            if moved == 0:
                unmount(path)
                return descriptor
        os.close(descriptor)
        return None


@contextmanager
def _directory() -> Iterator[str]:
    aside = tempfile.mkdtemp(prefix="vaultairefs-")
    try:
        yield aside
    finally:
        os.rmdir(aside)


def _text(path: str) -> ctypes.c_char_p:
    return ctypes.c_char_p(os.fsencode(path))
