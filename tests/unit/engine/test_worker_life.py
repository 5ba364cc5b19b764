"""A worker that dies costs a retry; one whose daemon dies goes with it."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.engine_contract.given import at, attributes, put
from tests.support.gates import Gate, begun
from tests.support.worker_program import opened
from vaultairefs.disk import engine_lock
from vaultairefs.engine import worker_life
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.worker import WorkerEngine, working
from vaultairefs.engine.worker_life import Opening
from vaultairefs.model.errors import BadInput, NotFound, Unavailable
from vaultairefs.model.values import EntryPath

ENGINES = "tests.support.worker_engines"
ROOT = EntryPath(b"", b"")
ROOT_OF_TESTS = Path(__file__).parents[3]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[WorkerEngine]:
    async with opened(f"{ENGINES}:GatedEngine", directory=str(tmp_path)) as gated:
        yield gated


def kill(engine: WorkerEngine) -> int:
    pid = engine.status.pid
    os.kill(pid, signal.SIGKILL)
    return pid


@contextmanager
def watched(pid: int) -> Iterator[select.poll]:
    """Becomes readable when the process has ended."""
    descriptor = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    yield poller
    os.close(descriptor)


async def test_a_call_that_changes_something_fails_as_unavailable_and_the_next_one_works(
    engine: WorkerEngine, tmp_path: Path
) -> None:
    gate = Gate(tmp_path, "put")

    async def fails() -> str:
        with pytest.raises(Unavailable) as caught:
            await put(engine, b"a")
        assert caught.value.operation == "put"
        return "failed"

    async with begun(fails) as (_, results):
        await gate.reached(1)
        pid = kill(engine)
    assert results == ["failed"]
    gate.open()
    version = await put(engine, b"a")
    assert (await engine.stat(at(b"a"))).version == version
    assert engine.status.restarts == 1
    assert engine.status.pid not in (0, pid)


async def test_calls_that_only_look_are_asked_again(engine: WorkerEngine, tmp_path: Path) -> None:
    gate = Gate(tmp_path, "stat")
    async with begun(*[lambda: engine.stat(ROOT)] * 20) as (_, results):
        await gate.reached(20)
        kill(engine)
        await gate.reached(40)
        gate.open()
    assert len(results) == 20
    assert engine.status.restarts == 1


async def test_nobody_is_told_of_a_workers_end_before_it_has_ended(engine: WorkerEngine, tmp_path: Path) -> None:
    """A thread that still writes into a body must not outlive the call that lent it."""
    gate = Gate(tmp_path, "create_container")
    gone = []
    with watched(engine.status.pid) as poller:

        async def fails() -> None:
            with pytest.raises(Unavailable):
                await engine.create_container(b"c", attributes())
            gone.append(bool(poller.poll(0)))

        async with begun(fails):
            await gate.reached(1)
            kill(engine)
    assert gone == [True]


async def test_what_the_engine_counts_goes_on_rising_over_its_workers(engine: WorkerEngine) -> None:
    for _ in range(3):
        await engine.stat(ROOT)
    assert engine.requests == {"stat": 3}
    kill(engine)
    for _ in range(2):
        await engine.stat(ROOT)
    assert engine.requests == {"stat": 5}


@pytest.mark.parametrize(("kind", "probes"), [("ProbedEngine", 2), ("RememberingEngine", 1)])
async def test_what_the_probe_found_holds_for_the_next_worker_too(tmp_path: Path, kind: str, probes: int) -> None:
    async with opened(f"{ENGINES}:{kind}", directory=str(tmp_path)) as engine:
        assert engine.capabilities == Capabilities(moves=True, links=True, copies_chunks=True)
        found = await engine.probe()
        assert engine.capabilities == found == Capabilities(moves=True, links=False, chunk_bytes=77)
        kill(engine)
        await engine.stat(ROOT)
        assert engine.capabilities == found
        assert engine.status.restarts == 1
    assert (tmp_path / "probe.waits").stat().st_size == probes


async def test_an_engine_that_cannot_be_opened_says_so_itself(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere: is no engine that is installed here"):
        async with opened("vaultairefs.engine.registry:open_engine", spec="nowhere:"):
            raise AssertionError("it was opened")


async def test_an_interpreter_that_does_not_come_up_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="ended with status 1 at its start; no such thing"):
        command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
        async with working(Opening("a:b", {}), command):
            raise AssertionError("it was opened")
    with pytest.raises(Unavailable, match="no process can be started"):
        async with working(Opening("a:b", {}), ["/nowhere/at/all"]):
            raise AssertionError("it was opened")


async def test_a_worker_that_comes_up_with_another_engine_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The namespace of a mount does not change under it, whatever became of the configuration."""
    monkeypatch.setattr(worker_life, "_WAIT_SECONDS_MAX", 1.0)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    factory = "vaultairefs.engine.registry:open_engine"
    async with opened(factory, spec=f"file://{tmp_path}/link") as engine:
        await put(engine, b"a")
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(tmp_path / "two")
        kill(engine)
        assert "two now, not file://" in await complaint(engine, "now, not")
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to(tmp_path / "one")
        await complaint(engine, "")
        assert (await engine.stat(at(b"a"))).size == 7
        with pytest.raises(NotFound):
            await engine.stat(at(b"b"))


async def complaint(engine: WorkerEngine, words: str) -> str:
    """The first failure with these words, or the first success where there are none."""
    with trio.fail_after(60):
        while True:
            try:
                await engine.stat(at(b"a"))
                if not words:
                    return ""
            except Unavailable as error:
                if words and words in str(error):
                    return str(error)


def test_the_intervals_between_workers_that_die_young_grow_to_a_bound() -> None:
    rests = [worker_life._rest_seconds(deaths) for deaths in range(40)]
    assert rests[0] == 0
    assert rests == sorted(rests)
    assert 0 < rests[1] <= 0.2
    assert rests[-1] == 30


async def test_signals_that_are_meant_for_the_daemon_do_not_end_its_worker(engine: WorkerEngine) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(engine.status.pid, number)
        await engine.stat(ROOT)
    assert engine.status.restarts == 0
    assert os.getsid(engine.status.pid) == engine.status.pid, "a terminal's signals do not even reach it"


async def test_when_memory_ends_the_worker_goes_before_the_daemon(engine: WorkerEngine) -> None:
    ours, its = (int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in ("self", engine.status.pid))
    assert its > ours or ours == 1000


async def test_a_worker_holds_nothing_of_the_daemons_but_what_it_was_lent(tmp_path: Path) -> None:
    with open(tmp_path / "journal", "wb") as file:
        os.set_inheritable(file.fileno(), True)
        async with opened(f"{ENGINES}:GatedEngine", directory=str(tmp_path)) as engine:
            folder = Path(f"/proc/{engine.status.pid}/fd")
            held = {os.readlink(path) for path in folder.iterdir()}
            assert not [name for name in held if str(tmp_path) in name]
            assert os.readlink(f"/proc/{engine.status.pid}/cwd") == "/"
            arguments = Path(f"/proc/{engine.status.pid}/cmdline").read_bytes()
            assert os.fsencode(tmp_path) not in arguments, "what the engine is opened with is nobody else's to see"


async def test_the_worker_is_gone_when_the_engine_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with opened(f"{ENGINES}:GatedEngine", directory=str(tmp_path)) as engine:
        pid = engine.status.pid
        await engine.close()
        with pytest.raises(Unavailable, match="closed"):
            await engine.stat(ROOT)
    assert not Path(f"/proc/{pid}").exists()
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_every_worker_holds_the_lock_of_the_state_directory(tmp_path: Path) -> None:
    lock = engine_lock.take(tmp_path)
    assert lock is not None
    async with opened(f"{ENGINES}:GatedEngine", directory=str(tmp_path)) as engine:
        engine.hold(lock)
        os.close(lock)
        for _ in range(2):
            await engine.stat(ROOT)
            assert engine_lock.take(tmp_path) is None
            assert engine_lock.holder(tmp_path) == str(engine.status.pid)
            kill(engine)
    again = engine_lock.take(tmp_path)
    assert again is not None
    os.close(again)


_DAEMON = """
import os, sys, trio
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.support.worker_program import opened
from vaultairefs.disk import engine_lock
from vaultairefs.engine import worker_life
from tests.engine_contract.given import put

async def main():
    directory = Path(sys.argv[2])
    async with opened("tests.support.worker_engines:GatedEngine", directory=str(directory)) as engine:
        engine.hold(engine_lock.take(directory))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, engine, b"a")
            nursery.start_soon(engine.read, (b"", b"a"), "", 0, 1, os.open("/dev/null", os.O_RDWR), 0)
            await trio.sleep(0)
            print(engine.status.pid, flush=True)

trio.run(main)
"""


async def test_a_worker_ends_with_its_daemon_whatever_it_is_doing_and_the_lock_tells(tmp_path: Path) -> None:
    gates = [Gate(tmp_path, "put"), Gate(tmp_path, "thread")]
    daemon = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, str(ROOT_OF_TESTS), str(tmp_path)], stdout=subprocess.PIPE
    )
    assert daemon.stdout is not None
    pid = int(daemon.stdout.readline())
    for gate in gates:
        await gate.reached(1)
    with watched(pid) as poller:
        assert engine_lock.take(tmp_path) is None
        daemon.kill()
        daemon.communicate()
        assert poller.poll(60_000), "the worker outlives its daemon"
        with trio.fail_after(60):
            while (lock := engine_lock.take(tmp_path)) is None:
                await trio.sleep(0.005)
        os.close(lock)
