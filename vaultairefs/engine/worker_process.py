"""A worker process: how it is begun, what it says, how it ends.

It is a fresh interpreter, never a fork of the daemon (which runs trio and threads), gets its end of a socket pair as
its standard input, and inherits nothing else: no mount, no journal, no /dev/fuse.  The engine and its options come
over the socket, so neither its arguments nor its environment tell a secret that the daemon's did not.

Promise: it is started by the thread that calls, which must be the daemon's main thread: the kernel ends it with the
thread that began it (PR_SET_PDEATHSIG, prctl(2)).  What it writes to its standard error is in the daemon's log.
"""

import json
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
import trio

_log = structlog.get_logger("vaultairefs.worker")

_LINE_BYTES_MAX: Final = 64 << 10
_LAST_WORDS: Final = 3
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})


class WorkerProcess:
    """One process, from its start to its end."""

    def __init__(self, command: Sequence[str]) -> None:
        """Begin it; blocks for a millisecond or two."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self.socket = ours
        self.pid = self._process.pid
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        """The last lines that were no log records: what an interpreter says when it dies."""
        self._pidfd = os.pidfd_open(self.pid)

    async def listen(self) -> None:
        """Bring its words to the log, until it has said its last; cannot be cancelled."""
        assert self._process.stderr is not None
        pipe, text = self._process.stderr.fileno(), b""
        os.set_blocking(pipe, False)
        with trio.CancelScope(shield=True):
            while block := await _read(pipe):
                *lines, text = (text + block).split(b"\n")
                if len(text) > _LINE_BYTES_MAX:
                    lines, text = [*lines, text], b""
                for line in lines:
                    self._tell(line)
            self._tell(text)

    async def wait(self) -> None:
        """Until it has ended by itself."""
        await trio.lowlevel.wait_readable(self._pidfd)

    async def end(self, seconds: float = 0.0) -> None:
        """Give it so long to end, then kill it; when this returns there is no process any more, not even a zombie.

        To be called once, shielded.
        """
        with trio.move_on_after(seconds):
            await self.wait()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        await self.wait()
        self._process.wait()
        os.close(self._pidfd)

    def close(self) -> None:
        """After ``end`` and ``listen``."""
        assert self._process.stderr is not None
        self._process.stderr.close()

    @property
    def outcome(self) -> str:
        """How it ended, for people."""
        code = self._process.returncode
        if code is None:
            return "runs"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def _tell(self, line: bytes) -> None:
        try:
            record: dict[str, Any] = json.loads(line)
            event, level = str(record.pop("event")), str(record.pop("level"))
        except (ValueError, KeyError, TypeError, AttributeError):
            text = line.decode("utf-8", "backslashreplace").rstrip()
            if text:
                self.last_words.append(text)
                _log.warning("worker_said", text=text, worker_pid=self.pid)
            return
        record.pop("timestamp", None)
        logger = structlog.get_logger(str(record.pop("logger", "vaultairefs.worker")))
        record["worker_pid"] = self.pid
        getattr(logger, level if level in _LEVELS else "warning")(event, **record)


async def _read(pipe: int) -> bytes:
    while True:
        await trio.lowlevel.wait_readable(pipe)
        with suppress(BlockingIOError):
            return os.read(pipe, _LINE_BYTES_MAX)
