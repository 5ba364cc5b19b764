"""``vaultairefs flush``: wait until the engine has everything at and below a path."""

import os
from pathlib import Path

from vaultairefs.cli import locating
from vaultairefs.cli.progress import DrainProgress
from vaultairefs.control import client
from vaultairefs.model.errors import BadInput, TimedOut


def flush_path(path: Path, *, timeout_seconds: float | None) -> None:
    """``BadInput`` for a path outside of any volume, ``TimedOut`` when the time runs out (nothing is lost)."""
    located = locating.volume_containing(path)
    try:
        ino = os.lstat(path).st_ino
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    with DrainProgress() as progress:
        try:
            for reply in client.converse(located.state_directory, "flush", ino=ino, timeout_seconds=timeout_seconds):
                progress.show(reply)
        except TimedOut as error:
            raise TimedOut(
                f"{path} is not wholly in the engine after {timeout_seconds} s; flushing goes on in the background"
            ) from error
