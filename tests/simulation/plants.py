"""Faults to plant in a history: each takes back one thing that a promise stands on, so that the judge must complain."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.simulation.network import Store
from vaultairefs.model.values import ANY

_RECORD_BYTES: Final = 30
"""Fewer than the shortest record of the journal takes: enough to spoil the newest one."""


def forget_writes(store: Store, state: Path) -> None:
    """After a kill: half of every body is gone."""
    for body in (state / "bodies").glob("*/*"):
        with body.open("r+b") as file:
            file.truncate(body.stat().st_size // 2)


def forget_names(store: Store, state: Path) -> None:
    """After a kill: the newest record of the journal is gone."""
    for segment in sorted((state / "journal").glob("journal-*"))[-1:]:
        data = segment.read_bytes().rstrip(b"\0")
        with segment.open("r+b") as file:
            file.seek(max(len(data) - _RECORD_BYTES, 0))
            file.write(bytes(_RECORD_BYTES))


def overwrite(store: Store, state: Path) -> None:
    """The store heeds no condition of a put."""
    put = store.tree.put

    def heedless(path: Any, content: Any, attributes: Any, expected: Any, *more: Any, **options: Any) -> Any:
        return put(path, content, attributes, ANY, *more, **options)

    store.tree.put = heedless


def leave_uploads(store: Store, state: Path) -> None:
    """Whoever throws an upload away is told that it is done."""

    async def deaf(upload: Any) -> None:
        return None

    vars(store)["abort_upload"] = deaf


def mix_versions(store: Store, state: Path) -> None:
    """A read takes the bytes of whatever version is there."""
    read = store.read

    async def heedless(path: Any, version: Any, *where: Any) -> Any:
        return await read(path, ANY, *where)

    vars(store)["read"] = heedless


AT_START: Final[dict[str, Callable[[Store, Path], None]]] = {
    "overwrite": overwrite,
    "leave-uploads": leave_uploads,
    "mix-versions": mix_versions,
}
AFTER_KILL: Final[dict[str, Callable[[Store, Path], None]]] = {
    "forget-writes": forget_writes,
    "forget-names": forget_names,
}
