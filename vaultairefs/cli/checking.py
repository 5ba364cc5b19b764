"""``vaultairefs check``: what the volume believes against what the engine holds."""

import json
import sys
from pathlib import Path
from typing import Final

from vaultairefs.cli import locating
from vaultairefs.cli.progress import CountProgress
from vaultairefs.cli.text import size_text
from vaultairefs.control import client
from vaultairefs.control.protocol import Message

DIFFERENCES_STATUS: Final = 4
"""The exit status of differences that were not repaired (as fsck(8) has it)."""


def check_volume(directory: Path, *, deep: bool, repair: bool, as_json: bool) -> None:
    """Print every difference; exits with 4 when some are left.  ``BadInput``, ``Unavailable`` when nobody can say."""
    located = locating.volume_at(directory)
    differences: list[Message] = []
    counts: Message = {}
    with CountProgress("checking") as progress:
        for reply in client.converse(located.state_directory, "check", deep=deep, repair=repair):
            if "difference" in reply:
                differences.append(reply["difference"])
                if not as_json:
                    print(_line(reply["difference"]), flush=True)
            counts = reply.get("counts", counts)
            progress.show(f"{counts.get('entries', 0)} entries, {size_text(int(counts.get('bytes', 0)))} compared")
    left = sum(1 for difference in differences if not difference["repaired"])
    if as_json:
        print(json.dumps({**counts, "differences": differences, "left": left}, indent=2))
    else:
        print(_summary(counts, len(differences), left, deep=deep))
    if left:
        sys.exit(DIFFERENCES_STATUS)


def _line(difference: Message) -> str:
    done = "repaired  " if difference["repaired"] else ""
    return f"{difference['kind']:<10}  {done}/{difference['path']}: {difference['detail']}"


def _summary(counts: Message, found: int, left: int, *, deep: bool) -> str:
    compared = f", {counts['files_compared']} local copies compared" if deep else ""
    return (
        f"{counts['entries']} entries in {counts['containers']} containers{compared}; {counts['owed']} left out, as "
        f"they are changing; {found} differences, {left} left"
    )
