"""The handlers: each asks the volume once, for the right caller, and lets nothing but an errno out."""

import errno
import os
from typing import Any, cast

import pyfuse3
import pytest
import structlog

from tests.unit.fuse.volumes import StandInVolume, fields_of, make_inode, request_of
from vaultairefs.fuse.adapter import Adapter
from vaultairefs.model import errors
from vaultairefs.model.context import NOBODY
from vaultairefs.model.values import ROOT, Kind
from vaultairefs.volume import AttributeRequest, RenameMode, Volume


def adapter_for(volume: StandInVolume) -> Any:
    return Adapter(cast(Volume, volume), tenant="acme", ttl_seconds=5.0)


async def test_the_volume_knows_who_asks() -> None:
    volume = StandInVolume(mkdir=make_inode(5, Kind.CONTAINER))
    await adapter_for(volume).mkdir(1, b"d", 0o40755, request_of(pid=os.getpid(), uid=12, gid=13, umask=0o77))
    caller = volume.callers[0]
    assert (caller.tenant, caller.pid, caller.uid, caller.gid, caller.umask) == ("acme", os.getpid(), 12, 13, 0o77)
    assert caller.comm
    assert volume.questions == [("mkdir", 1, b"d", 0o755)]


async def test_a_handle_operation_does_not_pass_for_the_caller_before_it() -> None:
    volume = StandInVolume(read=b"bytes", getattr=make_inode(2))
    adapter = adapter_for(volume)
    await adapter.getattr(2, request_of())
    await adapter.read(3, 0, 10)
    assert volume.callers[-1] is NOBODY


async def test_a_free_name_may_be_remembered_by_the_kernel() -> None:
    entry = await adapter_for(StandInVolume(lookup=errors.NotFound())).lookup(1, b"x", request_of())
    assert (entry.st_ino, entry.entry_timeout) == (0, 5.0)


async def test_entries_are_believed_for_the_ttl() -> None:
    entry = await adapter_for(StandInVolume(lookup=make_inode(7))).lookup(1, b"x", request_of())
    assert (entry.st_ino, entry.entry_timeout, entry.attr_timeout) == (7, 5.0, 5.0)


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        (0, RenameMode.REPLACE),
        (pyfuse3.RENAME_NOREPLACE, RenameMode.NO_REPLACE),
        (pyfuse3.RENAME_EXCHANGE, RenameMode.EXCHANGE),
    ],
)
async def test_rename_flags_reach_the_volume(flags: int, mode: RenameMode) -> None:
    volume = StandInVolume()
    await adapter_for(volume).rename(1, b"a", 2, b"b", flags, request_of())
    assert volume.questions == [("rename", 1, b"a", 2, b"b", mode)]


async def test_unknown_rename_flags_are_invalid() -> None:
    volume = StandInVolume()
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await adapter_for(volume).rename(1, b"a", 2, b"b", 4, request_of())
    assert caught.value.errno == errno.EINVAL
    assert not volume.questions


@pytest.mark.parametrize(
    ("error", "number"),
    [(errors.OutOfSpace(), errno.ENOSPC), (errors.Stale(), errno.ESTALE), (errors.DeviceFailed(), errno.EIO)],
)
async def test_our_errors_leave_as_their_errno(error: Exception, number: int) -> None:
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await adapter_for(StandInVolume(write=error)).write(3, 0, b"x")
    assert caught.value.errno == number


@pytest.mark.parametrize("failing", ["read", "getattr", "open"])
async def test_anything_unexpected_becomes_eio_and_a_log_line(failing: str) -> None:
    adapter = adapter_for(StandInVolume(**{failing: RuntimeError("a bug")}))
    arguments: dict[str, tuple[Any, ...]] = {
        "read": (3, 0, 10),
        "getattr": (2, request_of()),
        "open": (2, os.O_RDONLY, request_of()),
    }
    with structlog.testing.capture_logs() as logs, pytest.raises(pyfuse3.FUSEError) as caught:
        await getattr(adapter, failing)(*arguments[failing])
    assert caught.value.errno == errno.EIO
    (line,) = logs
    assert (line["log_level"], line["handler"]) == ("error", failing)
    assert isinstance(line["exc_info"], RuntimeError)


async def test_forget_raises_nothing_whatever_happens() -> None:
    volume = StandInVolume(forget=RuntimeError("a bug"))
    with structlog.testing.capture_logs() as logs:
        await adapter_for(volume).forget([(5, 2), (6, 1)])
    assert volume.questions == [("forget", [(5, 2), (6, 1)])]
    assert [line["log_level"] for line in logs] == ["error"]


async def test_only_named_attributes_are_changed() -> None:
    volume = StandInVolume(setattr=make_inode(2))
    attributes = pyfuse3.EntryAttributes()
    attributes.st_mode, attributes.st_size, attributes.st_mtime_ns = 0o100640, 99, -5
    await adapter_for(volume).setattr(2, attributes, fields_of("mode", "mtime"), None, request_of())
    assert volume.questions == [("setattr", 2, AttributeRequest(mode=0o640, mtime_ns=-5), None)]


async def test_the_kernels_empty_setattr_stays_empty() -> None:
    volume = StandInVolume(setattr=make_inode(2))
    await adapter_for(volume).setattr(2, pyfuse3.EntryAttributes(), fields_of(), 4, request_of())
    assert volume.questions == [("setattr", 2, AttributeRequest(), 4)]


async def test_files_that_the_kernel_never_released_are_closed_at_the_end() -> None:
    volume = StandInVolume(create=(make_inode(9), 21), open=22)
    adapter = adapter_for(volume)
    await adapter.create(1, b"f", 0o100600, os.O_RDWR, request_of())
    await adapter.open(9, os.O_RDONLY, request_of())
    await adapter.release(22)
    volume.answers["release"] = errors.DeviceFailed()
    with structlog.testing.capture_logs() as logs:
        await adapter.release_all()
    assert [call for call in volume.questions if call[0] == "release"] == [("release", 22), ("release", 21)]
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_the_kernel_counts_listed_entries_but_not_the_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(b".", make_inode(1, Kind.CONTAINER), 1), (b"..", make_inode(1, Kind.CONTAINER), 2)]
    rows += [(b"%d" % number, make_inode(number), number) for number in range(10, 14)]
    volume = StandInVolume(readdir=rows)
    room = iter([True, True, True, True, False])
    monkeypatch.setattr(pyfuse3, "readdir_reply", lambda *_: next(room))
    await adapter_for(volume).readdir(3, 0, None)
    assert volume.questions == [("readdir", 3, 0), ("remember", 10), ("remember", 11)]


async def test_init_says_that_the_kernel_greeted_us() -> None:
    adapter = adapter_for(StandInVolume())
    assert not adapter.initialised.is_set()
    adapter.init()
    assert adapter.initialised.is_set()
    assert ROOT == pyfuse3.ROOT_INODE
