"""Bring the chunks of one upload into the engine, several at a time: sent, or taken from the version it has.

Promise: the first failure stops the others; what the file's writers did meanwhile is told apart from a failure.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import trio

from vaultairefs.engine.interface import Upload
from vaultairefs.flush.chunks import Base, Chunk
from vaultairefs.flush.desk import Desk
from vaultairefs.model.errors import Conflict, Corrupt, NotFound, VaultaireError
from vaultairefs.model.values import EntryPath, Version

_PARALLEL_CHUNKS: Final = 4
"""Chunks of one file under way; the byte budget bounds all files together."""


class Overwritten(Exception):
    """The file changed under the upload."""


class Unwanted(Exception):
    """The name went to something else, or nothing, or bytes must be fetched first: decide again."""


class OriginGone(Exception):
    """The version that clean chunks were to be taken from is not there any more; its cause is the engine's word."""


class Origin(NamedTuple):
    """Where clean chunks come from."""

    path: EntryPath
    version: Version
    base: Base


class ChunkSender:
    """Chunks of ``upload`` from ``descriptor``; ``check`` raises when the file or its name is not what it was."""

    def __init__(
        self, desk: Desk, upload: Upload, descriptor: int, origin: Origin | None, check: Callable[[], None]
    ) -> None:
        self._desk = desk
        self._upload = upload
        self._descriptor = descriptor
        self._origin = origin
        self._check = check

    async def send(self, chunks: Sequence[Chunk]) -> list[str]:
        """Their receipts."""
        receipts = [""] * len(chunks)
        slots = trio.Semaphore(_PARALLEL_CHUNKS)
        failures: list[Exception] = []

        async def bring(chunk: Chunk) -> None:
            try:
                self._check()
                receipts[chunk.number] = await self._bring(chunk)
            except Corrupt as error:
                failures.append(self._why_short(error))
                nursery.cancel_scope.cancel()
            except (VaultaireError, Overwritten, Unwanted, OriginGone) as error:
                failures.append(error)
                nursery.cancel_scope.cancel()
            finally:
                slots.release()

        async with trio.open_nursery() as nursery:
            for chunk in chunks:
                await slots.acquire()
                nursery.start_soon(bring, chunk)
        if failures:
            raise failures[0]
        return receipts

    async def _bring(self, chunk: Chunk) -> str:
        engine, number, offset, length, _ = self._desk.engine, *chunk
        if chunk.is_clean and self._origin is not None:
            try:
                return await engine.copy_chunk(
                    self._upload, number, offset, length, self._origin.path, self._origin.version
                )
            except (Conflict, NotFound) as error:
                raise OriginGone from error
        async with self._desk.budget.taken(length):
            self._check()
            return await engine.put_chunk(self._upload, number, offset, self._descriptor, length)

    def _why_short(self, error: Corrupt) -> Exception:
        """A file that ends early under an upload was mostly truncated by a program."""
        try:
            self._check()
        except (Overwritten, Unwanted) as cause:
            return cause
        return error
