"""How a mount ends when something goes wrong on the way."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from vaultairefs.app.life import Life, Phase
from vaultairefs.app.verbs import verbs_of
from vaultairefs.config.settings import MountSettings
from vaultairefs.fuse import mounting
from vaultairefs.model.errors import BadInput, Busy, DeviceFailed, VaultaireError


@pytest.fixture
def life() -> Life:
    settings = SimpleNamespace(mountpoint=Path("/nowhere/to/be/found"), read_only=False)
    life = Life(cast(MountSettings, settings), lambda: None)
    life.phase = Phase.MOUNTED
    return life


class Unmounting:
    """Stands for ``mounting.unmount``: raises what is due."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: VaultaireError) -> None:
        self.errors = list(errors)
        self.calls: list[bool] = []
        monkeypatch.setattr(mounting, "unmount", self)

    def __call__(self, mountpoint: str, *, lazy: bool = False) -> None:
        self.calls.append(lazy)
        if self.errors:
            raise self.errors.pop(0)


def drained(life: Life) -> list[bool]:
    done: list[bool] = []

    async def drain() -> None:
        done.append(True)

    life.drain = drain  # type: ignore[method-assign]
    return done


@pytest.mark.parametrize("error", [Busy("in use"), BadInput("cannot unmount: fusermount3 failed")])
async def test_a_stop_goes_on_when_the_mount_does_not_go_away(
    life: Life, monkeypatch: pytest.MonkeyPatch, error: VaultaireError
) -> None:
    """P11: an error there must not end the daemon before everything is drained."""
    unmounting, done = Unmounting(monkeypatch, error), drained(life)
    await life.stop()
    assert unmounting.calls == [False, True]
    assert done and life._serving.cancel_called


async def test_not_even_a_lazy_unmount_that_fails_keeps_the_bytes_from_the_engine(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmounting, done = Unmounting(monkeypatch, BadInput("no"), BadInput("no")), drained(life)
    await life.stop()
    assert unmounting.calls == [False, True]
    assert done and life._serving.cancel_called


async def test_a_drain_that_is_impossible_ends(life: Life) -> None:
    async def drain() -> None:
        raise DeviceFailed("a sync failed")

    rooms: Any = SimpleNamespace(
        flusher=SimpleNamespace(drain=drain), owed=lambda: SimpleNamespace(artifacts=1, bytes=2)
    )
    life.rooms = rooms
    with trio.fail_after(5):
        await life.drain()


async def test_umount_goes_on_when_a_drain_is_impossible(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is told, and is the next mount's."""

    async def drain() -> None:
        raise DeviceFailed("a sync failed")

    async def send(message: object) -> None:
        await trio.lowlevel.checkpoint()

    unmounting = Unmounting(monkeypatch)
    rooms: Any = SimpleNamespace(
        flusher=SimpleNamespace(drain=drain, status=lambda: SimpleNamespace(flush_errors=["a: full"])),
        owed=lambda: SimpleNamespace(artifacts=1, bytes=2),
    )
    life.rooms = rooms
    life.drained.set()
    with trio.fail_after(5):
        told = await verbs_of(life)["unmount"]({}, send)
    assert unmounting.calls == [False]
    assert told == {"dirty_artifacts": 1, "dirty_bytes": 2, "reasons": ["a: full"]}
