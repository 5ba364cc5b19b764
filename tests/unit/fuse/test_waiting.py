"""The session's wait: no request is left lying, nobody sleeps through the end, other tasks get their turn."""

import socket
import time
from collections.abc import Iterator

import pyfuse3
import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

from vaultairefs.fuse.waiting import TURN_NS, RequestWait, installed


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    kernel, daemon = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with kernel, daemon:
        yield kernel, daemon


async def test_a_request_that_waits_is_found_without_a_scheduler_pass(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    kernel, daemon = connection
    kernel.send(b"request")
    wait = RequestWait(daemon.fileno())
    with assert_no_checkpoints():
        assert await wait()


async def test_other_tasks_get_their_turn_after_the_budget(connection: tuple[socket.socket, socket.socket]) -> None:
    kernel, daemon = connection
    kernel.send(b"request")
    wait = RequestWait(daemon.fileno(), budget=3)
    with assert_no_checkpoints():
        for _ in range(3):
            assert await wait()
    with assert_checkpoints():
        assert await wait()


async def test_other_tasks_get_their_turn_when_requests_take_long(
    connection: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, daemon = connection
    kernel.send(b"request")
    now = 0
    monkeypatch.setattr(time, "perf_counter_ns", lambda: now)
    wait = RequestWait(daemon.fileno())
    with assert_no_checkpoints():
        assert await wait()
        now += TURN_NS - 1
        assert await wait()
    now += 1
    with assert_checkpoints():
        assert await wait()
    with assert_no_checkpoints():
        assert await wait()


async def test_an_idle_wait_ends_with_the_next_request(connection: tuple[socket.socket, socket.socket]) -> None:
    kernel, daemon = connection
    wait = RequestWait(daemon.fileno())
    answers: list[bool] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_collect, wait, answers)
        await wait_all_tasks_blocked()
        assert not answers
        kernel.send(b"request")
    assert answers == [True]


async def test_when_one_task_is_kept_by_its_request_another_takes_over(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    kernel, daemon = connection
    wait = RequestWait(daemon.fileno())
    taken: list[bytes] = []

    async def worker() -> None:
        while await wait():
            taken.append(daemon.recv(100))
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(worker)
        for number in range(3):
            await wait_all_tasks_blocked()
            kernel.send(b"%d" % number)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert taken == [b"0", b"1", b"2"]


@pytest.mark.parametrize("end", ["hang up", "close", "notify"])
async def test_the_end_of_the_connection_ends_every_wait(
    connection: tuple[socket.socket, socket.socket], end: str
) -> None:
    kernel, daemon = connection
    wait = RequestWait(daemon.fileno())
    answers: list[bool] = []
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(_collect, wait, answers)
        await wait_all_tasks_blocked()
        if end == "hang up":
            kernel.close()
        elif end == "notify":
            trio.lowlevel.notify_closing(daemon)
        else:
            wait.close()
            trio.lowlevel.notify_closing(daemon)
    assert answers == [False] * 5
    with assert_no_checkpoints():
        assert not await wait()


async def test_a_spin_that_finds_nothing_gives_the_thread_back(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    """Credit is spent by failed spins, so an idle mount does not burn a core."""
    kernel, daemon = connection
    wait = RequestWait(daemon.fileno(), spin_ns=1000)
    wait._credit = 3
    answers: list[bool] = []
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(_collect, wait, answers)
            await wait_all_tasks_blocked()
        assert wait._credit == 0
        kernel.close()
    assert answers == [False] * 3


async def test_pyfuse3_waits_our_way_while_installed(connection: tuple[socket.socket, socket.socket]) -> None:
    original = pyfuse3._wait_fuse_readable  # type: ignore[attr-defined]
    with installed(connection[1].fileno()) as wait:
        assert pyfuse3._wait_fuse_readable is not original  # type: ignore[attr-defined]
    assert pyfuse3._wait_fuse_readable is original  # type: ignore[attr-defined]
    assert wait is not None
    assert not await wait()


async def test_a_pyfuse3_without_the_private_name_keeps_its_own_way(
    connection: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pyfuse3, "_wait_fuse_readable")
    with installed(connection[1].fileno()) as wait:
        assert wait is None
        assert not hasattr(pyfuse3, "_wait_fuse_readable")


async def _collect(wait: RequestWait, answers: list[bool]) -> None:
    answers.append(await wait())


async def test_the_task_that_came_to_rest_last_goes_on_first_so_that_few_buffers_are_filled(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    kernel, daemon = connection
    wait = RequestWait(daemon.fileno())
    served: list[int] = []

    async def serve(number: int) -> None:
        while await wait():
            daemon.recv(100)
            served.append(number)
            await trio.lowlevel.checkpoint()  # as a request that waits for a disk

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(serve, number)
            await wait_all_tasks_blocked()
        for _ in range(50):
            kernel.send(b"request")
            await wait_all_tasks_blocked()
        wait.close()
        kernel.close()
    assert len(served) == 50
    assert len(set(served)) <= 2


async def test_a_task_that_is_cancelled_at_rest_is_not_called_again(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    kernel, daemon = connection
    wait = RequestWait(daemon.fileno())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await wait()
        kernel.send(b"request")
