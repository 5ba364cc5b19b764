"""Calls to a worker: many at once, cancelled, deadlines, files, the caller's circumstances."""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog.testing
import trio

from tests.engine_contract.given import at, attributes, body, put
from tests.support.gates import Gate, begun
from tests.support.worker_program import LOCAL, opened
from vaultairefs.engine.interface import Upload
from vaultairefs.engine.worker import CALLS_MAX, WorkerEngine
from vaultairefs.engine.worker_verbs import APART_BYTES_MIN
from vaultairefs.model import context
from vaultairefs.model.errors import NotFound, Unavailable
from vaultairefs.model.values import ANY, EntryPath

GATED = "tests.support.worker_engines:GatedEngine"
ROOT = EntryPath(b"", b"")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[WorkerEngine]:
    async with opened(GATED, directory=str(tmp_path)) as gated:
        yield gated


async def test_as_many_calls_as_may_be_are_under_way_at_once_and_no_more(engine: WorkerEngine, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "stat")
    count = 3 * CALLS_MAX
    async with begun(*[lambda: engine.stat(ROOT)] * count) as (_, results):
        await gate.reached(CALLS_MAX)
        assert len(results) == 0
        gate.open()
    assert len(results) == count
    assert (await engine.usage()).entries == CALLS_MAX


async def test_a_cancelled_call_is_cancelled_in_the_worker(engine: WorkerEngine, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "create_container")
    async with begun(lambda: engine.create_container(b"c", attributes())) as (scope, results):
        await gate.reached(1)
        scope.cancel()
    assert scope.cancelled_caught
    assert not results
    await gate.reached(1, "cancelled")
    gate.open()
    with pytest.raises(NotFound):
        await engine.stat(at(b"c"))


async def test_a_cancelled_call_with_a_file_ends_only_when_nobody_over_there_uses_the_file_any_more(
    engine: WorkerEngine, tmp_path: Path
) -> None:
    """Else a body could be given to another file while a thread of the worker still writes into it."""
    version = await put(engine, b"a", b"content")
    gate = Gate(tmp_path, "thread")
    with body() as descriptor:
        async with begun(lambda: engine.read(at(b"a"), version, 0, 7, descriptor, 0)) as (scope, results):
            await gate.reached(1)
            scope.cancel()
            await engine.usage()  # the worker has heard of it by now
            assert not scope.cancelled_caught
            gate.open()
        assert scope.cancelled_caught or results == [7]


async def test_a_call_that_was_done_though_it_was_cancelled_returns_what_it_did(
    engine: WorkerEngine, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, "thread")
    async with begun(lambda: engine.abort_upload(Upload(ROOT, "id"))) as (scope, results):
        await gate.reached(1)
        scope.cancel()
        await engine.usage()  # the worker has heard of it by now
        gate.open()
    assert results == [None]


async def test_what_only_looks_is_left_at_once_when_cancelled(engine: WorkerEngine, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "stat")
    async with begun(lambda: engine.stat(ROOT)) as (scope, _):
        await gate.reached(1)
        scope.cancel()
    assert scope.cancelled_caught
    gate.open()
    assert (await engine.stat(ROOT)).name == b""


async def test_the_deadline_of_a_call_holds_in_the_worker(engine: WorkerEngine, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "delete_container")
    with trio.move_on_after(0.05) as scope:
        await engine.delete_container(b"c")
    assert scope.cancelled_caught
    await gate.reached(1, "cancelled")


async def test_a_deadline_that_was_moved_after_the_call_began_fails_it_and_does_not_leave_it_waiting(
    engine: WorkerEngine, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, "delete_container")

    waiting = trio.CancelScope(deadline=trio.current_time() + 1.5)

    async def fails() -> str:
        with waiting, pytest.raises(Unavailable, match="deadline"):
            await engine.delete_container(b"c")
        return "failed"

    async with begun(fails) as (_, results):
        await gate.reached(1)
        waiting.deadline = float("inf")
        await gate.reached(1, "cancelled")
    assert results == ["failed"]


async def test_the_circumstances_of_a_call_go_with_it_into_the_log(engine: WorkerEngine) -> None:
    with structlog.testing.capture_logs() as lines:
        token = context.enter(context.OperationContext(operation_id=77, operation="open", tenant="blue", pid=5))
        with pytest.raises(NotFound):
            await engine.stat(at(b"log"))
        context.leave(token)
        with trio.fail_after(60):
            while not lines:
                await trio.sleep(0.005)
    (line,) = lines
    assert line["event"] == "it_says"
    assert line["log_level"] == "warning"
    assert (line["operation_id"], line["tenant"], line["operation_now"]) == (77, "blue", "open")
    assert line["worker_pid"] == engine.status.pid


async def test_a_failure_that_nobody_expected_is_unavailable_and_in_the_log_with_its_trace(
    engine: WorkerEngine,
) -> None:
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(Unavailable, match="ZeroDivisionError: nobody expected this"):
            await engine.stat(at(b"bug"))
        with trio.fail_after(60):
            while not lines:
                await trio.sleep(0.005)
    assert lines[0]["event"] == "engine_failed_unexpectedly"
    assert "worker_engines.py" in lines[0]["exception"]
    assert (await engine.stat(ROOT)).name == b""


async def test_positions_of_files_are_told_wherever_the_shared_one_is(tmp_path: Path) -> None:
    async with opened(LOCAL, directory=str(tmp_path), page_entries=7) as engine:
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(b"0123456789" * 10)
            file.seek(3)
            upload = await engine.begin_upload(at(b"a"), 40, attributes(), token="")
            receipts = [
                await engine.put_chunk(upload, 0, 0, file.fileno(), 15),
                await engine.put_chunk(upload, 1, 15, file.fileno(), 25),
            ]
            await engine.commit_upload(upload, receipts, attributes(), expected=ANY)
            assert (tmp_path / "a").read_bytes() == b"0123456789" * 4
            file.seek(90)
            version = await put(engine, b"b", b"abcdefgh")
            assert await engine.read(at(b"b"), version, 2, 4, file.fileno(), 50) == 4
            assert os.pread(file.fileno(), 100, 0) == b"0123456789" * 5 + b"cdef" + b"456789" + b"0123456789" * 4


async def test_a_thousand_calls_leave_no_file_open_on_either_side(engine: WorkerEngine) -> None:
    small = await put(engine, b"small", b"content")
    await put(engine, b"large", bytes(APART_BYTES_MIN))
    here, there = len(os.listdir("/proc/self/fd")), (await engine.usage()).capacity_bytes
    with body() as descriptor:
        for _ in range(250):
            await put(engine, b"large", bytes(APART_BYTES_MIN), expected=ANY)
            assert await engine.read(at(b"small"), small, 0, 7, descriptor, 0) == 7
            with pytest.raises(NotFound):
                await engine.read(at(b"missing"), small, 0, 7, descriptor, 0)
            with trio.move_on_after(0):
                await engine.read(at(b"small"), small, 0, 7, descriptor, 0)
    assert len(os.listdir("/proc/self/fd")) == here
    assert (await engine.usage()).capacity_bytes == there
