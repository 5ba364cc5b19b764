"""Runs ordinary programs for the tests, in an environment that does not depend on who runs them."""

import os
import subprocess
from pathlib import Path

PROGRAM_SECONDS_MAX = 110


def plain_environment(**more: str) -> dict[str, str]:
    """PATH, a fixed locale and time zone, and an identity for git; nothing of the user's own settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        **more,
    }


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What the program wrote to standard output; the test fails with all its output when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=plain_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PROGRAM_SECONDS_MAX,
    )
    output = done.stdout.decode("utf-8", "surrogateescape")
    errors = done.stderr.decode("utf-8", "surrogateescape")
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{output}\n{errors}"
    return output
