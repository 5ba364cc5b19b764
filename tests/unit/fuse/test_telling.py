"""What the kernel is told of changes that no program asked for: what it holds, once, and when that is safe."""

import os

import trio
import trio.testing

from vaultairefs.fuse.telling import NOTICES_MAX, Teller, attributes_notice, entry_notice
from vaultairefs.model.values import ROOT, Ino

HELD = Ino(7)
UNKNOWN = Ino(8)


def teller(*, idle: bool = True) -> Teller:
    return Teller(lambda ino: ino == HELD, lambda: idle)


def test_a_notice_is_laid_out_as_linux_fuse_h_says() -> None:
    assert entry_notice(HELD, b"ab").hex() == (
        "23000000" "03000000" "0000000000000000" "0700000000000000" "02000000" "01000000" "616200"
    )  # fmt: skip
    assert attributes_notice(HELD).hex() == (
        "28000000" "02000000" "0000000000000000" "0700000000000000" "ffffffffffffffff" "0000000000000000"
    )  # fmt: skip


def test_only_what_the_kernel_may_hold_is_told() -> None:
    told = teller()
    told.entry_changed(UNKNOWN, b"a", was_free=False)
    told.entry_changed(HELD, b"new", was_free=True)
    told.attributes_changed(UNKNOWN)
    assert told._take() == []
    told.told_free(HELD)
    told.entry_changed(HELD, b"new", was_free=True)
    told.entry_changed(ROOT, b"a", was_free=False)
    told.attributes_changed(HELD)
    assert told._take() == [(HELD, b"new"), (ROOT, b"a"), HELD]


def test_a_container_that_the_kernel_forgot_is_forgotten() -> None:
    held = {HELD}
    told = Teller(held.__contains__, lambda: True)
    told.told_free(HELD)
    told.forgotten([HELD])
    assert told._with_free_names == {HELD}, "it was looked up more often than it was forgotten"
    held.clear()
    told.forgotten([HELD])
    assert told._with_free_names == set()


def test_notices_are_bounded() -> None:
    told = teller()
    for number in range(NOTICES_MAX + 10):
        told.entry_changed(HELD, b"%d" % number, was_free=False)
    assert len(told._notices) == NOTICES_MAX


async def test_nothing_is_told_while_a_call_about_names_is_under_way(autojump_clock: object) -> None:
    idle = False
    told = Teller(lambda ino: True, lambda: idle)
    there, here = os.pipe2(os.O_NONBLOCK)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.run, here)
        told.entry_changed(HELD, b"a", was_free=False)
        await trio.sleep(10)
        assert told._notices, "the kernel would hold our thread until the call is answered"
        idle = True
        await trio.lowlevel.wait_readable(there)
        assert os.read(there, 1000) == entry_notice(HELD, b"a")
        nursery.cancel_scope.cancel()
    os.close(there)
    os.close(here)
