"""The local engine with what the tests' world needs: interference, failures, small chunks, a walk."""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from vaultairefs.engine.interface import Capabilities, EntryInfo
from vaultairefs.engine.local import LocalEngine
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import EntryPath, Kind


class Directory(LocalEngine):
    """A local engine over ``root``; see ``Interfering`` for ``before`` and ``after``."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        super().__init__(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), f"file://{root}")
        self.before: Callable[[str], None] = lambda verb: None
        self.after: Callable[[str], None] = lambda verb: None
        self._planned: defaultdict[str, deque[tuple[VaultaireError, bool]]] = defaultdict(deque)

    @property
    def capabilities(self) -> Capabilities:
        return msgspec.structs.replace(super().capabilities, inline_bytes_max=64, chunk_bytes=40)

    def fail_next(self, verb: str, error: VaultaireError, *, applied: bool = False) -> None:
        self._planned[verb].append((error, applied))

    async def _run(self, operation: str, path: EntryPath, work: Any, limiter: Any = None) -> Any:
        self.before(operation)
        error, applied = self._planned[operation].popleft() if self._planned[operation] else (None, False)
        if error is not None and not applied:
            raise error
        answer = await super()._run(operation, path, work, limiter)
        self.after(operation)
        if error is not None:
            raise error
        return answer

    def walk(self, container: bytes = b"") -> Iterator[tuple[EntryPath, EntryInfo, bytes]]:
        cursor: str | None = None
        while True:
            page = self._reading.list(container, cursor)
            for info in page.entries:
                path = EntryPath(container, info.name)
                is_file = info.attributes.kind is Kind.FILE
                yield path, info, (self.root / os.fsdecode(path.joined)).read_bytes() if is_file else b""
                if info.attributes.kind is Kind.CONTAINER:
                    yield from self.walk(path.joined)
            cursor = page.cursor
            if cursor is None:
                return

    def parked(self) -> list[bytes]:
        staging = self.root / ".vaultairefs" / "staging"
        return [os.fsencode(entry.name) for entry in staging.iterdir()] if staging.exists() else []
