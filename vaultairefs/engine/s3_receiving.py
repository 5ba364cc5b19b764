"""Takes the body of a ranged GET to where it belongs, once the answer's headers say that it is what was asked for.

Promise: no byte of another version, of another range or of something that is no file reaches the descriptor, and no
short body passes for a whole one, whatever the store makes of If-Match and Range.
"""

import re
from collections.abc import Callable
from typing import Final

from vaultairefs.disk.durable import write_all
from vaultairefs.engine.s3_dialects import Owner, read_attributes
from vaultairefs.engine.s3_objects import META
from vaultairefs.model.errors import Conflict, Corrupt, InvalidRequest
from vaultairefs.model.values import ANY, EntryPath, Kind, Version

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_NOBODY: Final = Owner(0, 0)


class Receiving:
    """One answer to one request for ``length`` bytes at ``offset`` of ``version``."""

    def __init__(
        self, path: EntryPath, version: Version, offset: int, length: int, descriptor: int, position: int
    ) -> None:
        self._path = path
        self._version = version
        self._offset = offset
        self._length = length
        self._descriptor = descriptor
        self._position = position
        self._skip = 0
        self._expected = 0
        self._copied = 0

    def begin(self, status: int, headers: dict[str, str]) -> Callable[[memoryview], None] | None:
        """What takes the body; None for one that is not a success and is read as text."""
        if status not in (200, 206):
            return None
        if self._version not in (ANY, headers.get("etag", "").removeprefix("W/").strip('"')):
            raise Conflict(container=self._path.container, artifact=self._path.name, operation="read")
        metadata = {name[len(META) :]: value for name, value in headers.items() if name.startswith(META)}
        if read_attributes(metadata, is_container=False, modified_ns=0, owner=_NOBODY).kind is not Kind.FILE:
            raise InvalidRequest("only files have bytes", container=self._path.container, artifact=self._path.name)
        self._measure(status, headers)
        return self._take

    def end(self) -> int:
        """How many bytes came; ``Corrupt`` unless they are all that were to come."""
        if self._copied != self._expected:
            raise self._corrupt(f"the store sent {self._copied} bytes of {self._expected}")
        return self._copied

    def _measure(self, status: int, headers: dict[str, str]) -> None:
        """Some stores say 200 for a part, or send the whole; the headers tell which."""
        said = headers.get("content-range")
        if said is None:
            if status == 206 or not headers.get("content-length", "").isdecimal():
                raise self._corrupt("the store does not say which bytes it sends")
            size = int(headers["content-length"])
            self._skip = self._offset
            self._expected = max(0, min(self._length, size - self._offset))
            return
        found = _CONTENT_RANGE.fullmatch(said)
        if found is None or int(found[1]) != self._offset:
            raise self._corrupt(f"the store answers with another range: {said}")
        self._expected = int(found[2]) + 1 - self._offset
        wanted = self._length if found[3] == "*" else min(self._length, int(found[3]) - self._offset)
        if self._expected != wanted:
            raise self._corrupt(f"the store answers with another range: {said}")

    def _take(self, block: memoryview) -> None:
        if self._skip:
            dropped = min(self._skip, len(block))
            self._skip -= dropped
            block = block[dropped:]
        block = block[: self._expected - self._copied]
        write_all(self._descriptor, block, self._position + self._copied)
        self._copied += len(block)

    def _corrupt(self, sentence: str) -> Corrupt:
        return Corrupt(sentence, container=self._path.container, artifact=self._path.name, operation="read")
