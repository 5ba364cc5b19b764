"""The argv that mount(8) and umount(8) give their helpers."""

import subprocess
import sys
from pathlib import Path

import pytest

from vaultairefs.cli import helpers
from vaultairefs.model.errors import BadInput

PROGRAMS = Path(sys.executable).parent


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the bare environment that helpers get."""
    return subprocess.run(
        [PROGRAMS / program, *arguments], capture_output=True, text=True, timeout=60, env={}, check=False
    )


def test_letters_come_in_clusters_and_values_in_the_next_word() -> None:
    call = helpers.parse_call(
        ["file:///x", "/mnt/x", "-sn", "-v", "-o", "rw,allow_other", "-t", "fuse.vaultairefs", "-oro"],
        flags="sfnv",
        valued="oNt",
    )
    assert call == (["file:///x", "/mnt/x"], "snv", {"o": ["rw,allow_other", "ro"], "t": ["fuse.vaultairefs"]})


@pytest.mark.parametrize("arguments", [["-q"], ["-o"], ["-vN"]])
def test_an_unknown_letter_and_a_missing_value_are_refused(arguments: list[str]) -> None:
    with pytest.raises(BadInput):
        helpers.parse_call(arguments, flags="sfnv", valued="oNt")


@pytest.mark.parametrize(
    ("program", "arguments", "status"),
    [
        ("mount.fuse.vaultairefs", ["only-one"], 1),
        ("mount.fuse.vaultairefs", ["file:///x", "/mnt", "-q"], 1),
        ("mount.fuse.vaultairefs", ["file:///x", "/mnt", "-o", "bogus"], 32),
        ("mount.vaultairefs", ["file:///x", "/mnt", "-o", "sync=never"], 32),
        ("mount.vaultairefs", ["file:///does/not/exist", "/mnt"], 32),
        ("mount.vaultairefs", ["file:///", "/does/not/exist"], 32),
        ("mount.vaultairefs", ["file:///", "/mnt", "-N", "/proc/1/ns/mnt"], 32),
        ("umount.fuse.vaultairefs", [], 1),
        ("umount.fuse.vaultairefs", ["/", "-q"], 1),
    ],
)
def test_what_cannot_work_is_one_sentence_with_the_status_of_mount(
    program: str, arguments: list[str], status: int
) -> None:
    done = run(program, *arguments)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(f"{program}: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_mount_f_checks_the_options_and_mounts_nothing() -> None:
    assert run("mount.fuse.vaultairefs", "file:///x", "/mnt/none", "-f", "-o", "rw,_netdev").returncode == 0
    assert run("mount.fuse.vaultairefs", "file:///x", "/mnt/none", "-f", "-o", "bogus").returncode == 32


@pytest.mark.parametrize("module", ["vaultairefs.cli.helpers", "vaultairefs.cli.statuses", "vaultairefs.cli.locating"])
def test_status_and_the_umount_helper_load_neither_trio_nor_pyfuse3_nor_pydantic(module: str) -> None:
    script = (
        f"import sys, {module}; print([m for m in ('trio', 'pyfuse3', 'pydantic', 'structlog') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
