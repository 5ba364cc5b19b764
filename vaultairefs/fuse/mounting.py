"""Putting a mount into the kernel's table and taking it out again.

As root the mount is made here with mount(2), not by libfuse: only so can it carry ``MS_POSIXACL`` from the start,
which makes the kernel leave the caller's umask to us (a directory with a default ACL ignores it), a type of our own
(``fuse.vaultairefs``) and ``dev``/``suid`` where they are asked for.  Everybody else mounts through fusermount3.

Promise: one clear sentence (``BadInput``) for everything an operator can mend, and nothing of a failed attempt stays.

Does not: serve the mount (``session.py``) or wait until an engine has everything (``app/``).
"""

import ctypes
import os
import stat
import subprocess
from pathlib import Path
from typing import Final

import msgspec
import structlog

from vaultairefs.disk.mount_table import FILESYSTEM_TYPE, topmost
from vaultairefs.fuse import errno_map, replacing
from vaultairefs.model.errors import BadInput, Busy

_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8
_MS_POSIXACL: Final = 1 << 16
_MS_NOSUID: Final = 1 << 1
_MS_NODEV: Final = 1 << 2
_MS_RELATIME: Final = 1 << 21
_MS_STRICTATIME: Final = 1 << 24

_WORDS: Final[dict[str, tuple[int, int]]] = {
    "ro": (1 << 0, 0),
    "rw": (0, 1 << 0),
    "nosuid": (_MS_NOSUID, 0),
    "suid": (0, _MS_NOSUID),
    "nodev": (_MS_NODEV, 0),
    "dev": (0, _MS_NODEV),
    "noexec": (1 << 3, 0),
    "exec": (0, 1 << 3),
    "sync": (1 << 4, 0),
    "async": (0, 1 << 4),
    "dirsync": (1 << 7, 0),
    "nosymfollow": (1 << 8, 0),
    "symfollow": (0, 1 << 8),
    "noatime": (1 << 10, 0),
    "atime": (0, 1 << 10),
    "nodiratime": (1 << 11, 0),
    "diratime": (0, 1 << 11),
    "relatime": (_MS_RELATIME, _MS_STRICTATIME),
    "norelatime": (0, _MS_RELATIME),
    "strictatime": (_MS_STRICTATIME, _MS_RELATIME),
    "lazytime": (1 << 25, 0),
    "nolazytime": (0, 1 << 25),
}
"""Words of mount(8): the flags of mount(2) (sys/mount.h) that each sets and clears."""

READ_AHEAD_KIB: Final = 1024
"""The kernel's 128 KiB make eight times as many READ requests; above 1 MiB nothing more is won."""

_UNMOUNT_SECONDS_MAX: Final = 60.0

_libc: Final = ctypes.CDLL(None, use_errno=True)
_log: Final = structlog.get_logger(__name__)


class MountOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a volume is shown.

    ``source`` is what ``df`` and /proc/mounts print; ``words`` are flags in mount(8)'s words, where the last of two
    contrary ones counts; ``suid`` and ``dev`` are off unless said.  ``ttl_seconds`` is how long the kernel may believe
    names and attributes without asking.
    """

    source: str
    words: tuple[str, ...] = ()
    allow_other: bool = False
    ttl_seconds: float = 10.0

    @property
    def mount_flags(self) -> int:
        """The flag bits of mount(2); ``BadInput`` for a word that is no flag."""
        bits = _MS_POSIXACL | _MS_NOSUID | _MS_NODEV
        for word in self.words:
            if word not in _WORDS:
                raise BadInput(f"{word!r} is not a flag of mount(8)")
            sets, clears = _WORDS[word]
            bits = (bits | sets) & ~clears
        return bits

    @property
    def fusermount_options(self) -> set[str]:
        """The options for libfuse and fusermount3, which refuse ``suid`` and ``dev`` to everybody but root."""
        shown = {"ro": 1 << 0, "noexec": 1 << 3, "sync": 1 << 4, "dirsync": 1 << 7, "noatime": 1 << 10}
        words = {word for word, bit in shown.items() if self.mount_flags & bit}
        if self.allow_other:
            words.add("allow_other")
        return words | {f"fsname={_escaped(self.source)}", "subtype=vaultairefs", "default_permissions"}


def resolved(mountpoint: str) -> str:
    """The absolute path to mount on; works for a dead mount, too."""
    return os.path.realpath(mountpoint)


def prepare_mountpoint(path: str) -> None:
    """Take a dead mount of ours away; ``BadInput`` when nothing can be mounted there.

    To be called right before the mount: between the two programs would work in the directory below.
    """
    if check_mountpoint(path):
        _log.warning("a dead mount is taken away", mountpoint=path)
        unmount(path, lazy=True)
        check_mountpoint(path)


def check_mountpoint(mountpoint: str) -> bool:
    """Whether a dead mount of ours is there, which must go first; ``BadInput`` when nothing can be mounted there."""
    path = resolved(mountpoint)
    top = topmost(path)
    if top is not None and top.filesystem_type == FILESYSTEM_TYPE:
        if not is_dead(path):
            raise BadInput(f"{mountpoint} is already a mounted volume")
        return True
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise BadInput(f"cannot mount on {mountpoint}: {os.strerror(error.errno or 0)}") from error
    if not is_directory:
        raise BadInput(f"cannot mount on {mountpoint}: it is not a directory")
    return False


def is_dead(path: str) -> bool:
    """Whether nobody serves the mount any more; statvfs asks, while stat may be answered by the kernel's cache."""
    try:
        os.statvfs(path)
    except OSError as error:
        return errno_map.is_disconnected(error)
    return False


def may_mount() -> bool:
    """Whether this process mounts by itself (root) or needs fusermount3."""
    return os.geteuid() == 0


def mount(path: str, options: MountOptions) -> int:
    """mount(2) at ``path``: the descriptor of its connection, which becomes the caller's to close."""
    try:
        descriptor = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise BadInput(f"cannot open /dev/fuse: {os.strerror(error.errno or 0)}") from error
    words = [
        f"fd={descriptor}",
        "rootmode=40000",
        f"user_id={os.geteuid()}",
        f"group_id={os.getegid()}",
        "default_permissions",
    ]
    if options.allow_other:
        words.append("allow_other")
    data = ctypes.c_char_p(",".join(words).encode())
    target = os.fsencode(path)
    source = os.fsencode(options.source)
    if _libc.mount(source, target, FILESYSTEM_TYPE.encode(), ctypes.c_ulong(options.mount_flags), data) != 0:
        reason = os.strerror(ctypes.get_errno())
        os.close(descriptor)
        raise BadInput(f"cannot mount on {path}: {reason}")
    return descriptor


def replace_or_mount(path: str, options: MountOptions) -> int:
    """``mount`` in place of a dead mount of ours, or where nothing is mounted."""
    if check_mountpoint(path):
        descriptor = replacing.put_beneath(
            path, lambda aside: mount(aside, options), lambda place: unmount(place, lazy=True)
        )
        if descriptor is not None:
            return descriptor
        prepare_mountpoint(path)
    return mount(path, options)


def unmount(mountpoint: str, *, lazy: bool = False) -> None:
    """Take the mount at this absolute path away; returns when programs' mapped memory is written and it is gone.

    Blocks while it does, so whoever serves the mount calls it in a thread.  ``Busy`` while programs use it; ``lazy``
    hides it at once and lets them finish.  Nothing mounted there is no error.
    """
    if may_mount():
        if _libc.umount2(os.fsencode(mountpoint), ctypes.c_int(_UMOUNT_NOFOLLOW | (_MNT_DETACH if lazy else 0))) == 0:
            return
        error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        if errno_map.is_not_mounted(error):
            return
        if errno_map.is_busy(error):
            raise Busy(f"{mountpoint} is in use", operation="unmount") from error
        raise BadInput(f"cannot unmount {mountpoint}: {error.strerror}") from error
    _fusermount_unmount(mountpoint, lazy)


def _fusermount_unmount(mountpoint: str, lazy: bool) -> None:
    if topmost(mountpoint) is None:
        return
    command = ["fusermount3", "-u", *(["-z"] if lazy else []), "--", mountpoint]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_UNMOUNT_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"cannot unmount {mountpoint}: fusermount3 failed") from error
    if done.returncode != 0 and topmost(mountpoint) is not None:
        raise Busy(f"{mountpoint} is in use", operation="unmount")


def raise_read_ahead(mountpoint: str, kib: int = READ_AHEAD_KIB) -> bool:
    """Let the kernel read ``kib`` ahead on this mount; False where it may not be set (not root, no sysfs)."""
    entry = topmost(mountpoint)
    if entry is None:
        return False
    try:
        Path(f"/sys/class/bdi/{entry.device}/read_ahead_kb").write_text(str(kib))
    except OSError as error:
        _log.info("read-ahead stays as it is", reason=os.strerror(error.errno or 0))
        return False
    return True


def _escaped(text: str) -> str:
    """A value for libfuse's comma-separated options."""
    return "".join("\\" + letter if letter in "\\," else letter for letter in text)
