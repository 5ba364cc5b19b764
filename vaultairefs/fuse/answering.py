"""Answers to opens that pyfuse3 has no words for: sent in its place, under an unmodified pyfuse3.

pyfuse3 sends the answer to an open or a create by ``fuse_reply_open`` or ``fuse_reply_create`` of libfuse's public
interface.  Inside ``installed`` these calls come here first (``import_slots.py``): an answer that was left here for
the handle is sent as it is, all others go on to libfuse unchanged.  The layouts are those of linux/fuse.h.

Promise: where the calls are not exactly where they are expected, nothing is redirected.

Does not: know when an answer is wanted; ``files.py`` does.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyfuse3

from vaultairefs.fuse import import_slots
from vaultairefs.model.errors import NotSupported

DIRECT_IO: Final = 1 << 0
"""FOPEN_DIRECT_IO: reads and writes are not cached."""
KEEP_CACHE: Final = 1 << 1
"""FOPEN_KEEP_CACHE: cached pages of the last open are still right."""
NO_FLUSH: Final = 1 << 5
"""FOPEN_NOFLUSH: close(2) asks nothing (Linux 5.16; older ones do not know the bit and ask)."""
PASSTHROUGH: Final = 1 << 7
"""FOPEN_PASSTHROUGH: reads and writes go to the backing file."""

_OPEN_OUT: Final = struct.Struct("=QIi")
_ENTRY_OUT: Final = struct.Struct("=QQQQII" + "QQQQQQIIIIIIIIII")
"""``fuse_entry_out`` with its ``fuse_attr``."""

_HANDLE_AT: Final = 16
"""Where ``fh`` lies in libfuse's ``fuse_file_info``, on every 64-bit machine and in every libfuse 3."""

_NS: Final = 1_000_000_000
_REPLY_OPEN: Final = "fuse_reply_open"
_REPLY_CREATE: Final = "fuse_reply_create"


class Answering:
    """``_answers`` are bytes to be sent, by the handle that they open, until the redirected call comes for them.

    ``NotSupported`` where it is not clear which libfuse is used.
    """

    def __init__(self) -> None:
        self._answers: dict[int, bytes] = {}
        # PyDLL: these are called, and call back, with the interpreter's lock held.
        library = ctypes.PyDLL(_loaded_libfuse())
        self._send = library.fuse_reply_buf
        self._send.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        open_type = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        create_type = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._reply_open = open_type((_REPLY_OPEN, library))
        self._reply_create = create_type((_REPLY_CREATE, library))
        self._open_hook = open_type(self._on_open)
        self._create_hook = create_type(self._on_create)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside the block answers of pyfuse3 come here.  ``NotSupported`` where that cannot be had."""
        with import_slots.redirected(
            str(pyfuse3.__file__),
            {
                _REPLY_OPEN: (_address(self._reply_open), _address(self._open_hook)),
                _REPLY_CREATE: (_address(self._reply_create), _address(self._create_hook)),
            },
        ):
            yield

    def answer_open(self, handle: int, flags: int, backing: int = 0) -> None:
        """Let the answer to the open that ``handle`` was made for have these flags, and the number of a passed body."""
        self._answers[handle] = _OPEN_OUT.pack(handle, flags, backing)

    def answer_create(self, handle: int, entry: pyfuse3.EntryAttributes, flags: int, backing: int) -> None:
        """Likewise for a create, with the attributes of the new file."""
        self._answers[handle] = entry_out(entry) + _OPEN_OUT.pack(handle, flags, backing)

    def _on_open(self, request: int, info: int) -> int:
        answer = self._answers.pop(_handle_in(info), None) if self._answers else None
        if answer is None:
            return int(self._reply_open(request, info))
        return int(self._send(request, answer, len(answer)))

    def _on_create(self, request: int, entry: int, info: int) -> int:
        answer = self._answers.pop(_handle_in(info), None) if self._answers else None
        if answer is None:
            return int(self._reply_create(request, entry, info))
        return int(self._send(request, answer, len(answer)))


def entry_out(entry: pyfuse3.EntryAttributes) -> bytes:
    """``struct fuse_entry_out`` of an entry."""
    atime, mtime, ctime = entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns
    name_ttl, ttl = round(entry.entry_timeout * _NS), round(entry.attr_timeout * _NS)
    return _ENTRY_OUT.pack(
        entry.st_ino,
        entry.generation,
        name_ttl // _NS,
        ttl // _NS,
        name_ttl % _NS,
        ttl % _NS,
        entry.st_ino,
        entry.st_size,
        entry.st_blocks,
        (atime // _NS) & 0xFFFFFFFFFFFFFFFF,
        (mtime // _NS) & 0xFFFFFFFFFFFFFFFF,
        (ctime // _NS) & 0xFFFFFFFFFFFFFFFF,
        atime % _NS,
        mtime % _NS,
        ctime % _NS,
        entry.st_mode,
        entry.st_nlink,
        entry.st_uid,
        entry.st_gid,
        entry.st_rdev & 0xFFFFFFFF,
        entry.st_blksize,
        0,
    )


def _handle_in(info: int) -> int:
    return ctypes.c_uint64.from_address(info + _HANDLE_AT).value


def _address(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address


def _loaded_libfuse() -> str:
    """The libfuse that pyfuse3 has loaded, by path.  ``NotSupported`` where there is none, or several."""
    words = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines())
    found = {row[5] for row in words if len(row) == 6 and os.path.basename(row[5]).startswith("libfuse3.so")}
    if len(found) != 1:
        raise NotSupported("it is not clear which libfuse is used")
    return found.pop()


def why_unsuited() -> str:
    """Why this pyfuse3 and libfuse cannot be answered for; empty where they can."""
    try:
        with Answering().installed():
            return ""
    except NotSupported as error:
        return str(error.args[0])
