"""The command line as an operator meets it, and what to look at afterwards."""

import os
import re
import select
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.daemon import COMMAND, SECONDS_MAX

LAZY = ("flush_delay=1h",)
"""Nothing reaches the engine by itself."""


def run(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_MAX, cwd=cwd, env=env, check=False)


def assert_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert re.fullmatch(r"vaultairefs: [^\n]+\n", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def mount_type(path: Path) -> str:
    found = [
        line.split(" - ")[1].split()[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4] == str(path)
    ]
    return found[-1] if found else ""


def wait_for_end(pid: int) -> None:
    """Until the process is gone; it may be already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(SECONDS_MAX * 1000)
    finally:
        os.close(descriptor)


def has_ended(pid: int) -> bool:
    """Also when nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
