"""What the kernel is told when a file is passed, and when nothing is passed at all."""

import os
import struct
from pathlib import Path

import pyfuse3

from vaultairefs.fuse import answering, greeting, passthrough


def entry() -> pyfuse3.EntryAttributes:
    made = pyfuse3.EntryAttributes()
    made.st_ino, made.st_mode, made.st_nlink = pyfuse3.InodeT(7), 0o100640, 2
    made.st_uid, made.st_gid, made.st_size, made.st_blocks, made.st_blksize = 10, 20, 1 << 33, 9, 65536
    made.st_atime_ns, made.st_mtime_ns, made.st_ctime_ns = 1_000_000_002, -1, 3_000_000_004
    made.entry_timeout, made.attr_timeout = 2.5, 0.0
    return made


def test_an_entry_is_laid_out_as_the_kernel_reads_it() -> None:
    """struct fuse_entry_out of linux/fuse.h, field by field."""
    found = answering.entry_out(entry())
    assert len(found) == 128
    assert struct.unpack_from("=QQQQII", found) == (7, 0, 2, 0, 500_000_000, 0)
    ino, size, blocks, *times = struct.unpack_from("=QQQQQQIII", found, 40)
    assert (ino, size, blocks) == (7, 1 << 33, 9)
    assert times == [1, (1 << 64) - 1, 3, 2, 999_999_999, 4]
    assert struct.unpack_from("=IIIIIII", found, 100) == (0o100640, 2, 10, 20, 0, 65536, 0)


def test_nothing_is_passed_where_the_kernel_did_not_agree(tmp_path: Path) -> None:
    assert "kernel" in passthrough.why_impossible(-1, greeting.HANDLE_KILLPRIV_V2, tmp_path)


def test_nothing_is_passed_where_the_kernel_refuses_the_body(tmp_path: Path) -> None:
    """A descriptor that is no session's stands for every refusal of the kernel."""
    no_session = os.open("/dev/null", os.O_RDWR)
    try:
        assert passthrough.why_impossible(no_session, greeting.PASSTHROUGH, tmp_path)
    finally:
        os.close(no_session)


def test_the_hooks_are_taken_out_again() -> None:
    for _ in range(2):
        assert answering.why_unsuited() == ""


def test_an_answer_waits_for_its_own_handle() -> None:
    hooks = answering.Answering()
    hooks.answer_open(5, answering.KEEP_CACHE | answering.NO_FLUSH)
    hooks.answer_create(6, entry(), answering.PASSTHROUGH | answering.DIRECT_IO, 78)
    assert hooks._answers[5] == struct.pack("=QIi", 5, 0x22, 0)
    assert hooks._answers[6] == answering.entry_out(entry()) + struct.pack("=QIi", 6, 0x81, 78)
