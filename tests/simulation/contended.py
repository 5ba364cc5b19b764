"""One directory in which another program changes the store while ours works through the mount.

``Bank`` knows every text that anybody ever wrote there and which of them must still be somewhere in the end: a text may
go only when the other program destroyed it in the store, or when ours replaced or removed a file that the volume had
been shown with it.  Every text was never written before, so a mixture of two is none of them.
"""

import os
from collections.abc import Awaitable
from random import Random
from typing import Any, Final

import trio

from tests.model.programs import Program
from tests.simulation.calm import CALLER, REFUSALS
from tests.simulation.machine import Machine
from tests.simulation.network import Store
from vaultairefs.engine.memory_tree import Artifact
from vaultairefs.model.errors import AlreadyExists, NotFound, Stale, VaultaireError
from vaultairefs.model.values import ANY, Attributes, EntryPath, Kind
from vaultairefs.volume import AttributeRequest, RenameMode, Volume

DIRECTORY: Final = b"shared"
_NAMES: Final = (b"x", b"y", b"z")
_DRAFT: Final = b"draft"
_ANSWERS: Final = (*REFUSALS, NotFound, AlreadyExists, Stale)
"""What a call may end in where others work, too."""


class Bank:
    """Texts: ``known`` are all that anybody wrote, ``owed`` those that must be found in the end, with what they are."""

    def __init__(self, store: Store) -> None:
        self.known: set[bytes] = {b""}
        self.owed: dict[bytes, str] = {}
        self.torn: list[bytes] = []
        """Texts of writes that were cut short: beginnings of these may be found, too."""
        self._store = store
        self._foreign: dict[bytes, list[bytes]] = {}
        self._number = 0

    def text(self, author: str) -> bytes:
        """A new one."""
        self._number += 1
        text = b"%s %d. " % (author.encode(), self._number)
        text *= (1, 3, 400)[self._number % 3]
        self.known.add(text)
        return text

    def is_text(self, found: bytes) -> bool:
        """Whether somebody wrote exactly this."""
        return found in self.known or any(text.startswith(found) for text in self.torn)

    def put(self, name: bytes, text: bytes) -> None:
        """The other program stored it."""
        self.owed[text] = f"theirs at {name!r}"
        self._foreign.setdefault(name, []).append(text)

    def end(self, text: bytes | None) -> None:
        """It may go."""
        if text is not None:
            self.owed.pop(text, None)

    def end_shown(self, name: bytes) -> None:
        """Ours took the name: what of theirs the volume had been shown there may go."""
        for text in self._foreign.get(name, ()):
            if text in self._store.shown:
                self.end(text)

    def missing(self, found: set[bytes]) -> dict[bytes, str]:
        """What must be there and is not."""
        return {
            text[:40]: whose
            for text, whose in self.owed.items()
            if text not in found and text not in self._store.lost_to_a_check
        }


class Contender:
    """Our program: it makes, rewrites, replaces, removes and reads files, each with one text in it."""

    def __init__(self, bank: Bank, random: Random, machine: Machine) -> None:
        self._bank = bank
        self._random = random
        self._machine = machine
        self._taking: bytes | None = None
        self._volume: Volume
        self._program: Program

    def enter(self, volume: Volume) -> None:
        """A new process serves the mount; a name that was being taken over when the last one was killed may be."""
        if self._taking is not None:
            self._bank.end_shown(self._taking)
        self._volume = volume
        self._program = Program(volume, CALLER)

    async def play(self, calls: int) -> None:
        """That many acts of several calls each."""
        acts = (self._make, self._rewrite, self._rewrite, self._replace, self._remove, self._read, self._chmod)
        for _ in range(calls):
            act, name = self._random.choice(acts), self._random.choice(_NAMES)
            self._machine.tell(f"contender: {act.__name__} {name!r}")
            try:
                await act(name)
            except _ANSWERS as error:
                self._machine.check_alive()
                self._machine.tell(f"contender: {act.__name__} {name!r}: {type(error).__name__}")
            pause = self._random.choice((0.0, 0.01, 1.0, 4.0))
            await (trio.sleep(pause) if pause else trio.lowlevel.checkpoint())

    async def _alive(self, call: Awaitable[Any]) -> Any:
        result = await call
        self._machine.check_alive()
        return result

    async def _make(self, name: bytes) -> None:
        text = self._bank.text("ours")
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
        _, handle = await self._alive(self._program.create((DIRECTORY, name), 0o644, flags))
        await self._write_and_close(handle, text)

    async def _rewrite(self, name: bytes) -> None:
        text = self._bank.text("ours")
        ino, handle = await self._alive(self._program.open((DIRECTORY, name), os.O_RDWR))
        try:
            self._bank.end(await self._alive(self._whole(handle)))
            await self._alive(self._program.ftruncate(ino, handle, 0))
        except VaultaireError:
            await self._volume.files.release(handle)
            raise
        await self._write_and_close(handle, text)

    async def _replace(self, name: bytes) -> None:
        text = self._bank.text("ours")
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
        try:
            _, handle = await self._alive(self._program.create((DIRECTORY, _DRAFT), 0o600, flags))
        except AlreadyExists:
            await self._remove(_DRAFT)
            return
        await self._write_and_close(handle, text)
        await self._end_at(name)
        await self._end_at(_DRAFT, but=text)
        await self._alive(self._program.rename((DIRECTORY, _DRAFT), (DIRECTORY, name), RenameMode.REPLACE))
        self._bank.end_shown(name)

    async def _remove(self, name: bytes) -> None:
        await self._end_at(name)
        await self._alive(self._program.unlink((DIRECTORY, name)))
        self._bank.end_shown(name)

    async def _read(self, name: bytes) -> None:
        found = await self._alive(self._program.content((DIRECTORY, name)))
        assert self._bank.is_text(found), f"{name!r} was read as {found[:80]!r}: nobody wrote that"

    async def _chmod(self, name: bytes) -> None:
        await self._alive(self._program.setattr((DIRECTORY, name), AttributeRequest(mode=0o640)))

    async def _end_at(self, name: bytes, but: bytes | None = None) -> None:
        """What is there now, and what the volume had been shown there, may go."""
        try:
            there = await self._alive(self._program.content((DIRECTORY, name)))
        except NotFound:
            there = None
        self._taking = name
        if there != but:
            self._bank.end(there)
        self._bank.end_shown(name)

    async def _write_and_close(self, handle: int, text: bytes) -> None:
        self._bank.torn.append(text)
        try:
            await self._alive(self._volume.files.write(handle, 0, text))
            self._bank.torn.pop()
            self._bank.owed[text] = "ours"
        finally:
            if not self._machine.is_dead:
                await self._volume.files.release(handle)

    async def _whole(self, handle: int) -> bytes:
        found = b""
        while piece := await self._volume.files.read(handle, len(found), 3001):
            found += piece
        assert self._bank.is_text(found), f"read {found[:80]!r}: nobody wrote that"
        return found


class Stranger:
    """The other program: it works on the store itself, and no kill of ours ends it."""

    def __init__(self, bank: Bank, store: Store, random: Random, machine: Machine) -> None:
        self._bank = bank
        self._store = store
        self._random = random
        self._machine = machine
        self.is_done = False

    async def run(self) -> None:
        """Until ``is_done``."""
        while not self.is_done:
            await trio.sleep(self._random.choice((0.1, 1.0, 6.0)))
            if not self.is_done:
                self._act()

    def _act(self) -> None:
        try:
            there = sorted(self._store.tree.container(DIRECTORY).children)
        except VaultaireError:
            return
        name = self._random.choice([*_NAMES, *_NAMES, *there])
        path = EntryPath(DIRECTORY, name)
        node = self._store.tree.find(path)
        if node is not None and not isinstance(node, Artifact):
            return
        self._bank.end(None if node is None else node.content)
        if self._random.random() < 0.7:
            text = self._bank.text("theirs")
            times = self._machine.clock_ns()
            self._store.tree.put(path, text, Attributes(Kind.FILE, 0o644, 0, 0, times, times, times), ANY, "")
            self._bank.put(name, text)
            self._machine.tell(f"stranger: put {name!r} {text[:20]!r}")
        elif node is not None:
            self._store.tree.delete(path, ANY)
            self._machine.tell(f"stranger: delete {name!r}")
