"""The slots through which pyfuse3 calls libfuse: found in the file, changed only if they are what they should be."""

import ctypes
from pathlib import Path

import pyfuse3
import pytest

from vaultairefs.fuse import import_slots
from vaultairefs.model.errors import NotSupported

MODULE = str(pyfuse3.__file__)
NAMES = frozenset({"fuse_reply_open", "fuse_reply_create"})


def address_of(name: str) -> int:
    address = ctypes.cast(ctypes.CDLL("libfuse3.so.3")[name], ctypes.c_void_p).value
    assert address is not None
    return address


def held_by(name: str) -> int:
    base = import_slots.load_address(str(Path(MODULE).resolve()), Path("/proc/self/maps").read_text())
    at = import_slots.slots_in(Path(MODULE).read_bytes(), frozenset({name}))[name]
    return ctypes.c_uint64.from_address(base + at).value


def test_the_slots_hold_the_addresses_of_libfuse() -> None:
    assert {name: held_by(name) for name in NAMES} == {name: address_of(name) for name in NAMES}


def test_a_slot_is_changed_inside_the_block_only() -> None:
    before = address_of("fuse_reply_open")
    with import_slots.redirected(MODULE, {"fuse_reply_open": (before, 12345)}):
        assert held_by("fuse_reply_open") == 12345
        assert held_by("fuse_reply_create") == address_of("fuse_reply_create")
    assert held_by("fuse_reply_open") == before


def test_a_slot_that_holds_something_else_is_left_alone_and_so_are_the_others() -> None:
    before = address_of("fuse_reply_open")
    changes = {"fuse_reply_open": (before, 1), "fuse_reply_create": (before, 2)}
    with pytest.raises(NotSupported, match="unexpected"), import_slots.redirected(MODULE, changes):
        pass
    assert held_by("fuse_reply_open") == before


def test_a_function_that_the_module_does_not_call_has_no_slot() -> None:
    with pytest.raises(NotSupported, match="no_such_function"):
        import_slots.slots_in(Path(MODULE).read_bytes(), frozenset({"no_such_function"}))


@pytest.mark.parametrize("cut", [0, 10, 63, 64, 500, 9000])
def test_a_damaged_module_is_refused(cut: int) -> None:
    with pytest.raises(NotSupported):
        import_slots.slots_in(Path(MODULE).read_bytes()[:cut], NAMES)


def test_another_machines_module_is_refused() -> None:
    data = bytearray(Path(MODULE).read_bytes())
    data[18:20] = (2).to_bytes(2, "little")
    with pytest.raises(NotSupported):
        import_slots.slots_in(bytes(data), NAMES)
    data[4] = 1
    with pytest.raises(NotSupported, match="64-bit"):
        import_slots.slots_in(bytes(data), NAMES)


def test_a_file_that_is_not_loaded_has_no_address() -> None:
    with pytest.raises(NotSupported, match="not loaded"):
        import_slots.load_address("/no/such/module.so", Path("/proc/self/maps").read_text())
