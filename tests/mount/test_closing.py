"""close(2) asks the daemon only for those who have something to hear from it: programs that may have written."""

import os
from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop
from vaultairefs.fuse.answering import why_unsuited


@pytest.fixture(scope="module", params=["off", "auto"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with workshop() as base, mounted_daemon(base, options=[f"passthrough={request.param}"]) as running:
        yield running


@pytest.mark.parametrize(("flags", "is_asked"), [(os.O_RDONLY, False), (os.O_WRONLY, True), (os.O_RDWR, True)])
def test_a_close_is_asked_for_only_where_bytes_may_have_been_written(
    daemon: Daemon, flags: int, is_asked: bool
) -> None:
    path = daemon.mountpoint / f"file{flags}"
    path.write_bytes(b"bytes")
    before = len(daemon.events())
    os.close(os.open(path, flags))
    operations = [event["operation"] for event in daemon.events()[before:] if event["artifact"] == path.name]
    assert "open" in operations
    assert ("flush" in operations) is (is_asked or why_unsuited() != "")


def test_what_a_reader_reads_is_right_after_others_wrote(daemon: Daemon) -> None:
    """Pages are kept from open to open, as they are without it."""
    path = daemon.mountpoint / "read"
    for content in (b"first", b"second", b"3"):
        path.write_bytes(content)
        assert [path.read_bytes() for _ in range(2)] == [content] * 2
