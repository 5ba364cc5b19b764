"""Send one large file in chunks, straight from its body's descriptor, never a whole file in memory.

A file that is written while its chunks are on their way is begun again; the third time it is copied first, with its
writers kept out for as long as the copy takes, so that a file that is written all the time is flushed too.

Chunks in which nothing was changed are taken from the version that the engine holds, where it can do that: then they
need not even be here.
"""

import os
from typing import Final

import trio

from vaultairefs.disk.copying import copy_range
from vaultairefs.disk.os_errors import translated
from vaultairefs.engine.interface import Upload
from vaultairefs.flush.chunk_sending import ChunkSender, Origin, OriginGone, Overwritten, Unwanted
from vaultairefs.flush.chunks import Base, plan_chunks
from vaultairefs.flush.desk import Desk, Sent, secure
from vaultairefs.flush.marks import mark_for
from vaultairefs.flush.steps import Put
from vaultairefs.flush.telling import log
from vaultairefs.model.changes import StepEnded
from vaultairefs.model.errors import Busy, TimedOut, VaultaireError
from vaultairefs.model.extents import ExtentSet
from vaultairefs.model.values import ABSENT, Extent, Ino, Version
from vaultairefs.namespace import Inode

_OPTIMISTIC_ATTEMPTS: Final = 2

_ABORT_SECONDS_MAX: Final = 10.0


class Uploader:
    """See the module's text.  The caller holds the marks of the file and its name."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def upload(self, step: Put, inode: Inode) -> tuple[Sent | None, Version]:
        """What was sent and its version; None when the name is not wanted any more."""
        try:
            try:
                return await self._send_somehow(step, inode, takes=True)
            except OriginGone:
                return await self._send_somehow(step, inode, takes=False)
        except Unwanted:
            return None, ABSENT

    async def upload_copy(
        self, step: Put, inode: Inode, descriptor: int, size: int, generation: int
    ) -> tuple[Sent | None, Version]:
        """Likewise from a copy that nobody changes, which holds the file as of ``generation`` whole."""
        try:
            return await self._send(step, inode, descriptor, None, size, generation, takes=False)
        except Unwanted:
            return None, ABSENT

    def missing(self, step: Put, inode: Inode) -> list[Extent] | None:
        """What must be fetched of a partial body before ``upload``; None where that is all of it."""
        body, origin = self._desk.ledger.buffer.find(step.ino), self._origin(step)
        if body is None or origin is None or inode.size <= self._desk.engine.capabilities.inline_bytes_max:
            return None
        chunks = plan_chunks(inode.size, origin.base, self._desk.engine.capabilities)
        return [
            gap
            for chunk in chunks
            if not chunk.is_clean
            for gap in body.present.gaps(chunk.offset, min(chunk.offset + chunk.length, body.base_size))
        ]

    def _require_sendable(self, step: Put, inode: Inode, *, takes: bool) -> None:
        """``Unwanted``, for the step to be decided again, where a byte that is to be sent is not here (any more)."""
        if not self._is_complete(step.ino) and (not takes or self.missing(step, inode) != []):
            raise Unwanted

    def _origin(self, step: Put) -> Origin | None:
        """The version that the file began from, if it is still at the file's name, for engines that copy chunks."""
        desk = self._desk
        body, ref = desk.ledger.buffer.find(step.ino), desk.ledger.backlog.stored(step.key)
        if not desk.engine.capabilities.copies_chunks or body is None or ref is None or step.key in desk.overrides:
            return None
        if ref.ino != step.ino or ref.version != body.base_version or body.base_version == ABSENT:
            return None
        return Origin(desk.path(step.key), ref.version, Base(body.base_size, ExtentSet(body.dirty)))

    async def _send_somehow(self, step: Put, inode: Inode, *, takes: bool) -> tuple[Sent, Version]:
        """``takes``: clean chunks come from the engine."""
        for _ in range(_OPTIMISTIC_ATTEMPTS):
            with self._desk.ledger.buffer.pinned(step.ino) as descriptor:
                try:
                    return await self._send(step, inode, descriptor, inode.content_generation, inode.size, takes=takes)
                except Overwritten:
                    log.debug("upload_overtaken", inode=step.ino)
        return await self._send_copy(step, inode, takes=takes)

    async def _send_copy(self, step: Put, inode: Inode, *, takes: bool) -> tuple[Sent, Version]:
        """Copy the body aside while nobody writes it, then send the copy."""
        desk = self._desk
        with translated("open"):
            copy = os.open(desk.ledger.buffer.files.directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            with desk.gate.shut(step.ino), desk.ledger.buffer.pinned(step.ino) as descriptor:
                self._require_sendable(step, inode, takes=takes)
                generation, size = inode.content_generation, inode.size
                await trio.to_thread.run_sync(copy_range, descriptor, 0, copy, 0, size)
                if inode.content_generation != generation:
                    raise Busy("the file was written while it was copied aside", operation="flush")
            return await self._send(step, inode, copy, None, size, generation, takes=takes)
        finally:
            os.close(copy)

    async def _send(
        self,
        step: Put,
        inode: Inode,
        descriptor: int,
        watched: int | None,
        size: int,
        generation: int | None = None,
        *,
        takes: bool,
    ) -> tuple[Sent, Version]:
        """One upload of ``size`` bytes; ``watched`` is the generation that must not move meanwhile, None for a copy."""
        desk = self._desk
        of = watched if watched is not None else generation
        assert of is not None

        def check() -> None:
            if watched is not None and inode.content_generation != watched:
                raise Overwritten
            if step.key not in inode.refs:
                raise Unwanted

        check()
        self._require_sendable(step, inode, takes=takes)
        path, origin = desk.path(step.key), self._origin(step) if takes else None
        chunks = plan_chunks(size, origin.base if origin is not None else None, desk.engine.capabilities)
        mark = mark_for(desk, step.ino)
        carried = Sent(desk.new_token(step.ino), of, inode.attributes(), size, mark=mark)
        desk.sent[step.key] = carried
        desk.begin("put", step.ino, step.key, token=carried.token)
        await secure(desk, None if generation is None else step.ino)
        upload = await desk.engine.begin_upload(path, size, carried.attributes, token=carried.token, link_id=mark)
        desk.begin("put", step.ino, step.key, token=carried.token, upload_id=upload.upload_id)
        try:
            await secure(desk)
            receipts = await ChunkSender(desk, upload, descriptor, origin, check).send(chunks)
            check()
            taken = sum(chunk.length for chunk in chunks if chunk.is_clean)
            carried = Sent(carried.token, of, inode.attributes(), size, taken, mark)
            desk.sent[step.key] = carried
            expected = desk.expected(step.key, step.expected)
            version = await desk.engine.commit_upload(upload, receipts, carried.attributes, expected=expected)
        except BaseException as error:
            await self._give_up(step, upload, error)
            raise
        return carried, version

    async def _give_up(self, step: Put, upload: Upload, error: BaseException) -> None:
        """Leave nothing of the upload in the engine, or in doubt; raises what says more than ``error``."""
        refusal = await self._abort(upload)
        if refusal is None and isinstance(error, Overwritten | Unwanted):
            self._desk.ledger.commit(StepEnded(*step.key))
        elif refusal is not None and isinstance(error, Overwritten | OriginGone):
            raise refusal from error  # a step begun anew would take the place of the one that knows the upload
        if isinstance(error, OriginGone) and not self._is_complete(step.ino):
            assert error.__cause__ is not None
            raise error.__cause__ from error  # the engine's word: what is missing here may be nowhere

    def _is_complete(self, ino: Ino) -> bool:
        body = self._desk.ledger.buffer.find(ino)
        return body is not None and body.complete

    async def _abort(self, upload: Upload) -> VaultaireError | None:
        """Throw away what was sent, or say why not: it stays in doubt then, and is thrown away when that is settled."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _ABORT_SECONDS_MAX):
            try:
                await self._desk.engine.abort_upload(upload)
            except VaultaireError as error:
                return error
            return None
        return TimedOut("the engine did not take back an unfinished upload in time", operation="flush")
