"""What a listing asks of an object store, counted by the daemon itself."""

import os
from collections import Counter

from tests.support import stores
from tests.support.daemon import Daemon, workshop

FILES = 50


def requests_of(daemon: Daemon) -> Counter[str]:
    return Counter(daemon.status()["store_requests"])


def test_a_mount_that_knows_nothing_lists_files_without_asking_for_each() -> None:
    with stores.moto() as server, workshop() as base:
        daemon = Daemon(base, server=server)
        folder = daemon.mountpoint / "folder"
        try:
            daemon.mount()
            folder.mkdir()
            for number in range(FILES):
                (folder / f"{number}").write_bytes(b"x" * number)
                (folder / f"{number}").chmod(0o600 + number % 8)
            (folder / "link").symlink_to("1")
            written = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
            daemon.umount()
            daemon.forget_state()
            daemon.mount()
            before = requests_of(daemon)
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
            cost = requests_of(daemon) - before
            assert len(found) == FILES + 1
            for name, status in found.items():
                expected = written[name]
                assert (status.st_mode, status.st_size) == (expected.st_mode, expected.st_size)
                assert status.st_mtime_ns == expected.st_mtime_ns
            assert os.readlink(folder / "link") == "1"
            assert cost["head"] <= 2, "the folder's own attributes, and the root's"
            assert cost.total() <= 6
            daemon.umount()
        finally:
            daemon.end()
