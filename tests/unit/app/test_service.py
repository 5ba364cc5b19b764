"""What a service manager hears."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from vaultairefs.app import service
from vaultairefs.app.service import OwedSummary


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The manager's end of NOTIFY_SOCKET."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.setblocking(False)
        yield link


def heard(manager: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_without_a_service_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not service.notify("READY=1")


def test_a_service_manager_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not service.notify("READY=1")


def test_an_abstract_socket_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind("\0vaultairefs-test-notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "@vaultairefs-test-notify")
        assert service.notify("READY=1", "STATUS=x")
        assert link.recv(100) == b"READY=1\nSTATUS=x"


def test_mounted_is_ready_and_the_end_is_stopping(manager: socket.socket) -> None:
    service.tell("starting", stopping=False)
    service.tell("mounted", stopping=False)
    service.tell("draining", stopping=True)
    ready, stopping = heard(manager)
    assert ready.startswith("READY=1\nMAINPID=")
    assert stopping.startswith("STOPPING=1\n")
    assert "EXTEND_TIMEOUT_USEC=30000000" in stopping


async def test_a_stop_is_extended_while_draining_gets_on_and_no_longer(
    manager: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    left = 100

    def owed() -> OwedSummary:
        return OwedSummary(left, left * 10)

    getting_on, stalled = [], []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.report_draining, owed)
        for _ in range(20):
            await trio.sleep(service._STALLED_SECONDS_MAX / 10)
            left -= 1
            getting_on += heard(manager)
        for _ in range(20):
            await trio.sleep(service._STALLED_SECONDS_MAX / 10)
            stalled = heard(manager)
        nursery.cancel_scope.cancel()
    assert len(getting_on) > 100
    assert all("EXTEND_TIMEOUT_USEC" in message for message in getting_on)
    assert "draining: 81 changes, 810 bytes to go" in getting_on[-1]
    assert stalled
    assert not any("EXTEND_TIMEOUT_USEC" in message for message in stalled)


async def test_a_manager_that_does_not_read_holds_nobody_up(manager: socket.socket) -> None:
    assert not all(service.notify("STATUS=x") for _ in range(50))


async def test_the_watchdog_is_fed_only_while_the_mount_answers(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    answers = True

    async def probe(function: object, *arguments: object, **_: object) -> None:
        if not answers:
            await trio.sleep_forever()

    monkeypatch.setattr(trio.to_thread, "run_sync", probe)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.keep_watchdog_quiet, "/mnt/x")
        await trio.sleep(60)
        assert set(heard(manager)) == {"WATCHDOG=1"}
        answers = False
        await trio.sleep(30)
        heard(manager)
        await trio.sleep(300)
        assert heard(manager) == []
        nursery.cancel_scope.cancel()
