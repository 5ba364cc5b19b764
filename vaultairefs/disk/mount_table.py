"""What is mounted in this namespace, as the kernel tells it.

Promise: reads /proc/self/mountinfo (proc_pid_mountinfo(5)) and nothing else: no path is looked up, so neither a
dead mount nor an automount is touched.
"""

from pathlib import Path
from typing import Final, NamedTuple

FILESYSTEM_TYPE: Final = "fuse.vaultairefs"
_TABLE: Final = Path("/proc/self/mountinfo")


class KernelMount(NamedTuple):
    """One line of the table; ``device`` is ``major:minor``, paths carry undecodable bytes as surrogates."""

    device: str
    mountpoint: str
    filesystem_type: str
    source: str


def kernel_mounts() -> list[KernelMount]:
    """All mounts, bottom first."""
    found = []
    with _TABLE.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            fields, kind = before.split(" "), after.rstrip("\n").split(" ")
            found.append(KernelMount(fields[2], _unescape(fields[4]), kind[0], _unescape(kind[1])))
    return found


def topmost(mountpoint: str) -> KernelMount | None:
    """What a program finds at exactly this absolute path; None when nothing is mounted there."""
    matching = [mount for mount in kernel_mounts() if mount.mountpoint == mountpoint]
    return matching[-1] if matching else None


def _unescape(text: str) -> str:
    """Space, tab, newline, ``#`` and backslash are written as three octal digits; the backslash comes last."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\043", "#"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
