"""Engines that tests open in a worker process: they tell what they are asked, wait at gates, count, and fail.

A gate is a file: while ``DIRECTORY/VERB`` is there, calls of VERB wait before they do anything; each that has come so
far adds a byte to ``DIRECTORY/VERB.waits``, each that was cancelled there to ``DIRECTORY/VERB.cancelled``.
"""

import collections
import inspect
import os
import threading
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from vaultairefs.engine.interface import Capabilities, Engine, EntryInfo, Upload, Usage
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.engine.worker_verbs import VERBS
from vaultairefs.model import context, errors
from vaultairefs.model.errors import NotFound, VaultaireError
from vaultairefs.model.values import Attributes, EntryPath, Kind

_LOOK_SECONDS = 0.002


class GatedEngine(MemoryEngine):
    """The memory engine with gates, and with what an engine tells of itself."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.requests: collections.Counter[str] = collections.Counter()
        self._directory = Path(directory)
        self._under_way = 0
        self.most_under_way = 0
        self.on_call = self._wait

    async def stat(self, path: EntryPath) -> EntryInfo:
        """The name ``log`` has a line logged, a name of an error's class raises that, ``bug`` something unexpected."""
        name = path.name.decode()
        if name == "log":
            structlog.get_logger("engine").warning("it_says", operation_now=context.current().operation)
        if name == "bug":
            raise ZeroDivisionError("nobody expected this")
        kind = getattr(errors, name, None)
        if kind is not None:
            error = kind(f"{name} it is", container=path.container, artifact=b"\xff", operation="stat", tenant="t")
            error.number = 7
            raise error from OSError(5, "the cause")
        return await super().stat(path)

    async def usage(self) -> Usage:
        """``entries`` are the most calls that were under way at once, ``capacity_bytes`` the open descriptors."""
        return Usage(entries=self.most_under_way, capacity_bytes=len(os.listdir("/proc/self/fd")))

    async def read(
        self, path: EntryPath, version: Any, offset: int, length: int, descriptor: int, position: int
    ) -> int:
        """In a thread, which cannot be cancelled, as every engine with a store does it."""
        await trio.to_thread.run_sync(self._wait_in_thread, "thread")
        return await super().read(path, version, offset, length, descriptor, position)

    async def abort_upload(self, upload: Upload) -> None:
        """Nothing but a thread that cannot be cancelled."""
        await trio.to_thread.run_sync(self._wait_in_thread, "thread")

    async def _wait(self, verb: str) -> None:
        self.requests[verb] += 1
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            if (self._directory / verb).exists():
                self._note(verb, "waits")
            while (self._directory / verb).exists():
                await trio.sleep(_LOOK_SECONDS)
        except trio.Cancelled:
            self._note(verb, "cancelled")
            raise
        finally:
            self._under_way -= 1

    def _wait_in_thread(self, gate: str) -> None:
        pause = threading.Event()
        if (self._directory / gate).exists():
            self._note(gate, "waits")
        while (self._directory / gate).exists():
            pause.wait(_LOOK_SECONDS)

    def _note(self, verb: str, what: str) -> None:
        with open(self._directory / f"{verb}.{what}", "ab") as file:
            file.write(b".")


class ProbedEngine(GatedEngine):
    """Knows its store only after ``probe``, which is counted in ``DIRECTORY/probe.waits``."""

    async def probe(self) -> Capabilities:
        self._note("probe", "waits")
        self._capabilities = Capabilities(moves=True, links=False, chunk_bytes=77)
        return self._capabilities


class RememberingEngine(ProbedEngine):
    """Its probe need not be repeated."""

    def knowledge(self) -> bytes:
        return msgspec.msgpack.encode(self._capabilities)

    def rely_on(self, knowledge: bytes) -> None:
        self._capabilities = msgspec.msgpack.decode(knowledge, type=Capabilities)


class EchoEngine:
    """Answers every verb of the protocol with a sample of its answer, if it was asked with samples of its
    parameters."""

    identity = "echo:"
    capabilities = Capabilities()

    def staging_path(self, name: bytes) -> EntryPath:
        return EntryPath(b"parked", name)

    def __getattr__(self, name: str) -> Any:
        if name not in VERBS:
            raise AttributeError(name)

        async def answer(*arguments: Any, **named: Any) -> Any:
            wanted = samples_of(name)
            given = inspect.signature(getattr(Engine, name)).bind(self, *arguments, **named).arguments
            del given["self"]
            for parameter, value in given.items():
                if parameter.endswith("descriptor"):
                    os.pwrite(value, parameter.encode(), 0)
                else:
                    assert value == wanted[parameter], f"{parameter}: {value!r} is not {wanted[parameter]!r}"
            assert given.keys() == wanted.keys()
            return answer_of(name)

        return answer


def samples_of(verb: str) -> dict[str, Any]:
    """A value for each parameter of the verb; 0 for descriptors."""
    hints = typing.get_type_hints(getattr(Engine, verb))
    hints.pop("return")
    return {name: 0 if name.endswith("descriptor") else _sample(hint, name) for name, hint in hints.items()}


def answer_of(verb: str) -> Any:
    """A value of the type that the verb returns."""
    return _sample(typing.get_type_hints(getattr(Engine, verb))["return"], verb)


_ATTRIBUTES = Attributes(Kind.FILE, 0o4755, 1, 2, -3, 4, 5, 6, b"\xff", {b"user.x": b"\0", b"user.y": b""})


def _sample(hint: Any, word: str) -> Any:
    simple = {
        bytes: b"\xff" + word.encode(),
        int: len(word),
        float: len(word) / 2,
        str: word,
        bool: True,
        type(None): None,
    }
    if hint in simple:
        return simple[hint]
    if hint is Attributes:
        return _ATTRIBUTES
    if hint is VaultaireError:
        return NotFound(word, artifact=b"\xfe")
    if isinstance(hint, typing.NewType):
        return _sample(hint.__supertype__, word)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _sample(inner[0], word)
    if origin is Sequence or origin is tuple:
        values = [_sample(inner[0], word), _sample(inner[0], word + "2")]
        return tuple(values) if origin is tuple else values
    fields = typing.get_type_hints(hint)
    assert fields, f"no sample is known for {hint}"
    return hint(**{name: _sample(field, name) for name, field in fields.items()})
