"""Where a loaded extension module keeps the addresses of the library functions that it calls, and how to change one.

An ELF file names, in its dynamic section, the *slots* that the loader fills with addresses of other libraries'
functions (System V ABI, "Relocation"; ``R_*_JUMP_SLOT`` and ``R_*_GLOB_DAT``).  Changing a slot redirects the calls of
that one module and of nobody else.

Promise: a slot is changed only if it holds what it is expected to hold, and ``redirected`` puts the old value back;
anything that is not as expected is ``NotSupported`` with nothing changed.

Does not: know what the functions do.
"""

import ctypes
import mmap
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from vaultairefs.model.errors import NotSupported

_HEADER: Final = struct.Struct("<4sBBB9xHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_ENTRY: Final = struct.Struct("<QQ")
_RELOCATION: Final = struct.Struct("<QQq")
_SYMBOL: Final = struct.Struct("<IBBHQQ")

_LOAD, _DYNAMIC = 1, 2
_PLT_SIZE, _STRINGS, _SYMBOLS, _RELOCATIONS, _RELOCATIONS_SIZE, _PLT = 2, 5, 6, 7, 8, 23
_SLOT_TYPES: Final = {62: (7, 6), 183: (1026, 1025)}
"""JUMP_SLOT and GLOB_DAT by machine: x86-64 and aarch64."""

_PROT_READ, _PROT_WRITE = 1, 2


class _Image(NamedTuple):
    """A file's bytes, and where its loaded parts lie: (address, offset in the file, length)."""

    data: bytes
    segments: list[tuple[int, int, int]]

    def offset(self, address: int) -> int:
        for start, offset, length in self.segments:
            if start <= address < start + length:
                return offset + address - start
        raise NotSupported("the module's dynamic section points outside of it")


def slots_in(data: bytes, names: frozenset[str]) -> dict[str, int]:
    """The slots of these functions in an ELF file, as addresses from where the file is loaded.

    ``NotSupported`` for another format or machine, and where one of them has no slot or several.
    """
    try:
        found = _slots(data, names)
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
        raise NotSupported(f"the module cannot be read: {error!r}") from error
    if missing := sorted(names - found.keys()):
        raise NotSupported(f"the module has no slot for {', '.join(missing)}")
    return found


def _slots(data: bytes, names: frozenset[str]) -> dict[str, int]:
    magic, width, order, _, _, machine, _, _, headers, _, _, _, size, number, *_ = _HEADER.unpack_from(data)
    if magic != b"\x7fELF" or (width, order) != (2, 1):
        raise NotSupported("the module is no 64-bit little-endian ELF file")
    segments = [_SEGMENT.unpack_from(data, headers + size * index) for index in range(number)]
    image = _Image(data, [(row[3], row[2], row[5]) for row in segments if row[0] == _LOAD])
    (dynamic,) = [row for row in segments if row[0] == _DYNAMIC]
    table = dict(_ENTRY.iter_unpack(data[dynamic[2] : dynamic[2] + dynamic[5]]))
    found: dict[str, int] = {}
    for start, length in (
        (table.get(_PLT), table.get(_PLT_SIZE, 0)),
        (table.get(_RELOCATIONS), table.get(_RELOCATIONS_SIZE, 0)),
    ):
        if start is None:
            continue
        at = image.offset(start)
        for address, info, _ in _RELOCATION.iter_unpack(data[at : at + length]):
            if info & 0xFFFFFFFF not in _SLOT_TYPES[machine]:
                continue
            name = _name(image, table, info >> 32)
            if name in names and found.setdefault(name, address) != address:
                raise NotSupported(f"the module has two slots for {name}")
    return found


def _name(image: _Image, table: Mapping[int, int], number: int) -> str:
    symbol = _SYMBOL.unpack_from(image.data, image.offset(table[_SYMBOLS] + number * _SYMBOL.size))
    begin = image.offset(table[_STRINGS] + symbol[0])
    return image.data[begin : image.data.index(b"\0", begin)].decode()


def load_address(path: str, maps: str) -> int:
    """Where the file is loaded, from the text of /proc/self/maps.  ``NotSupported`` where it is not."""
    for line in maps.splitlines():
        words = line.split(maxsplit=5)
        if len(words) == 6 and words[5] == path and int(words[2], 16) == 0:
            return int(words[0].partition("-")[0], 16)
    raise NotSupported(f"{path} is not loaded")


@contextmanager
def redirected(path: str, changes: Mapping[str, tuple[int, int]]) -> Iterator[None]:
    """Inside the block the loaded module at ``path`` calls other functions.

    ``changes`` are addresses by the function's name: the one that its slot must hold, and the one to put there.
    """
    file = str(Path(path).resolve())
    base = load_address(file, Path("/proc/self/maps").read_text())
    slots = {name: base + at for name, at in slots_in(Path(file).read_bytes(), frozenset(changes)).items()}
    for name, (expected, _) in changes.items():
        if ctypes.c_uint64.from_address(slots[name]).value != expected:
            raise NotSupported(f"the module's slot for {name} holds something unexpected")
    for name, (_, ours) in changes.items():
        _put(slots[name], ours)
    try:
        yield
    finally:
        for name, (expected, _) in changes.items():
            _put(slots[name], expected)


def _put(slot: int, value: int) -> None:
    """Set a slot; a page that the loader made read-only (RELRO) is again afterwards."""
    page = slot - slot % mmap.PAGESIZE
    is_writable = _is_writable(slot, Path("/proc/self/maps").read_text())
    if not is_writable:
        _protect(page, _PROT_READ | _PROT_WRITE)
    ctypes.c_uint64.from_address(slot).value = value
    if not is_writable:
        _protect(page, _PROT_READ)


def _is_writable(address: int, maps: str) -> bool:
    for line in maps.splitlines():
        span, rights, *_ = line.split(maxsplit=2)
        low, _, high = span.partition("-")
        if int(low, 16) <= address < int(high, 16):
            return "w" in rights
    raise NotSupported("the module's slot is not in memory")


def _protect(page: int, rights: int) -> None:
    if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), rights) != 0:
        raise NotSupported("the module's slots cannot be made writable")
