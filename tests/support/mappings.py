"""A shared mapping of which no descriptor is left: Python's own ``mmap`` keeps a duplicate of it open."""

import ctypes
import mmap
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value


class Mapping:
    """``length`` bytes of the file at ``path``, to be read and stored into until ``close``."""

    def __init__(self, path: Path, length: int) -> None:
        self._length = length
        descriptor = os.open(path, os.O_RDWR)
        try:
            rights = mmap.PROT_READ | mmap.PROT_WRITE
            address = _libc.mmap(None, length, rights, mmap.MAP_SHARED, descriptor, 0)
        finally:
            os.close(descriptor)
        assert address != _FAILED, os.strerror(ctypes.get_errno())
        self._address: int = address

    def store(self, offset: int, data: bytes) -> None:
        ctypes.memmove(self._address + offset, data, len(data))

    def load(self, offset: int, length: int) -> bytes:
        return ctypes.string_at(self._address + offset, length)

    def close(self) -> None:
        assert _libc.munmap(self._address, self._length) == 0
