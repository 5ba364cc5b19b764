"""What cannot reach the engine before somebody decides, on a real mount: umount and flush end, with the reason."""

import errno
import os
from collections.abc import Iterator

import pytest

from tests.support.command_line import assert_one_sentence, mount_type, run
from tests.support.daemon import Daemon, workshop

SIZE = 3 << 20


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with workshop() as base:
        daemon = Daemon(base, options=("flush_delay=1h",))
        try:
            yield daemon
        finally:
            daemon.end()


def test_a_conflict_at_policy_fail_ends_flush_and_umount_with_the_reason(daemon: Daemon) -> None:
    daemon.options.append("conflict=fail")
    daemon.mount()
    (daemon.mountpoint / "file").write_bytes(b"ours")
    (daemon.engine / "file").write_bytes(b"theirs")
    assert_one_sentence(run("flush", daemon.mountpoint / "file"), "conflict=fail")
    assert_one_sentence(run("flush", daemon.mountpoint), "conflict=fail")
    assert_one_sentence(run("umount", daemon.mountpoint), "conflict=fail", str(daemon.state))
    assert mount_type(daemon.mountpoint) == ""
    assert (daemon.engine / "file").read_bytes() == b"theirs"
    daemon.mount()
    assert (daemon.mountpoint / "file").read_bytes() == b"ours"
    assert daemon.status()["conflicts"] == 0
    (daemon.engine / "file").unlink()
    daemon.umount()
    assert (daemon.engine / "file").read_bytes() == b"ours"


def test_a_changed_file_whose_other_bytes_are_gone_goes_on_beside_and_never_reads_as_zeros(daemon: Daemon) -> None:
    (daemon.engine / "file").write_bytes(os.urandom(SIZE))
    daemon.mount()
    with (daemon.mountpoint / "file").open("r+b", buffering=0) as file:
        file.write(b"changed")
    (daemon.engine / "new").write_bytes(b"theirs")
    (daemon.engine / "new").rename(daemon.engine / "file")
    assert_one_sentence(run("umount", daemon.mountpoint), "gone", "recover")
    assert sorted(path.name for path in daemon.engine.iterdir() if path.is_file()) == ["file"]
    daemon.mount()
    (kept,) = (name for name in os.listdir(daemon.mountpoint) if name.startswith("file.conflict-"))
    assert (daemon.mountpoint / "file").read_bytes() == b"theirs"
    with (daemon.mountpoint / kept).open("rb", buffering=0) as file:
        with pytest.raises(OSError) as caught:
            os.pread(file.fileno(), 100, SIZE // 2)
        assert caught.value.errno == errno.EIO
    (daemon.mountpoint / kept).unlink()
    daemon.umount()
