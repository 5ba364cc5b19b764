"""Send one large file in chunks, straight from its body's descriptor, never a whole file in memory.

A file that is written while its chunks are on their way is begun again; the third time it is copied first, with its
writers kept out for as long as the copy takes, so that a file that is written all the time is flushed too.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from vaultairefs.disk.copying import copy_range
from vaultairefs.disk.os_errors import translated
from vaultairefs.engine.interface import Upload
from vaultairefs.flush.desk import Desk, Sent
from vaultairefs.flush.steps import Put
from vaultairefs.flush.telling import log
from vaultairefs.model.changes import StepEnded
from vaultairefs.model.errors import Busy, Corrupt, VaultaireError
from vaultairefs.model.values import ABSENT, Version
from vaultairefs.namespace import Inode

_OPTIMISTIC_ATTEMPTS: Final = 2

_PARALLEL_CHUNKS: Final = 4
"""Chunks of one file under way; the byte budget bounds all files together."""

_ABORT_SECONDS_MAX: Final = 10.0


class _Overwritten(Exception):
    """The file changed under the upload."""


class _Unwanted(Exception):
    """The name went to something else, or nothing."""


class Uploader:
    """See the module's text.  The caller holds the marks of the file and its name."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def upload(self, step: Put, inode: Inode) -> tuple[Sent | None, Version]:
        """What was sent and its version; None when the name is not wanted any more."""
        try:
            for _ in range(_OPTIMISTIC_ATTEMPTS):
                with self._desk.ledger.buffer.pinned(step.ino) as descriptor:
                    try:
                        return await self._send(step, inode, descriptor, inode.content_generation, inode.size)
                    except _Overwritten:
                        log.debug("upload_overtaken", inode=step.ino)
            return await self._send_copy(step, inode)
        except _Unwanted:
            return None, ABSENT

    async def _send_copy(self, step: Put, inode: Inode) -> tuple[Sent, Version]:
        """Copy the body aside while nobody writes it, then send the copy."""
        desk = self._desk
        with translated("open"):
            copy = os.open(desk.ledger.buffer.files.directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            with desk.gate.shut(step.ino), desk.ledger.buffer.pinned(step.ino) as descriptor:
                generation, size = inode.content_generation, inode.size
                await trio.to_thread.run_sync(copy_range, descriptor, 0, copy, 0, size)
                if inode.content_generation != generation:
                    raise Busy("the file was written while it was copied aside", operation="flush")
            return await self._send(step, inode, copy, None, size, generation)
        finally:
            os.close(copy)

    async def _send(
        self, step: Put, inode: Inode, descriptor: int, watched: int | None, size: int, generation: int | None = None
    ) -> tuple[Sent, Version]:
        """One upload of ``size`` bytes; ``watched`` is the generation that must not move meanwhile, None for a copy."""
        desk = self._desk
        of = watched if watched is not None else generation
        assert of is not None

        def check() -> None:
            if watched is not None and inode.content_generation != watched:
                raise _Overwritten
            if step.key not in inode.refs:
                raise _Unwanted

        check()
        path = desk.path(step.key)
        carried = Sent(desk.new_token(step.ino), of, inode.attributes(), size)
        desk.sent[step.key] = carried
        desk.begin("put", step.ino, step.key, token=carried.token)
        upload = await desk.engine.begin_upload(path, size, carried.attributes, token=carried.token)
        desk.begin("put", step.ino, step.key, token=carried.token, upload_id=upload.upload_id)
        try:
            receipts = await self._send_chunks(upload, descriptor, size, check)
            check()
            carried = Sent(carried.token, of, inode.attributes(), size)
            desk.sent[step.key] = carried
            expected = desk.expected(step.key, step.expected)
            version = await desk.engine.commit_upload(upload, receipts, carried.attributes, expected=expected)
        except BaseException as error:
            is_aborted = await self._abort(upload)
            if is_aborted and isinstance(error, _Overwritten | _Unwanted):
                desk.ledger.commit(StepEnded(*step.key))
            raise
        return carried, version

    async def _send_chunks(self, upload: Upload, descriptor: int, size: int, check: Callable[[], None]) -> list[str]:
        desk = self._desk
        length = max(desk.engine.capabilities.chunk_bytes, 1)
        receipts = [""] * -(-size // length)
        slots = trio.Semaphore(_PARALLEL_CHUNKS)
        failures: list[BaseException] = []

        async def send(number: int) -> None:
            offset = number * length
            part = min(length, size - offset)
            try:
                async with desk.budget.taken(part):
                    check()
                    receipts[number] = await desk.engine.put_chunk(upload, number, offset, descriptor, part)
            except Corrupt as error:
                failures.append(_why_short(error, check))
                nursery.cancel_scope.cancel()
            except (VaultaireError, _Overwritten, _Unwanted) as error:
                failures.append(error)
                nursery.cancel_scope.cancel()
            finally:
                slots.release()

        async with trio.open_nursery() as nursery:
            for number in range(len(receipts)):
                await slots.acquire()
                nursery.start_soon(send, number)
        if failures:
            raise failures[0]
        return receipts

    async def _abort(self, upload: Upload) -> bool:
        """Throw away what was sent; what cannot be thrown away now stays in doubt, and is when that is settled."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _ABORT_SECONDS_MAX), suppress(VaultaireError):
            await self._desk.engine.abort_upload(upload)
            return True
        return False


def _why_short(error: Corrupt, check: Callable[[], None]) -> Exception:
    """A file that ends early under an upload was mostly truncated by a program."""
    try:
        check()
    except (_Overwritten, _Unwanted) as cause:
        return cause
    return error
