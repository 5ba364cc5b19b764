"""Copy findings out of a state directory: the bytes, and beside them what is known of them.

Promise: nothing that is there already is overwritten; bytes that are not known stay holes, and the report says which.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from vaultairefs.app.findings import Finding
from vaultairefs.disk.copying import copy_range
from vaultairefs.model.errors import BadInput


def export(found: Iterable[Finding], target: Path, mount: str) -> None:
    """``ID`` and ``ID.json`` in ``target`` for each finding; prints a line each."""
    target.mkdir(parents=True, exist_ok=True)
    for finding in found:
        name = finding.id.replace("/", "_")
        if (target / name).exists() or (target / f"{name}.json").exists():
            raise BadInput(f"{target / name} is there already; nothing is overwritten")
        if finding.file and os.path.exists(finding.file):
            _copy(Path(finding.file), target / name, finding.extents)
            said = f"{target / name}"
        else:
            said = f"{target / name}.json only: its bytes are in the engine" if finding.path else "nothing: it is gone"
        report = {**msgspec.to_builtins(finding), "mount": mount}
        (target / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
        print(f"{finding.kind:<10}  {finding.path or finding.id}: {said}")


def _copy(source: Path, target: Path, extents: list[tuple[int, int]] | None) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        size = os.fstat(reader.fileno()).st_size
        for offset, length in [(0, size)] if extents is None else extents:
            copy_range(reader.fileno(), offset, writer.fileno(), offset, min(length, max(size - offset, 0)))
        os.ftruncate(writer.fileno(), size)
