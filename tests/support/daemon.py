"""The real daemon, driven the way an operator does it: through the command line, and with kill -9."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaultairefs.disk.mount_table import topmost

if TYPE_CHECKING:
    from tests.support.stores import Server

COMMAND = (str(Path(sys.executable).parent / "vaultairefs"),)
OPTIONS = ("allow_other", "dev", "suid", "supervise=off")
"""Unsupervised, so that what a test kills stays dead; ``supervise`` among a test's own options counts, as the last."""
SECONDS_MAX = 100


class Daemon:
    """One mount of ``engine`` at ``mountpoint`` with ``state``; ``base`` holds all three unless told otherwise.

    ``command`` is what stands for the ``vaultairefs`` program: the fault tests put a launcher of theirs before it.
    ``server``: the engine is a new bucket there, and ``engine`` stays an empty directory.
    """

    def __init__(
        self,
        base: Path,
        *,
        options: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
        server: "Server | None" = None,
    ) -> None:
        self.mountpoint = base / "mount"
        self.engine = base / "engine"
        self.state = base / "state"
        self.options = [*OPTIONS, *options]
        self.command = list(command)
        for folder in (self.mountpoint, self.engine):
            folder.mkdir(exist_ok=True)
        self.spec = f"file://{self.engine}"
        if server is not None:
            self.bucket = server.new_bucket()
            self.spec = f"s3://{self.bucket}"
            self.options += server.mount_options(base)

    def mount(self) -> None:
        options = ",".join([*self.options, f"state={self.state}"])
        self.cli("mount", self.spec, str(self.mountpoint), "-o", options)

    def umount(self) -> None:
        self.cli("umount", str(self.mountpoint))

    def flush(self) -> None:
        self.cli("flush", str(self.mountpoint))

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.cli("status", str(self.mountpoint), "--json"))
        return answer

    def kill(self, *, detach: bool = True) -> None:
        """kill -9, and the dead mount detached, as after any crash; returns when the process is gone."""
        pid = int(self.status()["pid"])
        descriptor = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(descriptor)
        if detach:
            self.detach()

    def detach(self) -> None:
        """Lazily unmount whatever is left at the mount point; nothing is drained."""
        while topmost(str(self.mountpoint)) is not None:
            if subprocess.run(["umount", "-l", str(self.mountpoint)], capture_output=True).returncode:
                break

    def end(self) -> None:
        """For fixtures: nothing of this daemon is left, however the test went."""
        self.detach()
        for pid in self._processes():
            try:
                descriptor = os.pidfd_open(pid)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            wait_until_gone(descriptor)

    def _processes(self) -> list[int]:
        """Those that were told of this mount point, which no other test knows."""
        word = b"\0" + os.fsencode(self.mountpoint) + b"\0"
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if word in path.read_bytes():
                    found.append(int(path.parent.name))
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def forget_state(self) -> None:
        """The next mount starts from the engine alone."""
        shutil.rmtree(self.state)

    def events(self) -> list[dict[str, Any]]:
        """The whole event log, as ``events export`` gives it."""
        text = self.cli("events", "export", str(self.mountpoint), "--format", "jsonl")
        return [json.loads(line) for line in text.splitlines()]

    def log(self) -> list[dict[str, Any]]:
        """The daemon's log, one record a line."""
        return [json.loads(line) for line in (self.state / "log").read_text("utf-8").splitlines()]

    def memory_peak(self) -> int:
        """VmHWM, in bytes."""
        status = Path(f"/proc/{self.status()['pid']}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) << 10

    def cli(self, *arguments: str) -> str:
        """Standard output of the command; the test fails with its words when it fails."""
        done = subprocess.run(
            [*self.command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS_MAX
        )
        words = done.stderr.decode(errors="backslashreplace")
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}: {words}"
        return done.stdout.decode("utf-8", "surrogateescape")


@contextmanager
def workshop(parent: Path | None = None) -> Iterator[Path]:
    """A directory for mount points that every user may look into (pytest's own is for its user only)."""
    folder = Path(tempfile.mkdtemp(prefix="vaultairefs-test-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mounted_daemon(
    base: Path, *, options: Sequence[str] = (), command: Sequence[str] = COMMAND, server: "Server | None" = None
) -> Iterator[Daemon]:
    """A mounted daemon; at the end it is unmounted, drained or not, and its process is gone."""
    daemon = Daemon(base, options=options, command=command, server=server)
    daemon.mount()
    try:
        yield daemon
    finally:
        try:
            if os.path.ismount(daemon.mountpoint):
                daemon.umount()
        finally:
            daemon.end()


def wait_until_gone(descriptor: int) -> None:
    """Take a pidfd and return when its process has ended, which makes it readable (pidfd_open(2))."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    ended = poller.poll(SECONDS_MAX * 1000)
    os.close(descriptor)
    assert ended, "the process does not end"
