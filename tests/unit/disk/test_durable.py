"""What is called durable was synced, in the right order, and failures leave the old state."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_disk import small_disk
from vaultairefs.disk import durable
from vaultairefs.model.errors import DeviceFailed, NotFound, OutOfSpace


class Watched:
    """Records the calls of some ``os`` functions, with descriptors resolved to paths."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        for name in ("pwrite", "fsync", "fdatasync", "rename", "unlink"):
            monkeypatch.setattr(os, name, self._watch(name, getattr(os, name)))

    def _watch(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            target = arguments[-1] if name == "rename" else arguments[0]
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
            result = original(*arguments, **named)
            self.calls.append((name, Path(path).name))
            return result

        return call


def refuse(number: int) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return call


def test_replace_file_syncs_the_bytes_then_renames_then_syncs_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    durable.replace_file(tmp_path / "x", b"new", b"er")
    assert (tmp_path / "x").read_bytes() == b"newer"
    assert [name for name, _ in watched.calls] == ["pwrite", "pwrite", "fsync", "rename", "fsync"]
    assert watched.calls[2][1].endswith(".tmp")
    assert watched.calls[3:] == [("rename", "x"), ("fsync", tmp_path.name)]
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("failing", ["pwrite", "fsync", "rename"])
def test_a_failed_replace_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    (tmp_path / "x").write_bytes(b"old")
    monkeypatch.setattr(os, failing, refuse(errno.EIO))
    with pytest.raises(DeviceFailed):
        durable.replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_rename_between_directories_syncs_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    watched = Watched(monkeypatch)
    durable.rename(tmp_path / "a" / "x", tmp_path / "b" / "y")
    assert (tmp_path / "b" / "y").read_bytes() == b"1"
    assert watched.calls == [("rename", "y"), ("fsync", "b"), ("fsync", "a")]


def test_a_durable_unlink_syncs_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"")
    watched = Watched(monkeypatch)
    durable.unlink(tmp_path / "x", durable=True)
    assert watched.calls == [("unlink", "x"), ("fsync", tmp_path.name)]


def test_unlink_of_nothing_is_an_error_unless_it_may_be_missing(tmp_path: Path) -> None:
    durable.unlink(tmp_path / "x", missing_ok=True)
    with pytest.raises(NotFound):
        durable.unlink(tmp_path / "x")


@pytest.mark.parametrize("function", [durable.sync_data, durable.sync_all])
def test_a_failed_sync_is_a_failed_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: Callable[[int], None]
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    monkeypatch.setattr(os, "fdatasync", refuse(errno.EIO))
    with (tmp_path / "x").open("wb") as file, pytest.raises(DeviceFailed):
        function(file.fileno())


def test_syncing_works_on_files_directories_and_filesystems(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        durable.sync_data(file.fileno())
        durable.sync_all(file.fileno())
        durable.sync_filesystem(file.fileno())
    durable.sync_directory(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY)
    durable.sync_directory(fd)
    os.close(fd)
    with pytest.raises(NotFound):
        durable.sync_directory(tmp_path / "missing")


def test_write_all_goes_on_after_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: whole(fd, bytes(data)[:3], offset))
    with (tmp_path / "x").open("wb") as file:
        durable.write_all(file.fileno(), b"0123456789", 2)
    assert (tmp_path / "x").read_bytes() == b"\0\x000123456789"


def test_write_all_never_spins_on_a_write_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: 0)
    with (tmp_path / "x").open("wb") as file, pytest.raises(DeviceFailed):
        durable.write_all(file.fileno(), b"x", 0)


@pytest.mark.parametrize("supported", [True, False])
def test_preallocated_space_reads_as_zeros_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supported: bool
) -> None:
    if not supported:
        monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))
    path = tmp_path / "x"
    path.write_bytes(b"kept")
    with path.open("r+b") as file:
        durable.preallocate(file.fileno(), 200_000)
    assert path.read_bytes() == b"kept" + bytes(199_996)
    assert path.stat().st_blocks * 512 >= 200_000


def test_preallocation_that_does_not_fit_is_out_of_space(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "small", 1 << 16) as directory,
        (directory / "x").open("wb") as file,
        pytest.raises(OutOfSpace),
    ):
        durable.preallocate(file.fileno(), 1 << 20)
