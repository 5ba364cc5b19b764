"""Whatever interrupts the local engine: names lead to old or new, whole; leftovers are invisible and go."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.engine_contract.given import at, attributes, body, content_of, make, names, put, upload
from vaultairefs.engine import local_artifacts, local_names, local_session
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.local import LocalEngine, open_engine
from vaultairefs.model.errors import DeviceFailed
from vaultairefs.model.values import ABSENT, Kind

EIO = 5


def failing(*arguments: object, **options: object) -> None:
    raise OSError(EIO, "a broken disk")


STEPS = {
    "the bytes are written": (local_artifacts, "write_all"),
    "they are synced": (local_artifacts, "sync_all"),
    "they are renamed": (local_artifacts, "rename_no_replace"),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_put_that_fails_leaves_nothing(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(*STEPS[step], failing)
    with pytest.raises(DeviceFailed):
        await put(engine, b"file")
    assert await names(engine) == set()
    assert temporaries(store) == []


async def test_a_replacement_that_fails_leaves_the_old(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await put(engine, b"file", b"old")
    monkeypatch.setattr(local_artifacts, "sync_all", failing)
    with pytest.raises(DeviceFailed):
        await put(engine, b"file", b"new", expected=old)
    assert await content_of(engine, b"file", old) == b"old"
    assert temporaries(store) == []


async def test_a_container_that_fails_leaves_nothing(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_names, "rename_no_replace", failing)
    with pytest.raises(DeviceFailed):
        await make(engine, b"folder")
    assert await names(engine) == set()
    assert temporaries(store) == []


async def test_a_put_that_failed_after_its_rename_is_settled_by_repeating_it(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(local_artifacts, "sync_directory", failing)
        with pytest.raises(DeviceFailed):
            await put(engine, b"file", b"bytes", token="m:1:1")
    synced: list[int] = []
    monkeypatch.setattr(local_artifacts, "sync_directory", synced.append)
    await put(engine, b"file", b"bytes", token="m:1:1")
    assert len(synced) == 1, "the repeated put must not rely on the sync that failed"


async def test_killed_in_the_middle_a_put_is_not_visible_and_its_leftovers_go(store: Path) -> None:
    kill_while_putting(store)
    assert len(temporaries(store)) == 1
    engine = open_engine(f"file://{store}")
    assert await names(engine) == set()
    assert os.listdir(store / ".vaultairefs/tmp") == []
    await engine.close()


async def test_what_a_living_engine_uses_is_never_cleaned(
    opened: Callable[..., LocalEngine], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened()
    real = local_artifacts.sync_all

    def meanwhile(fd: int) -> None:
        opened()
        real(fd)

    monkeypatch.setattr(local_artifacts, "sync_all", meanwhile)
    await put(first, b"file", b"bytes")
    assert await content_of(first, b"file") == b"bytes"


async def test_what_is_not_ours_is_never_cleaned(engine: LocalEngine, store: Path) -> None:
    await put(engine, b"file")
    place = store / ".vaultairefs/tmp"
    (place / "notes").mkdir()
    (place / "0123456789abcdef").touch()
    (place / "file.txt").touch()
    await open_engine(f"file://{store}").close()
    assert {"notes", "0123456789abcdef", "file.txt"} <= set(os.listdir(place))


@pytest.mark.parametrize("has_lock_file", [True, False])
async def test_where_nothing_is_locked_only_old_leftovers_are_cleaned(
    store: Path, monkeypatch: pytest.MonkeyPatch, has_lock_file: bool
) -> None:
    monkeypatch.setattr(local_session.fcntl, "flock", unsupported)
    place = store / ".vaultairefs/tmp"
    for name in ("0000000000000000", "1111111111111111", "2222222222222222"):
        (place / name / "0").mkdir(parents=True)
        if has_lock_file:
            (place / name / "lock").touch()
    long_ago = time.time() - local_session.IDLE_SECONDS_MAX - 60
    for name in ("0000000000000000", "0000000000000000/0", "2222222222222222"):
        os.utime(place / name, (long_ago, long_ago))
    engine = open_engine(f"file://{store}")
    await put(engine, b"file")
    left = set(os.listdir(place))
    assert "0000000000000000" not in left
    assert {"1111111111111111", "2222222222222222"} <= left, "something was made in them lately"
    await engine.close()


def unsupported(*arguments: object) -> None:
    raise OSError(95, "no locks here")


async def test_closing_removes_the_temporary_directory(engine: LocalEngine, store: Path) -> None:
    other = open_engine(f"file://{store}")
    await put(other, b"file")
    assert len(os.listdir(store / ".vaultairefs/tmp")) == 1
    for _ in range(2):
        await other.close()
    assert os.listdir(store / ".vaultairefs/tmp") == []


async def test_an_upload_that_was_published_before_the_crash_is_not_listed(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await engine.begin_upload(at(b"file"), 3, attributes(), token="m:1:1")
    with body(b"new") as descriptor:
        receipt = await engine.put_chunk(started, 0, 0, descriptor, 3)
    with monkeypatch.context() as patch:
        patch.setattr(local_artifacts, "sync_directory", failing)
        with pytest.raises(DeviceFailed):
            await engine.commit_upload(started, [receipt], attributes(), expected=ABSENT)
    version = await engine.commit_upload(started, [receipt], attributes(), expected=ABSENT)
    assert (await engine.stat(at(b"file"))).version == version
    assert await engine.list_uploads() == []
    assert os.listdir(store / ".vaultairefs/uploads") == []


async def test_a_half_made_record_of_an_upload_is_not_listed(engine: LocalEngine, store: Path) -> None:
    started = await engine.begin_upload(at(b"file"), 3, attributes(), token="m:1:1")
    os.truncate(store / ".vaultairefs/uploads" / started.upload_id / "about", 2)
    assert await engine.list_uploads() == []
    await engine.abort_upload(started)
    assert os.listdir(store / ".vaultairefs/uploads") == []


async def test_bytes_are_synced_before_the_name_and_the_name_before_the_answer(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for step in ("write_all", "sync_all", "rename_no_replace", "sync_directory"):
        monkeypatch.setattr(local_artifacts, step, noting(done, step, getattr(local_artifacts, step)))
    monkeypatch.setattr(os, "rename", noting(done, "rename", os.rename))
    old = await put(engine, b"file", b"old")
    assert done == ["write_all", "sync_all", "rename_no_replace", "sync_directory"]
    done.clear()
    await put(engine, b"file", b"new", expected=old)
    assert done == ["write_all", "sync_all", "rename", "sync_directory"]


async def test_a_deletion_of_many_syncs_each_container_once(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(engine, b"a", b"b")
    paths = [b"%s/%d" % (container, number) for container in (b"a", b"b") for number in range(20)]
    for path in paths:
        await put(engine, path)
    done: list[str] = []
    monkeypatch.setattr(local_names, "sync_directory", noting(done, "sync", local_names.sync_directory))
    monkeypatch.setattr(os, "unlink", noting(done, "unlink", os.unlink))
    assert set(await engine.delete([Deletion(at(path)) for path in paths])) == {None}
    assert done.count("sync") == 2
    assert done[-1] == "sync"


async def test_a_failed_sync_of_a_deletion_is_told_for_every_name_of_that_container(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(engine, b"a")
    for path in (b"a/1", b"a/2"):
        await put(engine, path)
    monkeypatch.setattr(local_names, "sync_directory", failing)
    outcomes = await engine.delete([Deletion(at(b"a/1")), Deletion(at(b"a/2")), Deletion(at(b"gone/3"))])
    assert [type(outcome).__name__ for outcome in outcomes] == ["DeviceFailed", "DeviceFailed", "NoneType"]


async def test_a_small_put_is_one_hop_to_a_thread(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[str] = []
    monkeypatch.setattr(trio.to_thread, "run_sync", noting(hops, "hop", trio.to_thread.run_sync))
    await put(engine, b"file")
    assert hops == ["hop"]


async def test_without_rename_noreplace_a_free_name_is_still_checked(
    store: Path, opened: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and old kernels: link(2) is as strict for artifacts."""
    from vaultairefs.engine import local_system

    class OldLibrary:
        pass

    engine = opened()
    monkeypatch.setattr(local_system, "_libc", OldLibrary())
    fd = os.open(store, os.O_RDONLY)
    (store / "one").write_bytes(b"1")
    (store / "two").write_bytes(b"2")
    with pytest.raises(FileExistsError):
        local_system.rename_no_replace(fd, b"one", fd, b"two")
    local_system.rename_no_replace(fd, b"one", fd, b"three")
    (store / "folder").mkdir()
    with pytest.raises(FileExistsError):
        local_system.rename_no_replace(fd, b"folder", fd, b"two")
    local_system.rename_no_replace(fd, b"folder", fd, b"other")
    os.close(fd)
    assert sorted(os.listdir(store)) == ["other", "three", "two"]
    await engine.create_container(b"made", attributes(Kind.CONTAINER))
    await upload(engine, b"made/file", b"bytes", [5])
    assert await content_of(engine, b"made/file") == b"bytes"


def noting(notes: list[str], word: str, call: Callable[..., object]) -> Callable[..., object]:
    def wrapped(*arguments: object, **options: object) -> object:
        notes.append(word)
        return call(*arguments, **options)

    return wrapped


def temporaries(store: Path) -> list[Path]:
    """Entries in temporary directories, without their locks."""
    return list((store / ".vaultairefs/tmp").glob("*/*/*"))


def kill_while_putting(store: Path) -> None:
    """A child process that dies by SIGKILL between the write and the sync of a put."""
    child = os.fork()
    if child == 0:
        local_artifacts.sync_all = lambda fd: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        engine = open_engine(f"file://{store}")
        engine._artifacts.put(at(b"file"), b"bytes", attributes(), ABSENT, "m:1:1")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
