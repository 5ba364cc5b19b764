"""System and library calls that Python does not offer, and what tests often expect of a failing one."""

import contextlib
import ctypes
import os
from collections.abc import Iterator

import pytest

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4
AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.opendir.restype = ctypes.c_void_p
_libc.readdir.restype = ctypes.c_void_p
_libc.telldir.restype = ctypes.c_long


@contextlib.contextmanager
def fails_with(number: int) -> Iterator[None]:
    """The body raises ``OSError`` with exactly this errno."""
    with pytest.raises(OSError) as caught:
        yield
    got = caught.value.errno
    assert got == number, f"{os.strerror(got or 0)} instead of {os.strerror(number)}"


def renameat2(old: str | bytes, new: str | bytes, flags: int) -> None:
    """renameat2(2)."""
    if _libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        raise _failure()


class DirectoryStream:
    """opendir(3) with telldir and seekdir, which ``os.scandir`` hides."""

    def __init__(self, path: str | bytes) -> None:
        self._stream = ctypes.c_void_p(_libc.opendir(os.fsencode(path)))
        if not self._stream.value:
            raise _failure()

    def read(self) -> bytes | None:
        """The next name, None at the end."""
        entry = _libc.readdir(self._stream)
        if not entry:
            return None
        name_at = 19  # struct dirent on 64-bit Linux: d_ino 8, d_off 8, d_reclen 2, d_type 1 (readdir(3))
        return ctypes.string_at(entry + name_at)

    def rest(self) -> list[bytes]:
        """All names from here on."""
        names = []
        while (name := self.read()) is not None:
            names.append(name)
        return names

    def tell(self) -> int:
        return int(_libc.telldir(self._stream))

    def seek(self, position: int) -> None:
        _libc.seekdir(self._stream, ctypes.c_long(position))

    def rewind(self) -> None:
        _libc.rewinddir(self._stream)

    def close(self) -> None:
        _libc.closedir(self._stream)

    def __enter__(self) -> "DirectoryStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _failure() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
