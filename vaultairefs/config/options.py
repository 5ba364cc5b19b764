"""The text after ``-o``: split it, and tell our options from those that belong to the kernel or to mount(8).

Promise: pure; no option is dropped silently: it is ours, a kernel flag, known to mean nothing to a filesystem
(``x-*``, ``_netdev``, ``nofail``, ...: mount(8), fstab(5), systemd.mount(5)), or ``BadInput``.
"""

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

from vaultairefs.model.errors import BadInput

_OURS: Final = (
    "state tenant sync conflict buffer_size memory chunk_size flush_workers flush_delay ttl events passthrough "
    "uid gid umask allow_other log_format supervise worker "
    "endpoint_url region profile passwd_file max_requests addressing_style "
    "sse storage_class requester_pays unsigned_payload"
)
OURS: Final = frozenset(_OURS.split())
FLAGS: Final = frozenset({"allow_other", "requester_pays", "unsigned_payload"})
"""Those of ours that take no value."""

SWITCHES: Final = frozenset({"supervise"})
"""Those of ours that may stand alone, which is ``on``, or take ``on`` or ``off``."""

PATHS: Final = frozenset({"state", "passwd_file"})
"""Those of ours whose value is a path."""

_KERNEL: Final = (
    "ro rw suid nosuid dev nodev exec noexec sync async dirsync atime noatime diratime nodiratime relatime "
    "norelatime strictatime lazytime nolazytime nosymfollow symfollow"
)
KERNEL: Final = frozenset(_KERNEL.split())
"""Flags of mount(2), in mount(8)'s words; bare ``sync`` is one, ``sync=LEVEL`` is ours."""

_IGNORED: Final = (
    "defaults auto noauto user nouser users nousers owner noowner group nogroup _netdev nofail iversion noiversion "
    "mand nomand silent loud"
)
IGNORED: Final = frozenset(_IGNORED.split())
IGNORED_WITH_VALUE: Final = frozenset({"user", "comment", "helper", "uhelper"})


class MountOptions(NamedTuple):
    """``ours``: name -> text (``""`` for a flag), the last of a repeated option; ``kernel``: flags in order."""

    ours: dict[str, str]
    kernel: tuple[str, ...]


def split(text: str) -> list[str]:
    """Options between commas; a backslash takes the next character as it is (mount.fuse3(8))."""
    options, word, escaped = [], "", False
    for character in text:
        if escaped:
            word, escaped = word + character, False
        elif character == "\\":
            escaped = True
        elif character == ",":
            options.append(word)
            word = ""
        else:
            word += character
    if escaped:
        raise BadInput(f"the options {text!r} end in a backslash")
    return [option for option in [*options, word] if option]


def parse(options: Iterable[str], *, sloppy: bool = False) -> MountOptions:
    """Sort split options; ``BadInput`` for one that nobody knows or whose value is missing or not wanted.

    ``sloppy`` (mount -s) lets unknown ones pass.
    """
    ours: dict[str, str] = {}
    kernel: list[str] = []
    for option in options:
        name, equals, value = option.partition("=")
        if name.startswith(("x-", "X-")) or (name in (IGNORED_WITH_VALUE if equals else IGNORED)):
            continue
        if not equals and name in KERNEL:
            kernel.append(name)
        elif name not in OURS:
            if sloppy:
                continue
            raise BadInput(f"unknown mount option {option!r}")
        elif name in FLAGS and equals:
            raise BadInput(f"option {name} takes no value, but {option!r} gives one")
        elif name not in FLAGS | SWITCHES and not value:
            raise BadInput(f"option {name} needs a value: {name}=...")
        else:
            ours[name] = value
    return MountOptions(ours, tuple(kernel))


def with_absolute_paths(options: Iterable[str]) -> list[str]:
    """Split options, as they must be said where the working directory is another one."""
    found = []
    for option in options:
        name, equals, value = option.partition("=")
        found.append(f"{name}={os.path.abspath(value)}" if equals and value and name in PATHS else option)
    return found


def is_read_only(kernel: tuple[str, ...]) -> bool:
    """Whether ``ro`` was said, and no ``rw`` after it."""
    said = [flag for flag in kernel if flag in ("ro", "rw")]
    return bool(said) and said[-1] == "ro"
