"""``vaultairefs warm`` and ``evict``: bring bytes near, let them go."""

import os
from pathlib import Path

from vaultairefs.cli import locating
from vaultairefs.cli.progress import CountProgress
from vaultairefs.cli.text import size_text
from vaultairefs.control import client
from vaultairefs.control.protocol import Message
from vaultairefs.model.errors import BadInput


def warm_path(path: Path) -> None:
    """Fetch everything at and below the path; ``BadInput`` when not all of it fits or could be had."""
    done = _converse(path, "warm", "fetching")
    print(f"{done['files']} files are here, {size_text(done['bytes'])} of them fetched now")
    if done["left_files"]:
        raise BadInput(
            f"{done['left_files']} files ({size_text(done['left_bytes'])}) do not fit into the buffer (buffer_size=)"
        )
    if done["failures"]:
        raise BadInput(f"{len(done['failures'])} files could not be fetched, the first: {done['failures'][0]}")


def evict_path(path: Path) -> None:
    """Let go of local copies at and below the path; what the engine does not have stays."""
    done = _converse(path, "evict", "evicting")
    print(f"{done['files']} local copies ({size_text(done['bytes'])}) are gone")
    if done["stayed"]:
        print(f"{done['stayed']} stay: they are changed, not in the engine yet, or in use")


def _converse(path: Path, verb: str, label: str) -> Message:
    located = locating.volume_containing(path)
    try:
        ino = os.lstat(path).st_ino
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    last: Message = {}
    with CountProgress(label) as progress:
        for last in client.converse(located.state_directory, verb, ino=ino):
            progress.show(f"{last.get('files', 0)} files, {size_text(int(last.get('bytes', 0)))}")
    return last
