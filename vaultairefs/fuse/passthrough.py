"""FUSE passthrough under an unmodified pyfuse3: files whose bytes programs read and write without us.

The kernel is given a body's descriptor (``FUSE_DEV_IOC_BACKING_OPEN``) and answers with a number; an open or create
that is answered with this number and ``FOPEN_PASSTHROUGH`` lets the kernel use the body itself from then on
(linux/fuse.h, Linux 6.9).  pyfuse3 has no field for it, so its two calls that send such answers, ``fuse_reply_open``
and ``fuse_reply_create`` of libfuse's public interface, come here first (``import_slots.py``).  Answers that are not
ours go on to libfuse unchanged.  ``docs/passthrough.md`` explains all of it.

Promise: on any doubt at the start it stays off and says why; an open that cannot be passed takes the ordinary path.

Does not: decide which opens are passed; ``volume/passing.py`` does.
"""

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyfuse3
import structlog

from vaultairefs.disk import leases
from vaultairefs.disk.os_errors import translated
from vaultairefs.fuse import import_slots
from vaultairefs.fuse.greeting import PASSTHROUGH
from vaultairefs.model.errors import NotPermitted, NotSupported, VaultaireError

_BACKING_OPEN: Final = 0x4010E501
_BACKING_CLOSE: Final = 0x4004E502
_BACKING_MAP: Final = struct.Struct("=iIQ")
_BACKING_ID: Final = struct.Struct("=I")

_FOPEN_DIRECT_IO: Final = 1 << 0
_FOPEN_PASSTHROUGH: Final = 1 << 7
_OPEN_OUT: Final = struct.Struct("=QIi")
_ENTRY_OUT: Final = struct.Struct("=QQQQII" + "QQQQQQIIIIIIIIII")
"""``fuse_entry_out`` with its ``fuse_attr``."""

_HANDLE_AT: Final = 16
"""Where ``fh`` lies in libfuse's ``fuse_file_info``, on every 64-bit machine and in every libfuse 3."""

_NS: Final = 1_000_000_000
_REPLY_OPEN: Final = "fuse_reply_open"
_REPLY_CREATE: Final = "fuse_reply_create"

_log: Final = structlog.get_logger(__name__)


class Passthrough:
    """The kernel's side of passed files, on the session's ``descriptor``.

    ``_answers`` are bytes to be sent, by the handle that they open, until the redirected call comes for them.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
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

    def register(self, fd: int) -> int:
        """Give the kernel a body's descriptor; the number that stands for it.

        ``NotPermitted`` without CAP_SYS_ADMIN, ``VaultaireError`` of another kind where the body's filesystem is
        itself stacked, or for whatever else the kernel finds.
        """
        with translated("passthrough"):
            return int(fcntl.ioctl(self._descriptor, _BACKING_OPEN, bytearray(_BACKING_MAP.pack(fd, 0, 0))))

    def unregister(self, backing: int) -> None:
        """Take it back; open files keep what they have."""
        try:
            fcntl.ioctl(self._descriptor, _BACKING_CLOSE, bytearray(_BACKING_ID.pack(backing)))
        except OSError as error:
            # A connection that is gone has let go of everything by itself.
            _log.debug("a backing file could not be closed", error=str(error))

    def answer_open(self, handle: int, backing: int, *, direct: bool) -> None:
        """Let the answer to the open that ``handle`` was made for pass the file; ``direct``: only its mappings."""
        self._answers[handle] = _open_out(handle, backing, direct)

    def answer_create(self, handle: int, backing: int, entry: pyfuse3.EntryAttributes, *, direct: bool) -> None:
        """Likewise for a create, with the attributes of the new file."""
        self._answers[handle] = entry_out(entry) + _open_out(handle, backing, direct)

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


def _open_out(handle: int, backing: int, direct: bool) -> bytes:
    flags = _FOPEN_PASSTHROUGH | _FOPEN_DIRECT_IO if direct else _FOPEN_PASSTHROUGH
    return _OPEN_OUT.pack(handle, flags, backing)


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
    """Why this pyfuse3 and libfuse cannot pass files; empty where they can."""
    try:
        with Passthrough(-1).installed():
            return ""
    except NotSupported as error:
        return str(error.args[0])


def why_impossible(descriptor: int, granted: int, directory: Path) -> str:
    """Why bodies in ``directory`` cannot be passed over this session; empty where they can.

    ``granted``: the flags that the kernel got in its greeting.
    """
    if not granted & PASSTHROUGH:
        return "this kernel does not offer it (Linux 6.9)"
    probe = Passthrough(descriptor)
    try:
        with translated("open"):
            sample = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            if not leases.are_supported(sample):
                return "the state filesystem has no leases"
            probe.unregister(probe.register(sample))
        finally:
            os.close(sample)
    except NotPermitted:
        return "it needs CAP_SYS_ADMIN"
    except VaultaireError as error:
        return f"the state filesystem cannot be used for it: {error.args[0]}"
    return ""
