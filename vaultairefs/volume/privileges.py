"""Set-user-id, set-group-id and file capabilities: when they fall.

The kernel drops them itself before a write, truncation or chown, unless the server promised to (KILLPRIV_V2) or the
truncation came with open(2) (atomic O_TRUNC): then nobody does but us.  The rules are those of chmod(2), chown(2) and
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


def keeps_set_id(caller: OperationContext) -> bool:
    """Whether the caller's writes leave setuid and setgid alone (CAP_FSETID; root has it)."""
    return caller.uid == 0


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
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return frozenset()
    for line in status.splitlines():
        if line.startswith(b"Groups:"):
            return frozenset(int(number) for number in line.split()[1:])
    return frozenset()
