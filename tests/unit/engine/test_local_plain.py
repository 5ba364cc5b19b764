"""What the local engine keeps is plain: other programs see it, and what they change is seen."""

import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine_contract.given import NOON_NS, at, attributes, body, content_of, listing, make, names, put, upload
from vaultairefs.engine import local_reading
from vaultairefs.engine.local import LocalEngine
from vaultairefs.engine.local_system import birth_time_ns
from vaultairefs.model.errors import Conflict
from vaultairefs.model.values import ABSENT, ANY, Kind

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@needs_root
async def test_everything_that_linux_can_hold_is_held_natively(engine: LocalEngine, store: Path) -> None:
    await make(engine, b"folder")
    await put(engine, b"folder/file", b"bytes", given=attributes(mode=0o6751, uid=7, gid=8, xattrs={b"user.a": b"b"}))
    await put(engine, b"link", b"", given=attributes(Kind.SYMLINK, target=b"folder/file"))
    await put(engine, b"fifo", b"", given=attributes(Kind.FIFO, 0o604))
    await put(engine, b"null", b"", given=attributes(Kind.CHARACTER, rdev=os.makedev(1, 3)))
    status = os.lstat(store / "folder/file")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o6751, 7, 8)
    assert (status.st_atime_ns, status.st_mtime_ns) == (NOON_NS - 1, NOON_NS)
    assert os.getxattr(store / "folder/file", "user.a") == b"b"
    assert (store / "folder/file").read_bytes() == b"bytes"
    assert os.readlink(store / "link") == "folder/file"
    assert stat.S_ISFIFO(os.lstat(store / "fifo").st_mode)
    assert os.lstat(store / "null").st_rdev == os.makedev(1, 3)
    assert not (store / ".vaultairefs/attributes").exists()


async def test_links_are_hard_links(engine: LocalEngine, store: Path) -> None:
    version = await put(engine, b"one")
    await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
    assert (store / "one").samefile(store / "two")


async def test_foreign_files_appear_as_they_are(engine: LocalEngine, store: Path) -> None:
    (store / "folder").mkdir()
    (store / "folder/file").write_bytes(b"foreign")
    (store / "folder/file").chmod(0o751)
    os.symlink("nowhere", store / "link")
    found = await listing(engine, b"folder")
    assert (found[b"file"].size, found[b"file"].attributes.mode, found[b"file"].token) == (7, 0o751, "")
    assert await content_of(engine, b"folder/file", found[b"file"].version) == b"foreign"
    assert (await engine.stat(at(b"link"))).attributes.target == b"nowhere"


async def test_looking_leaves_no_trace_in_a_store(engine: LocalEngine, store: Path) -> None:
    (store / "file").write_bytes(b"foreign")
    os.utime(store / "file", ns=(5, 5))
    await listing(engine)
    await content_of(engine, b"file")
    await engine.list_uploads()
    assert os.listdir(store) == ["file"]
    assert os.stat(store / "file").st_atime_ns == 5


async def test_a_foreign_write_in_place_is_another_version_and_not_our_token(engine: LocalEngine, store: Path) -> None:
    version = await put(engine, b"file", b"ours!", token="m:1:1")
    (store / "file").write_bytes(b"other")
    found = await engine.stat(at(b"file"))
    assert found.version != version
    assert found.token == ""
    with pytest.raises(Conflict):
        await put(engine, b"file", b"ours!", token="m:1:1")
    with pytest.raises(Conflict):
        await put(engine, b"file", b"next!", expected=version)
    await engine.set_attributes(at(b"file"), attributes(), expected=found.version)
    assert (await engine.stat(at(b"file"))).token == ""


async def test_a_foreign_replacement_is_another_version_though_it_looks_alike(engine: LocalEngine, store: Path) -> None:
    version = await put(engine, b"file", b"ours!")
    (store / "other").write_bytes(b"other")
    os.utime(store / "other", ns=(NOON_NS - 1, NOON_NS))
    os.rename(store / "other", store / "file")
    assert (await engine.stat(at(b"file"))).version != version


async def test_a_file_that_changes_while_it_is_read_is_a_conflict(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read never mixes two versions."""
    version = await put(engine, b"file", b"ours!")

    def interrupted(*arguments: int) -> int:
        (store / "file").write_bytes(b"other")
        return 5

    monkeypatch.setattr(local_reading, "copy_range", interrupted)
    with body() as descriptor, pytest.raises(Conflict):
        await engine.read(at(b"file"), version, 0, 5, descriptor, 0)


async def test_the_version_lasts_as_long_as_the_file(opened: Callable[..., LocalEngine]) -> None:
    version = await put(opened(), b"file")
    assert (await opened().stat(at(b"file"))).version == version


async def test_without_file_handles_a_file_and_its_successor_still_differ(
    store: Path, opened: Callable[..., LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filesystems whose handles do not last are told apart by inode number and birth time."""
    monkeypatch.setattr("vaultairefs.engine.local_tree.file_handle", lambda fd: "")
    engine = opened()
    seen = set()
    for number in range(4):
        old = (await engine.stat(at(b"file"))).version if number else ABSENT
        seen.add(await put(engine, b"file", b"bytes", expected=old))
    assert len(seen) == 4


async def test_holes_stay_holes_in_an_upload(engine: LocalEngine, store: Path) -> None:
    """A sparse image of many gigabytes must not need them."""
    size = 64 << 20
    started = await engine.begin_upload(at(b"sparse"), size, attributes(), token="")
    with body() as descriptor:
        os.pwrite(descriptor, b"data", 32 << 20)
        os.ftruncate(descriptor, size)
        receipts = [await engine.put_chunk(started, n, n << 24, descriptor, 1 << 24) for n in range(4)]
    await engine.commit_upload(started, receipts, attributes(), expected=ABSENT)
    status = os.lstat(store / "sparse")
    assert status.st_size == size
    assert status.st_blocks * 512 < 1 << 20
    with open(store / "sparse", "rb") as file:
        file.seek(32 << 20)
        assert file.read(4) == b"data"


async def test_uploads_outlive_the_process(opened: Callable[..., LocalEngine]) -> None:
    started = await opened().begin_upload(at(b"file"), 3, attributes(), token="m:1:1")
    second = opened()
    assert await second.list_uploads() == [started]
    with body(b"new") as descriptor:
        receipt = await second.put_chunk(started, 0, 0, descriptor, 3)
    await second.commit_upload(started, [receipt], attributes(), expected=ABSENT)
    assert (await second.stat(at(b"file"))).token == "m:1:1"


async def test_a_listing_goes_on_in_another_process(store: Path) -> None:
    """A cursor says all there is to know; what the first process remembers only saves work."""
    for number in range(40):
        (store / f"name{number}").touch()
    seen = []
    cursor = None
    while True:
        engine = LocalEngine(os.open(store, os.O_RDONLY), "file:", page_entries=5)
        page = await engine.list(b"", cursor)
        await engine.close()
        seen += [entry.name for entry in page.entries]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(b"name%d" % number for number in range(40))


async def test_a_store_whose_private_container_was_removed_goes_on(engine: LocalEngine, store: Path) -> None:
    await put(engine, b"one")
    shutil.rmtree(store / ".vaultairefs")
    await put(engine, b"two")
    await make(engine, b"folder")
    await upload(engine, b"three", b"bytes", [5])
    assert await names(engine) == {b"one", b"two", b"three", b"folder"}


async def test_names_that_are_ours_are_escaped_on_disk(engine: LocalEngine, store: Path) -> None:
    await put(engine, b".vaultairefs", b"a user's")
    assert (store / ".vaultairefs%").read_bytes() == b"a user's"
    await make(engine, b"folder")
    await put(engine, b"folder/.vaultairefs", b"below the root nothing is ours")
    assert (store / "folder/.vaultairefs").exists()
    assert await engine.set_attributes(at(b".vaultairefs"), attributes(mode=0o600), expected=ANY)


def test_a_file_knows_when_it_was_born(store: Path) -> None:
    before_ns = time.time_ns()
    (store / "file").touch()
    os.utime(store / "file", ns=(1, 1))
    fd = os.open(store / "file", os.O_PATH)
    born_ns = birth_time_ns(fd)
    os.close(fd)
    if born_ns == 0:
        pytest.skip("this filesystem keeps no birth time")
    tick_ns = 20_000_000  # the kernel's coarse clock may lag behind
    assert before_ns - tick_ns <= born_ns <= time.time_ns()
