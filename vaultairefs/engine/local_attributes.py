"""Attributes of an inode in the local engine: native where the filesystem can hold them, recorded where not.

Promise: what ``apply`` was given is what ``read`` returns, whatever the filesystem and our privileges are; except
ctime, which only the kernel sets, and the mode of symlinks, which Linux does not have.  Nothing is durable before the
caller syncs the inode.
Not shown, because they belong to the host: labels of security modules, and attributes of other namespaces than
``user.``, ``trusted.``, ``security.`` and POSIX ACLs.
"""

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from vaultairefs.engine.local_record import OWN_NAMES, Record, Records, Sidecars, meant, read_xattr, refused, stamp_of
from vaultairefs.engine.local_system import effective_capabilities
from vaultairefs.engine.local_tree import Pin, through
from vaultairefs.model.values import Attributes, Kind, kind_of

_CAP_DAC_OVERRIDE: Final = 1
_ACLS: Final = frozenset({b"system.posix_acl_access", b"system.posix_acl_default"})
_SHOWN_PREFIXES: Final = (b"user.", b"trusted.", b"security.")
_HOST_LABELS: Final = (b"security.selinux", b"security.ima", b"security.evm", b"security.SMACK64", b"security.apparmor")
_NODES: Final = frozenset({Kind.FIFO, Kind.SOCKET, Kind.CHARACTER, Kind.BLOCK})


class LocalAttributes:
    """Translates between an inode and ``Attributes``."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._reads_anything = bool(effective_capabilities() >> _CAP_DAC_OVERRIDE & 1)

    def sidecars(self) -> AbstractContextManager[Sidecars]:
        """See ``Records.sidecars``."""
        return self._records.sidecars()

    def read(self, pin: Pin, sidecars: Sidecars | None = None) -> tuple[Attributes, Record]:
        """The attributes that are meant, and the record they partly come from."""
        names = _xattr_names(pin.fd)
        record = self._records.read(pin, names, sidecars)
        status = pin.status
        kind, rdev = kind_of(status.st_mode), 0
        if kind in (Kind.CHARACTER, Kind.BLOCK):
            rdev = status.st_rdev
        elif record.kind in _NODES and kind is Kind.FILE and status.st_size == 0:
            kind, rdev = Kind(record.kind), record.rdev
        xattrs = {name: read_xattr(pin.fd, name) for name in names if _is_shown(name)}
        xattrs.update(record.xattrs)
        attributes = Attributes(
            kind=kind,
            mode=meant(record.mode, stat.S_IMODE(status.st_mode)),
            uid=meant(record.uid, status.st_uid),
            gid=meant(record.gid, status.st_gid),
            atime_ns=meant(record.atime_ns, status.st_atime_ns),
            mtime_ns=meant(record.mtime_ns, status.st_mtime_ns),
            ctime_ns=status.st_ctime_ns,
            rdev=rdev,
            target=os.readlink(b"", dir_fd=pin.fd) if kind is Kind.SYMLINK else b"",
            xattrs=xattrs,
        )
        return attributes, record

    def apply(self, pin: Pin, attributes: Attributes, record: Record) -> None:
        """Give the inode these attributes; ``record`` brings token and stand-in kind.  Refreshes the pin.

        The order matters: chown drops setuid bits and capabilities, an ACL changes mode bits, so the mode comes after
        both and the times last.
        """
        path = through(pin.fd)
        is_symlink = stat.S_ISLNK(pin.status.st_mode)
        _tolerating_refusal(os.chown, path, attributes.uid, attributes.gid)
        _set_xattrs(pin.fd, attributes.xattrs)
        if not is_symlink:
            _tolerating_refusal(os.chmod, path, self._native_mode(pin, attributes.mode))
        _set_times(path, attributes.atime_ns, attributes.mtime_ns)
        pin.refresh()
        names = _xattr_names(pin.fd)
        record = _completed(record, pin, attributes, names)
        if record != self._records.read(pin, names) or len(names & OWN_NAMES) > 1:
            self._records.write(pin, names, record)
            pin.refresh()

    def forget_if_nameless(self, pin: Pin) -> None:
        """Remove what was kept elsewhere for an inode that has durably lost its last name."""
        if os.fstat(pin.fd).st_nlink == 0:
            self.forget(pin.identity)

    def forget(self, identity: str) -> None:
        """Remove what was kept elsewhere for an inode that is no more."""
        self._records.forget(identity)

    def _native_mode(self, pin: Pin, mode: int) -> int:
        """Without the privilege to read everything we keep access to our own files; the record knows the real mode."""
        if self._reads_anything:
            return mode
        return mode | (0o700 if pin.is_container else 0o600)


def _completed(record: Record, pin: Pin, attributes: Attributes, names: frozenset[bytes]) -> Record:
    """The record with everything that the inode turned out not to hold."""
    status = pin.status
    native = {
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "atime_ns": status.st_atime_ns,
        "mtime_ns": status.st_mtime_ns,
    }
    pairs: dict[str, tuple[int, int] | None] = {}
    for field, value in native.items():
        wanted = getattr(attributes, field)
        skipped = field == "mode" and stat.S_ISLNK(status.st_mode)
        pairs[field] = None if skipped or wanted == value else (value, wanted)
    lost = {
        name: value
        for name, value in attributes.xattrs.items()
        if not (name in names and _is_shown(name) and read_xattr(pin.fd, name) == value)
    }
    stamp = stamp_of(status) if record.token or record.upload else ""
    return msgspec.structs.replace(record, stamp=stamp, xattrs=lost, **pairs)


def _xattr_names(fd: int) -> frozenset[bytes]:
    try:
        return frozenset(os.fsencode(name) for name in os.listxattr(through(fd)))
    except OSError as error:
        if not refused(error):
            raise
        return frozenset()


def _is_shown(name: bytes) -> bool:
    if name in OWN_NAMES or name.startswith(_HOST_LABELS):
        return False
    return name in _ACLS or name.startswith(_SHOWN_PREFIXES)


def _set_xattrs(fd: int, wanted: dict[bytes, bytes]) -> None:
    """Make the inode's own attributes these, as far as it takes them; inherited ACLs go."""
    path = through(fd)
    for name in _xattr_names(fd):
        if _is_shown(name) and name not in wanted:
            _tolerating_refusal(os.removexattr, path, name)
    for name, value in wanted.items():
        if _is_shown(name):
            _tolerating_refusal(os.setxattr, path, name, value)


def _set_times(path: str, atime_ns: int, mtime_ns: int) -> None:
    try:
        _tolerating_refusal(lambda: os.utime(path, ns=(atime_ns, mtime_ns)))
    except OverflowError:
        pass  # beyond what the kernel's interface can say: the record holds it


def _tolerating_refusal(call: Callable[..., object], *arguments: object) -> None:
    """Do it if the filesystem and our privileges allow; ``_completed`` finds out what did not happen."""
    try:
        call(*arguments)
    except OSError as error:
        if not refused(error):
            raise
