"""A state disk that others fill: what makes room goes on, what takes room is refused before it is acknowledged."""

from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.ledgers import Lab
from tests.support.small_disk import fill, small_disk
from vaultairefs.disk.reserve import Reserve
from vaultairefs.model import changes
from vaultairefs.model.errors import OutOfSpace
from vaultairefs.model.values import ROOT

MIB = 1 << 20


def test_the_reserve_is_held_only_where_there_is_room_for_two(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3 * MIB) as disk:
        reserve = Reserve(disk / "reserve", MIB)
        assert not reserve.release()
        assert reserve.hold() and reserve.hold()
        assert (disk / "reserve").stat().st_blocks * 512 == MIB
        filler = fill(disk)
        assert reserve.release() and not reserve.release()
        (disk / "last").write_bytes(bytes(MIB // 2))
        assert not reserve.hold() and not (disk / "reserve").exists()
        filler.unlink()
        assert reserve.hold()


def test_on_a_full_disk_removing_and_draining_are_still_journalled(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 48 * MIB) as disk:
        lab = Lab(disk / "state")
        inos = [lab.file(b"%d" % number) for number in range(40)]
        assert lab.ledger._journal.reserve.hold()
        filler = fill(disk)
        for size in (1 << 16, 16):
            with pytest.raises(OutOfSpace):  # when the rest of the segment is used up
                while True:
                    lab.commit(changes.XattrSet(inos[0], b"user.x", bytes(size), 1))
        sequence = lab.ledger._sequence
        for number, ino in enumerate(inos[:20]):
            name = b"%d" % number
            lab.commit(changes.StepBegun(ino, ROOT, name, "put", token="t"))
            lab.flush(ino)
        for number in range(20, 40):
            lab.remove(b"%d" % number)
        lab.sync()
        assert lab.ledger._sequence >= sequence + 60
        assert lab.ledger.refusal is None
        assert not lab.ledger._journal.reserve.is_held
        live = lab.ledger.fingerprint()
        lab.abandon()
        again = Lab(disk / "state")
        assert again.ledger.fingerprint() == live
        filler.unlink()
        trio.run(partial(_run_for_a_moment, again))
        assert again.ledger._journal.reserve.is_held
        again.abandon()


async def _run_for_a_moment(lab: Lab) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lab.ledger.run)
        while not lab.ledger._journal.reserve.is_held:
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


def test_the_next_life_recovers_with_the_room_that_the_last_one_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 48 * MIB) as disk:
        lab = Lab(disk / "state")
        lab.write_whole(b"a", b"bytes")
        opened = lab.file(b"open", opened=True)
        lab.write(opened, 0, b"written")
        assert lab.ledger._journal.reserve.hold()
        lab.abandon()
        fill(disk)
        again = Lab(disk / "state")  # its first record needs a segment of its own
        assert again.content(again.child(b"open").ino) == b"written"
        with pytest.raises(OutOfSpace):
            while True:
                again.commit(changes.XattrSet(again.child(b"a").ino, b"user.x", bytes(1 << 16), 1))
        again.abandon()
