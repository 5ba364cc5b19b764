"""What a new entry is born with: owner, group, mode and access lists.

The caller's umask counts unless the container has a default access list (acl(5), "object creation and default ACLs");
in a setgid container the group is the container's, and a new container is setgid too (inode(7)).

Pure: takes values, returns values.
"""

import stat

from vaultairefs.model.context import OperationContext
from vaultairefs.model.values import Attributes, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import acl

SYMLINK_MODE = 0o777


def attributes_for(
    kind: Kind,
    mode: int,
    home: Inode,
    caller: OperationContext,
    now_ns: int,
    *,
    rdev: int = 0,
    target: bytes = b"",
) -> Attributes:
    """The attributes of a new ``kind`` in container ``home``, asked for with permission bits ``mode``."""
    mode = stat.S_IMODE(mode)
    xattrs: dict[bytes, bytes] = {}
    if kind is Kind.SYMLINK:
        mode = SYMLINK_MODE
    elif home.xattrs and acl.DEFAULT in home.xattrs:
        mode, xattrs = _by_default_list(kind, mode, home.xattrs[acl.DEFAULT])
    else:
        mode &= ~caller.umask
    gid = caller.gid
    if home.mode & stat.S_ISGID:
        gid = home.gid
        if kind is Kind.CONTAINER:
            mode |= stat.S_ISGID
    return Attributes(
        kind=kind,
        mode=mode,
        uid=caller.uid,
        gid=gid,
        atime_ns=now_ns,
        mtime_ns=now_ns,
        ctime_ns=now_ns,
        rdev=rdev,
        target=target,
        xattrs=xattrs,
    )


def _by_default_list(kind: Kind, mode: int, default: bytes) -> tuple[int, dict[bytes, bytes]]:
    access, mode = acl.inherit(default, mode)
    xattrs = {acl.DEFAULT: default} if kind is Kind.CONTAINER else {}
    if access is not None:
        xattrs[acl.ACCESS] = access
    return mode, xattrs
