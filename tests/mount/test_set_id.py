"""Who writes to a program takes its setuid, setgid and file capabilities away, however the bytes get there."""

import mmap
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.callers import NOBODY, SOMEBODY, as_user
from tests.support.daemon import Daemon

CAPABILITY = b"\x01\0\0\x02" + b"\0\x04\0\0" + bytes(12)
"""cap_net_bind_service=ep as ``struct vfs_cap_data`` (capabilities(7), linux/capability.h)."""

WITHOUT_FSETID = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_FSETID = 24, 4
assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_FSETID, 0, 0, 0) == 0
os.execvp(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


def mode() -> int:
    return os.stat("program").st_mode & 0o7777


def make_program() -> None:
    Path("program").write_bytes(b"code" * 2048)
    os.chown("program", NOBODY, NOBODY)
    os.chmod("program", 0o6777)


def write_direct(descriptor: int) -> None:
    with mmap.mmap(-1, 4096) as block:
        os.pwritev(descriptor, [block], 0)


@pytest.mark.parametrize(
    ("flags", "act"),
    [
        (os.O_WRONLY, lambda descriptor: os.write(descriptor, b"evil")),
        (os.O_RDWR | os.O_APPEND, lambda descriptor: os.write(descriptor, b"evil")),
        (os.O_WRONLY | os.O_DIRECT, write_direct),
        (os.O_WRONLY, lambda descriptor: os.ftruncate(descriptor, 3)),
    ],
    ids=["write", "append", "direct", "ftruncate"],
)
def test_the_writer_counts_not_the_opener(place: Path, flags: int, act: Callable[[int], object]) -> None:
    """A descriptor that root opened and an unprivileged process inherited."""
    make_program()
    descriptor = os.open("program", flags)
    as_user(lambda: act(descriptor) and None, SOMEBODY)
    os.close(descriptor)
    assert mode() == 0o777


def test_root_keeps_them(place: Path) -> None:
    make_program()
    with open("program", "r+b", buffering=0) as file:
        file.write(b"update")
        file.truncate(10)
    assert mode() == 0o6777


@pytest.mark.parametrize(
    "act",
    [
        "open('program', 'r+b').write(b'x')",
        "import os; os.truncate('program', 1)",
        "import os; os.open('program', os.O_WRONLY | os.O_TRUNC)",
    ],
    ids=["write", "truncate", "o_trunc"],
)
def test_root_without_the_capability_for_it_does_not(place: Path, act: str) -> None:
    make_program()
    subprocess.run([sys.executable, "-c", WITHOUT_FSETID, act], check=True)
    assert mode() == 0o777


@pytest.mark.parametrize("act", ["write", "truncate", "o_trunc"])
def test_file_capabilities_fall_whoever_writes(place: Path, act: str) -> None:
    make_program()
    os.setxattr("program", "security.capability", CAPABILITY)
    assert os.getxattr("program", "security.capability") == CAPABILITY
    if act == "write":
        with open("program", "r+b", buffering=0) as file:
            file.write(b"update")
    elif act == "truncate":
        os.truncate("program", 10)
    else:
        os.close(os.open("program", os.O_WRONLY | os.O_TRUNC))
    assert os.listxattr("program") == []


def test_writes_ask_for_no_attribute(daemon: Daemon, place: Path) -> None:
    """Without KILLPRIV_V2 the kernel asks for security.capability before each write."""
    with open("busy", "w+b", buffering=0) as file:
        os.setxattr("busy", "user.colour", b"red")
        begun = daemon.status()["event_sequence"]
        for number in range(200):
            os.pwrite(file.fileno(), bytes(4096), number * 4096)
        asked = [event for event in daemon.events() if event["sequence"] > begun and event["operation"] == "getxattr"]
    assert len(asked) <= 2
    assert os.getxattr("busy", "user.colour") == b"red"
