"""The simulated machine: one process at a time that can be killed at any step and at any system call.

Promise: everything that depends on chance, time or threads follows from the seed alone.  A process that is killed
changes nothing any more: whatever its tasks still do while they are unwound ends in ``Killed`` at the next system call
that would change something.  The page cache survives, as it does when a process is killed.

It patches this interpreter for good, so it belongs into a process of its own (``run.py``).
"""

import contextlib
import gc
import os
import random
import secrets
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeVar

import trio
import trio._core._run as scheduler

T = TypeVar("T")

_CHANGING: Final = (
    "pwrite",
    "write",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "rmdir",
    "link",
    "ftruncate",
    "truncate",
    "fsync",
    "fdatasync",
    "utime",
    "copy_file_range",
    "setxattr",
)
"""Calls of ``os`` that change what a later process finds; a kill can come before or after each of them."""

_STAMPED: Final = frozenset({"pwrite", "ftruncate"})
"""Calls after which the file has the machine's time as its own."""

_RESERVED_BYTES_MAX: Final = 1 << 14
_BORN_NS: Final = 1_800_000_000_000_000_000
_THREAD_SECONDS_MAX: Final = 0.02


class Killed(BaseException):
    """kill -9 has come."""


class Machine(trio.abc.Instrument):
    """``clock_ns`` is its clock; ``tell`` notes what happens, for the digest and for readers."""

    def __init__(self, chance: Random, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.is_dead = False
        self.has_torn = False
        """Whether a kill has left half of a write, of which recovery must keep the rest apart."""
        self.kills = self.steps = self.killed_at_step = 0
        self._random = chance
        self._ticks = 0
        self._steps_left = self._calls_left = -1
        self._scope: trio.CancelScope | None = None
        self._descriptors: set[int] = set()

    # One process

    def begin(self, scope: trio.CancelScope, *, steps: int = -1, calls: int = -1) -> None:
        """A new process, which ``scope`` holds; it is killed after that many steps or system calls (-1: never)."""
        self.is_dead = False
        self._scope, self._steps_left, self._calls_left = scope, steps, calls

    def end(self) -> None:
        """All of the process is gone: the kernel closes its descriptors, and its locks are free."""
        self._scope = None
        self._steps_left = self._calls_left = -1
        for descriptor in sorted(self._descriptors):
            with contextlib.suppress(OSError):
                _os["close"](descriptor)
        self._descriptors.clear()
        self.is_dead = False
        gc.unfreeze()

    def kill(self, how: str) -> None:
        """Now."""
        if self._scope is not None and not self.is_dead:
            self.tell(f"kill -9 {how}")
            self.kills += 1
            self.killed_at_step = self.steps
            self.is_dead = True
            self._scope.cancel()

    def check_alive(self) -> None:
        """``Killed`` in a process that is."""
        if self.is_dead:
            raise Killed

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Of trio: between any two steps of any tasks the process may die."""
        self.steps += 1
        if self._steps_left > 0:
            self._steps_left -= 1
            if self._steps_left == 0:
                self.kill("between two steps")

    # Its clock and its threads

    def clock_ns(self) -> int:
        """Nanoseconds since 1970; never the same twice."""
        self._ticks += 1
        return _BORN_NS + round(trio.current_time() * 1e9) + self._ticks

    async def run_in_thread(self, function: Callable[..., T], *args: Any, **_: Any) -> T:
        """What ``trio.to_thread.run_sync`` is here: the thread's work is done at one moment, before or after a wait."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            await self._pause()
            self.check_alive()
            result = function(*args)
            await self._pause()
        self.check_alive()
        return result

    async def _pause(self) -> None:
        if self.is_dead or self._random.random() < 0.6:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await trio.sleep(self._random.uniform(0, _THREAD_SECONDS_MAX))

    # Its system calls

    def changes(self, name: str, *args: Any, **options: Any) -> Any:
        """A system call that changes something."""
        self.check_alive()
        if self._scope is None:
            return _os[name](*args, **options)
        self._calls_left -= 1
        if self._calls_left != 0:
            return self._change(name, args, options)
        moment = self._random.choice(("before", "after", "within"))
        if moment == "after":
            self._change(name, args, options)
        elif moment == "within" and name == "pwrite":
            self.has_torn = True
            descriptor, data, offset = args
            part = memoryview(data)[: self._random.randrange(len(data) + 1)]
            self._change(name, (descriptor, part, offset), options)
        self.kill(f"{moment} {name}")
        raise Killed

    def _change(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        result = _os[name](*args, **options)
        if name in _STAMPED:
            now = self.clock_ns()
            _os["utime"](args[0], ns=(now, now))
        return result

    def open(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        """open(2)"""
        self.check_alive()
        descriptor: int = _os["open"](path, flags, *args, **options)
        if self._scope is not None:
            self._descriptors.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        """close(2)"""
        self._descriptors.discard(descriptor)
        _os["close"](descriptor)

    def posix_fallocate(self, descriptor: int, offset: int, length: int) -> None:
        """posix_fallocate(3); of the room only the first part, which is as much as a history fills."""
        size = min(offset + length, _RESERVED_BYTES_MAX)
        if os.fstat(descriptor).st_size < size:
            self.changes("ftruncate", descriptor, size)


_os: Final[dict[str, Callable[..., Any]]] = {name: getattr(os, name) for name in (*_CHANGING, "open", "close")}


def inhabit(machine: Machine, seed: int) -> None:
    """Make this interpreter the machine's, from here until the next one moves in."""
    for name in _CHANGING:
        setattr(os, name, _changing(machine, name))
    for name, call in (
        ("open", machine.open),
        ("close", machine.close),
        ("posix_fallocate", machine.posix_fallocate),
    ):
        setattr(os, name, call)
    vars(trio.to_thread)["run_sync"] = machine.run_in_thread
    random.seed(f"jitter {seed}")
    drawn = Random(f"secrets {seed}")
    vars(secrets)["token_hex"] = lambda nbytes=32: drawn.randbytes(nbytes).hex()
    vars(scheduler)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    scheduler._r.seed(f"scheduler {seed}")


def _changing(machine: Machine, name: str) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        return machine.changes(name, *args, **options)

    return call
