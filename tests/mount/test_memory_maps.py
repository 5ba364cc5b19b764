"""mmap(2): what is stored through a mapping is in the file, whoever looks and however it is read."""

import faulthandler
import mmap
import os
import signal
from pathlib import Path

PAGE = mmap.PAGESIZE


def test_a_shared_mapping_and_reads_see_each_other(place: Path) -> None:
    Path("f").write_bytes(b"a" * PAGE * 3)
    with open("f", "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[PAGE : PAGE + 5] = b"store"
        assert os.pread(file.fileno(), 5, PAGE) == b"store"
        os.pwrite(file.fileno(), b"write", 2 * PAGE)
        assert mapped[2 * PAGE : 2 * PAGE + 5] == b"write"
    assert Path("f").read_bytes()[PAGE : PAGE + 5] == b"store"


def test_a_mapping_outlives_its_descriptor_and_its_name(place: Path) -> None:
    Path("f").write_bytes(bytes(PAGE * 2))
    file = open("f", "r+b", buffering=0)  # noqa: SIM115 (closed while the mapping lives)
    mapped = mmap.mmap(file.fileno(), 0)
    os.link("f", "second")
    file.close()
    os.unlink("f")
    mapped[:4] = b"late"
    mapped.flush()
    assert Path("second").read_bytes()[:4] == b"late"
    os.unlink("second")
    mapped[PAGE:] = b"z" * PAGE
    assert mapped[:4] == b"late"
    mapped.close()


def test_stores_are_in_the_file_after_the_mapping_is_gone(place: Path) -> None:
    size = PAGE * 64 + 100
    Path("f").write_bytes(bytes(size))
    with open("f", "r+b", buffering=0) as file:
        mapped = mmap.mmap(file.fileno(), size)
    for at in range(0, size - 3, 997):
        mapped[at : at + 3] = b"abc"
    mapped.close()
    expected = bytearray(size)
    for at in range(0, size - 3, 997):
        expected[at : at + 3] = b"abc"
    assert Path("f").read_bytes() == expected


def test_a_store_moves_the_times(place: Path) -> None:
    Path("f").write_bytes(bytes(PAGE))
    os.utime("f", ns=(1, 1))
    with open("f", "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 1
        mapped.flush()
        os.fsync(file.fileno())
    assert os.stat("f").st_mtime_ns > 1


def test_a_private_mapping_changes_nothing(place: Path) -> None:
    Path("f").write_bytes(b"a" * PAGE)
    with open("f", "rb", buffering=0) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[:3] = b"xyz"
    assert Path("f").read_bytes() == b"a" * PAGE


def test_a_program_runs_from_the_mount(place: Path) -> None:
    """execve maps the file; the script's interpreter reads it."""
    Path("true").write_bytes(Path("/bin/true").read_bytes())
    Path("script").write_bytes(b"#!/bin/sh\nexit 3\n")
    for name, expected in (("true", 0), ("script", 3)):
        os.chmod(name, 0o755)
        assert os.spawnv(os.P_WAIT, f"{place}/{name}", [name]) == expected


def test_a_truncated_mapping_faults_behind_the_end_and_only_there(place: Path) -> None:
    Path("f").write_bytes(b"a" * PAGE * 2)
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        with open("f", "r+b", buffering=0) as file:
            mapped = mmap.mmap(file.fileno(), 2 * PAGE)
            file.truncate(10)
        zeros = mapped[10:PAGE] == bytes(PAGE - 10) and mapped[:10] == b"a" * 10
        if not zeros:
            os._exit(1)
        _ = mapped[PAGE]
        os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGBUS
