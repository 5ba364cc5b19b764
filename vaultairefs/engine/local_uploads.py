"""Uploads of large artifacts into the local engine.

An upload is a directory ``.vaultairefs/uploads/<16 hex>/`` with ``about`` (path, size, token) and ``data``.  It appears
there complete, by one rename, and outlives the process, so that its owner finds it again.  The data file is as long
as the artifact from the start and sparse: holes of the source stay holes.  A chunk goes to the offset that it has in
its source, so the source is laid out like the artifact.

Promise: nothing is visible under the artifact's name before ``commit``, which publishes it whole.  Blocking; callers
translate ``OSError``.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from vaultairefs.disk.copying import copy_range
from vaultairefs.disk.durable import sync_all, write_all
from vaultairefs.disk.os_errors import is_unsupported
from vaultairefs.engine.conditions import require
from vaultairefs.engine.interface import Upload
from vaultairefs.engine.local_artifacts import LocalArtifacts, Target
from vaultairefs.engine.local_attributes import LocalAttributes
from vaultairefs.engine.local_reading import open_for_reading
from vaultairefs.engine.local_record import Record
from vaultairefs.engine.local_session import LocalSession
from vaultairefs.engine.local_tree import UPLOADS_DIRECTORY, LocalTree
from vaultairefs.engine.paths import ROOT_PATH
from vaultairefs.engine.receipts import receipt_of, require_whole
from vaultairefs.model.errors import Corrupt, IsAContainer, NotFound
from vaultairefs.model.values import Attributes, EntryPath, Version

_DATA: Final = b"data"
_ABOUT: Final = b"about"
_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{16}")
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _About(msgspec.Struct, array_like=True):
    container: bytes
    name: bytes
    size: int
    token: str


class LocalUploads:
    """Begins, fills, publishes and forgets uploads.  Thread-safe."""

    def __init__(
        self, tree: LocalTree, attributes: LocalAttributes, session: LocalSession, artifacts: LocalArtifacts
    ) -> None:
        self._tree = tree
        self._attributes = attributes
        self._session = session
        self._artifacts = artifacts

    def begin(self, path: EntryPath, size: int, token: str) -> Upload:
        self._tree.stored_name(path)
        upload_id = secrets.token_hex(8)
        about = msgspec.msgpack.encode(_About(path.container, path.name, size, token))
        with self._session.container() as made, self._tree.private(UPLOADS_DIRECTORY, create=True) as uploads:
            assert uploads is not None
            for name, content, length in ((_ABOUT, about, len(about)), (_DATA, b"", size)):
                fd = os.open(name, _MAKE, 0o600, dir_fd=made.fd)
                try:
                    write_all(fd, content, 0)
                    os.ftruncate(fd, length)
                finally:
                    os.close(fd)
            os.rename(made.name, upload_id, src_dir_fd=made.directory, dst_dir_fd=uploads)
        return Upload(path, upload_id)

    def put_chunk(self, upload: Upload, number: int, offset: int, descriptor: int, length: int) -> str:
        with self._opened(upload) as directory, _data(upload, directory) as data:
            whole = os.fstat(descriptor).st_size >= offset + length
            for start, end in _data_ranges(descriptor, offset, offset + length):
                whole = whole and copy_range(descriptor, start, data, start, end - start) == end - start
        if not whole:
            raise _ended_early(upload, "put_chunk")
        return receipt_of(number, offset, length)

    def copy_chunk(
        self, upload: Upload, number: int, offset: int, length: int, source: EntryPath, version: Version
    ) -> str:
        with self._tree.entry(source) as pin, self._opened(upload) as directory, _data(upload, directory) as data:
            if pin.is_container:
                raise IsAContainer(container=source.container, artifact=source.name, operation="copy_chunk")
            require(pin.version, version, source, "copy_chunk")
            reading = open_for_reading(pin)
            try:
                whole = copy_range(reading, offset, data, offset, length) == length
            finally:
                os.close(reading)
            pin.refresh()
            require(pin.version, version, source, "copy_chunk")
        if not whole:
            raise _ended_early(upload, "copy_chunk")
        return receipt_of(number, offset, length)

    def commit(self, upload: Upload, receipts: Sequence[str], attributes: Attributes, expected: Version) -> Version:
        path = upload.path
        with self._tree.container(path.container) as directory:
            target = Target(directory, self._tree.stored_name(path), path, expected, "commit_upload")
            try:
                version = self._commit(upload, receipts, attributes, target)
            except NotFound:
                with self._tree.pinned(directory, target.name) as pin:
                    if pin is None or not self._artifacts.is_ours(pin, Record(upload=upload.upload_id)):
                        raise
                    version = pin.version
        self.abort(upload)
        return version

    def abort(self, upload: Upload) -> None:
        """Remove what is left of the upload."""
        with self._tree.private(UPLOADS_DIRECTORY, create=False) as uploads:
            if uploads is not None and _UPLOAD_ID.fullmatch(upload.upload_id):
                shutil.rmtree(upload.upload_id, dir_fd=uploads, onerror=_unless_gone)

    def list(self) -> Sequence[Upload]:
        """Those whose data waits to be published; what a crash left of published ones is tidied up on the way."""
        with self._tree.private(UPLOADS_DIRECTORY, create=False) as uploads:
            names = [] if uploads is None else os.listdir(uploads)
        found = []
        for upload_id in filter(_UPLOAD_ID.fullmatch, names):
            upload = Upload(ROOT_PATH, upload_id)
            with suppress(NotFound), self._opened(upload) as directory:
                about = _read_about(upload, directory)
                upload = Upload(EntryPath(about.container, about.name), upload_id)
                if _DATA.decode() in os.listdir(directory):
                    found.append(upload)
                else:
                    self.abort(upload)
        return found

    def _commit(self, upload: Upload, receipts: Sequence[str], attributes: Attributes, target: Target) -> Version:
        with self._opened(upload) as directory, _data(upload, directory) as data:
            about = _read_about(upload, directory)
            require_whole(upload, receipts, about.size)
            record = Record(token=about.token, upload=upload.upload_id)
            done = self._artifacts.check(target, record)
            if done is not None:
                return done
            pin = self._tree.observe(data)
            self._attributes.apply(pin, attributes, record)
            sync_all(data)
            return self._artifacts.publish(directory, _DATA, pin, target)

    @contextmanager
    def _opened(self, upload: Upload) -> Iterator[int]:
        """The upload's directory; ``NotFound`` when there is no such upload."""
        with self._tree.private(UPLOADS_DIRECTORY, create=False) as uploads:
            if uploads is None or not _UPLOAD_ID.fullmatch(upload.upload_id):
                raise _unknown(upload)
            try:
                fd = os.open(upload.upload_id, _OPEN, dir_fd=uploads)
            except FileNotFoundError as error:
                raise _unknown(upload) from error
        try:
            yield fd
        finally:
            os.close(fd)


@contextmanager
def _data(upload: Upload, directory: int) -> Iterator[int]:
    try:
        fd = os.open(_DATA, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError as error:
        raise _unknown(upload) from error
    try:
        yield fd
    finally:
        os.close(fd)


def _read_about(upload: Upload, directory: int) -> _About:
    try:
        fd = os.open(_ABOUT, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(fd, "rb") as about:
            return msgspec.msgpack.decode(about.read(), type=_About)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        # Power loss before its bytes were written back: nobody can publish this upload any more.
        raise _unknown(upload) from error


def _data_ranges(descriptor: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of the range that are no holes (lseek(2) SEEK_DATA); all of it where the filesystem cannot tell."""
    while start < end:
        try:
            data = os.lseek(descriptor, start, os.SEEK_DATA)
            hole = os.lseek(descriptor, data, os.SEEK_HOLE)
        except OSError as error:
            if is_unsupported(error):
                yield start, end
            return  # no data behind this point
        if data >= end:
            return
        yield data, min(hole, end)
        start = hole


def _ended_early(upload: Upload, operation: str) -> Corrupt:
    path = upload.path
    text = "the source of a chunk ended early"
    return Corrupt(text, container=path.container, artifact=path.name, operation=operation)


def _unknown(upload: Upload) -> NotFound:
    return NotFound(f"no such upload: {upload.upload_id}", container=upload.path.container, artifact=upload.path.name)


def _unless_gone(_call: object, _path: object, failure: tuple[object, BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
