"""The socket between daemon and worker: frames are whole, in order, with the right files, however slow the other is."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from vaultairefs.engine.worker_wire import Call, Cancel, Gone, Keep, Question, Wire

_decoder = msgspec.msgpack.Decoder(Question)


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (one, other):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    yield Wire(one), Wire(other)
    one.close()
    other.close()


def call(number: int, size: int = 10) -> Call:
    return Call(number, "put", bytes([number % 256]) * size)


async def test_frames_of_every_size_arrive_whole_and_in_order_though_nobody_reads_at_first(
    ends: tuple[Wire, Wire],
) -> None:
    ours, theirs = ends
    sizes = [0, 1, 100_000, 3, 1_000_000, 5, 4096] * 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.run)
        for number, size in enumerate(sizes):
            ours.send(call(number, size))
        for number, size in enumerate(sizes):
            message, descriptors = await theirs.receive()
            assert _decoder.decode(message) == call(number, size)
            assert descriptors == []
        ours.close()


async def test_each_frame_brings_its_own_files_though_the_sender_closed_them(
    ends: tuple[Wire, Wire], tmp_path: Path
) -> None:
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))
    counts = [0, 1, 2, 0, 5, 1] * 20
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.run)
        for number, count in enumerate(counts):
            with ExitStack() as stack:
                files = [
                    stack.enter_context(open(tmp_path / f"{number}-{place}", "w+b", buffering=0))
                    for place in range(count)
                ]
                for place, file in enumerate(files):
                    file.write(f"{number} {place}".encode())
                ours.send(call(number, 3000), [file.fileno() for file in files])
        for number, count in enumerate(counts):
            message, descriptors = await theirs.receive()
            assert _decoder.decode(message) == call(number, 3000)
            assert len(descriptors) == count
            for place, descriptor in enumerate(descriptors):
                assert os.pread(descriptor, 100, 0) == f"{number} {place}".encode()
                assert not os.get_inheritable(descriptor)
                os.close(descriptor)
        assert len(os.listdir("/proc/self/fd")) == before
        ours.close()


async def test_what_was_not_sent_is_let_go_at_the_end(ends: tuple[Wire, Wire], tmp_path: Path) -> None:
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))
    with open(tmp_path / "file", "wb") as file:
        for number in range(50):
            ours.send(call(number, 3000), [file.fileno()])
    assert len(os.listdir("/proc/self/fd")) > before
    await theirs.receive()
    ours.close()
    theirs.close()
    with trio.CancelScope() as scope:
        scope.cancel()
        await ours.run()
    received_and_not_closed = 1
    assert len(os.listdir("/proc/self/fd")) <= before - 2 + received_and_not_closed


async def test_the_end_of_the_other_side_is_told_after_all_that_it_sent(ends: tuple[Wire, Wire]) -> None:
    ours, theirs = ends
    ours.send(Cancel(1))
    ours.send(Keep())
    ours.close()
    assert _decoder.decode((await theirs.receive())[0]) == Cancel(1)
    assert _decoder.decode((await theirs.receive())[0]) == Keep()
    with pytest.raises(Gone):
        await theirs.receive()
    theirs.send(Cancel(2))  # to nobody: no error, and nothing kept
    with pytest.raises(Gone):
        await ours.receive()


async def test_closing_ends_who_receives_and_who_sends(ends: tuple[Wire, Wire]) -> None:
    ours, _ = ends
    ended = []

    async def receive() -> None:
        with pytest.raises(Gone):
            await ours.receive()
        ended.append("receive")

    async def run() -> None:
        await ours.run()
        ended.append("run")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(run)
        ours.send(call(1, 1_000_000))
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    assert sorted(ended) == ["receive", "run"]
