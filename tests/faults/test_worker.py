"""The engine worker of a real mount dies, hangs, or loses its daemon: nothing is lost, and nothing arrives too late."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import SECONDS_MAX, Daemon, wait_until_gone, workshop
from tests.support.manifests import differences, manifest
from tests.support.trees import plant

LAUNCHER = Path(__file__).parent / "worker_launcher.py"
OURS = frozenset({b".vaultairefs"})
KILLS = 6


class WorkedDaemon(Daemon):
    """A daemon of the local engine in a worker that can be held up."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "gates"
        self.folder.mkdir()
        command = [sys.executable, str(LAUNCHER), str(self.folder)]
        super().__init__(base, options=["worker=on", "flush_delay=0.02", "chunk_size=1M"], command=command)

    def worker(self) -> int:
        """The pid of a running worker."""
        return int(until(lambda: self.status()["worker"]["pid"]))

    def kill_worker(self) -> None:
        """A worker that has ended by itself meanwhile is as good."""
        try:
            os.kill(self.worker(), signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self, name: str) -> None:
        (self.folder / name).touch()

    def open(self, name: str) -> None:
        (self.folder / name).unlink()

    def says(self, name: str) -> bool:
        return (self.folder / name).exists()

    def mount_in_background(self) -> "subprocess.Popen[bytes]":
        options = ",".join([*self.options, f"state={self.state}"])
        return subprocess.Popen(
            [*self.command, "mount", f"file://{self.engine}", str(self.mountpoint), "-o", options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )


def until(answer: Callable[[], Any]) -> Any:
    """The first answer that says something."""
    deadline = time.monotonic() + SECONDS_MAX
    while not (found := answer()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
    return found


@pytest.fixture
def daemon() -> Iterator[WorkedDaemon]:
    with workshop() as base:
        daemon = WorkedDaemon(base)
        daemon.mount()
        try:
            yield daemon
        finally:
            daemon.end()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_killing_the_worker_in_the_middle_of_a_flush_costs_only_retries(daemon: WorkedDaemon, seed: int) -> None:
    source = random.Random(seed)
    planted = threading.Thread(target=plant, args=(daemon.mountpoint / "tree", seed))
    planted.start()
    for _ in range(KILLS):
        goal = daemon.status()["flushed_artifacts"] + source.randrange(12)
        until(lambda: daemon.status()["flushed_artifacts"] >= goal or not planted.is_alive())  # noqa: B023
        daemon.kill_worker()
    planted.join()
    before = manifest(daemon.mountpoint, leave_out=OURS)
    status = daemon.status()
    assert status["worker"]["restarts"] >= KILLS - 1
    assert status["conflicts"] == status["quarantined"] == 0
    assert {line["logger"] for line in daemon.log() if line["event"] == "engine_worker_ended"} == {"vaultairefs.worker"}
    daemon.umount()
    after = manifest(daemon.engine, leave_out=OURS)
    assert differences(before, after) == []
    assert not list((daemon.engine / ".vaultairefs" / "tmp").glob("*/*.upload"))


def test_programs_read_on_though_the_worker_dies(daemon: WorkedDaemon) -> None:
    for number in range(20):
        (daemon.engine / f"cold{number}").write_bytes(bytes([number]) * 100_000)
    for number in range(20):
        if number % 5 == 0:
            daemon.kill_worker()
        assert (daemon.mountpoint / f"cold{number}").read_bytes() == bytes([number]) * 100_000
    assert daemon.status()["worker"]["restarts"] >= 3
    assert {event["outcome"] for event in daemon.events() if event["operation"] in ("open", "read", "fetch")} <= {"OK"}


def test_the_worker_ends_last_and_leaves_nothing_behind(daemon: WorkedDaemon) -> None:
    pids = [daemon.worker(), daemon.status()["pid"]]
    worker, ended = [os.pidfd_open(pid) for pid in pids]
    daemon.close("slow")
    (daemon.mountpoint / "file").write_bytes(b"drained")
    until(lambda: daemon.says("waits"))
    for pid in pids:  # as a service manager does it that signals the whole group
        os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.ismount(daemon.mountpoint))
    daemon.open("slow")
    wait_until_gone(ended)
    wait_until_gone(worker)
    assert (daemon.engine / "file").read_bytes() == b"drained"


def test_a_put_that_the_dead_daemon_had_begun_does_not_arrive_after_the_next_ones(daemon: WorkedDaemon) -> None:
    worker = os.pidfd_open(daemon.worker())
    daemon.close("slow")
    (daemon.mountpoint / "file").write_bytes(b"old")
    until(lambda: daemon.says("waits"))
    daemon.kill()
    wait_until_gone(worker)
    daemon.open("slow")
    assert not (daemon.engine / "file").exists()
    daemon.mount()
    (daemon.mountpoint / "file").write_bytes(b"new")
    daemon.umount()
    assert (daemon.engine / "file").read_bytes() == b"new"


def test_the_next_daemon_waits_for_a_worker_that_does_not_die_with_its_own() -> None:
    with workshop() as base:
        daemon = WorkedDaemon(base)
        daemon.close("undying")
        daemon.mount()
        try:
            _outlive(daemon)
        finally:
            daemon.folder.joinpath("undying").unlink(missing_ok=True)
            daemon.folder.joinpath("slow").unlink(missing_ok=True)
            daemon.end()


def _outlive(daemon: WorkedDaemon) -> None:
    worker = os.pidfd_open(daemon.worker())
    daemon.close("slow")
    (daemon.mountpoint / "file").write_bytes(b"old")
    until(lambda: daemon.says("waits"))
    daemon.kill()
    until(lambda: daemon.says("orphaned"))
    mounting = daemon.mount_in_background()
    until(lambda: [line for line in daemon.log() if line["event"] == "waiting_for_the_engine_worker_of_a_dead_daemon"])
    assert mounting.poll() is None
    assert not (daemon.engine / "file").exists()
    daemon.open("slow")
    until(lambda: (daemon.engine / "file").exists())
    assert mounting.poll() is None, "the worker that is left could still send something"
    daemon.open("undying")
    _, words = mounting.communicate(timeout=SECONDS_MAX)
    assert mounting.returncode == 0, words
    wait_until_gone(worker)
    (daemon.mountpoint / "file").write_bytes(b"new")
    assert daemon.status()["conflicts"] == 0
    daemon.umount()
    assert (daemon.engine / "file").read_bytes() == b"new"
    assert {name for name in os.listdir(daemon.engine) if name != ".vaultairefs"} == {"file"}


def test_a_volume_in_memory_is_not_put_where_it_would_be_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "vaultairefs"), "mount", "memory:", str(tmp_path), "-o", "worker=on"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "vaultairefs: option worker=on: memory: would lose everything with its worker\n"
