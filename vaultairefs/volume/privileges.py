"""Set-user-id, set-group-id and file capabilities: when they fall.

The kernel leaves that to a server that promised it (KILLPRIV_V2): it then says with a request to set no attribute at
all that a write is about to happen, and nothing for a truncation.  The rules are those of chmod(2), chown(2) and
Linux ``setattr_should_drop_suidgid``.

Does not: check permissions.
"""

import stat
from pathlib import Path
from typing import Final

from vaultairefs.model.context import OperationContext
from vaultairefs.model.values import Kind
from vaultairefs.namespace import Inode

CAPABILITY: Final = b"security.capability"
"""The xattr that holds a program's file capabilities (capabilities(7))."""

_CAP_FSETID: Final = 1 << 4


def keeps_set_id(caller: OperationContext) -> bool:
    """Whether the caller's writes leave setuid and setgid alone: root with CAP_FSETID (capabilities(7)).

    Root in a container may lack it.  Where the process cannot be asked any more, being root counts.
    """
    if caller.uid != 0:
        return False
    word = _status_line(caller.pid, b"CapEff:")
    return word is None or bool(int(word, 16) & _CAP_FSETID)


def mode_without_set_id(mode: int) -> int:
    """The permission bits after a write by somebody unprivileged.

    setgid without group execution once meant mandatory locking and stays.
    """
    mode &= ~stat.S_ISUID
    if mode & stat.S_IXGRP:
        mode &= ~stat.S_ISGID
    return mode


def mode_after_chown(inode: Inode) -> int:
    """The permission bits after a change of owner or group, by anybody (Linux drops for root too)."""
    return inode.mode if inode.kind is Kind.CONTAINER else mode_without_set_id(inode.mode)


def belongs_to_group(caller: OperationContext, gid: int) -> bool:
    """Whether the caller may keep setgid on something of ``gid``: root, or a member of the group."""
    return caller.uid == 0 or caller.gid == gid or gid in _supplementary_groups(caller.pid)


def _supplementary_groups(pid: int) -> frozenset[int]:
    """The groups of a process (proc(5)); none when it is gone.  FUSE requests carry only the primary group."""
    return frozenset(int(number) for number in (_status_line(pid, b"Groups:") or b"").split())


def _status_line(pid: int, label: bytes) -> bytes | None:
    """What /proc says behind ``label`` of a process; None when it is gone, or is the kernel itself (pid 0)."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes() if pid else b""
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith(label):
            return line[len(label) :]
    return None
