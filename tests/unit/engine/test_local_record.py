"""What the filesystem refuses to hold is kept beside the file, follows it, and never overrules a foreign change."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.engine_contract.given import at, attributes, content_of, listing, make, put, same
from tests.support.callers import NOBODY, as_user
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.local import LocalEngine
from vaultairefs.engine.local_record import Record
from vaultairefs.engine.local_tree import LocalTree, Pin
from vaultairefs.model.errors import DeviceFailed, OutOfSpace
from vaultairefs.model.values import ABSENT, ANY, Kind

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ENOTSUP, EPERM, ENOSPC, EIO = 95, 1, 28, 5


def refusing(number: int) -> Callable[..., Any]:
    def refuse(*arguments: object, **options: object) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture
def without_xattrs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filesystem that has no extended attributes at all."""
    for call in ("setxattr", "getxattr", "listxattr", "removexattr"):
        monkeypatch.setattr(os, call, refusing(ENOTSUP))


RICH = attributes(mode=0o640, uid=4711, gid=4712, xattrs={b"user.a": b"b", b"trusted.c": b"d"})


async def test_without_xattrs_a_sidecar_holds_what_they_would(
    engine: LocalEngine, store: Path, without_xattrs: None
) -> None:
    await put(engine, b"file", b"bytes", given=RICH, token="m:1:1")
    found = (await listing(engine))[b"file"]
    assert same(found.attributes, RICH)
    assert found.token == "m:1:1"
    assert len(os.listdir(store / ".vaultairefs/attributes")) == 1


async def test_a_listing_looks_once_for_the_sidecars_however_many_entries_it_has(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(engine, b"folder")
    for number in range(5):
        (store / "folder" / f"foreign{number}").write_bytes(b"bytes")
    opened: list[object] = []
    really_open = os.open

    def noting(path: Any, *arguments: Any, **options: Any) -> int:
        opened.append(path)
        return really_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", noting)
    assert len(await listing(engine, b"folder")) == 5
    assert opened.count(b".vaultairefs") <= 2


async def test_sidecars_that_appear_during_a_listing_are_seen(
    engine: LocalEngine, store: Path, without_xattrs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(engine, b"file", b"bytes", given=RICH, token="m:1:1")
    sidecars, away = store / ".vaultairefs/attributes", store / ".vaultairefs/away"
    sidecars.rename(away)
    pin = LocalTree.pin

    def pinning(tree: LocalTree, directory: int, name: bytes) -> Pin | None:
        if away.exists():
            away.rename(sidecars)
        return pin(tree, directory, name)

    monkeypatch.setattr(LocalTree, "pin", pinning)
    found = (await listing(engine))[b"file"]
    assert same(found.attributes, RICH)
    assert found.token == "m:1:1"


async def test_a_sidecar_follows_its_file_through_move_and_link(
    engine: LocalEngine, store: Path, without_xattrs: None
) -> None:
    await make(engine, b"folder")
    version = await put(engine, b"file", b"bytes", given=RICH, token="m:1:1")
    await engine.link(at(b"file"), at(b"second"), version=version, expected=ABSENT)
    await engine.move(at(b"file"), at(b"folder/moved"), version=version, expected=ABSENT)
    for path in (b"second", b"folder/moved"):
        assert same((await engine.stat(at(path))).attributes, RICH)
    os.rename(store / "second", store / "by hand")
    assert same((await engine.stat(at(b"by hand"))).attributes, RICH)


async def test_sidecars_go_with_the_last_name(engine: LocalEngine, store: Path, without_xattrs: None) -> None:
    sidecars = store / ".vaultairefs/attributes"
    version = await put(engine, b"one", b"old", given=RICH)
    await engine.link(at(b"one"), at(b"two"), version=version, expected=ABSENT)
    await engine.delete([Deletion(at(b"one"))])
    assert len(os.listdir(sidecars)) == 1
    await engine.delete([Deletion(at(b"two"))])
    assert os.listdir(sidecars) == []


@pytest.mark.parametrize("verb", ["put", "move", "link"])
async def test_a_sidecar_goes_with_what_is_replaced(
    engine: LocalEngine, store: Path, without_xattrs: None, verb: str
) -> None:
    old = await put(engine, b"file", b"old", given=RICH)
    version = await put(engine, b"other", b"new")
    sidecars = store / ".vaultairefs/attributes"
    assert len(os.listdir(sidecars)) == 1
    if verb == "put":
        await put(engine, b"file", b"new", expected=old)
    elif verb == "move":
        await engine.move(at(b"other"), at(b"file"), version=version, expected=old)
    else:
        await engine.link(at(b"other"), at(b"file"), version=version, expected=old)
    assert os.listdir(sidecars) == []


async def test_a_containers_sidecar_goes_with_it(engine: LocalEngine, store: Path, without_xattrs: None) -> None:
    await engine.create_container(b"folder", attributes(Kind.CONTAINER, xattrs={b"user.a": b"b"}))
    sidecars = store / ".vaultairefs/attributes"
    assert len(os.listdir(sidecars)) == 1
    await engine.delete_container(b"folder")
    assert os.listdir(sidecars) == []


async def test_a_sidecar_goes_when_everything_is_native(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", refusing(ENOTSUP))
        await put(engine, b"file", b"bytes", given=attributes(xattrs={b"user.a": b"b"}))
    assert os.listdir(store / ".vaultairefs/attributes")
    await engine.set_attributes(at(b"file"), attributes(xattrs={b"user.a": b"b"}), expected=ANY)
    assert os.getxattr(store / "file", "user.a") == b"b"
    assert os.listdir(store / ".vaultairefs/attributes") == []


@needs_root
async def test_a_refused_owner_is_recorded(engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "chown", refusing(EPERM))
    given = attributes(mode=0o4755, uid=4711, gid=4712)
    await put(engine, b"file", given=given)
    assert os.lstat(store / "file").st_uid == 0
    assert same((await engine.stat(at(b"file"))).attributes, given)


@needs_root
async def test_a_foreign_change_overrules_the_record(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", refusing(EPERM))
        await put(engine, b"file", given=attributes(uid=4711, gid=4712))
    os.chown(store / "file", 0, 9)
    found = (await engine.stat(at(b"file"))).attributes
    assert (found.uid, found.gid) == (4711, 9)


@needs_root
async def test_a_broken_disk_is_not_taken_for_a_refusal(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "setxattr", refusing(EIO))
    with pytest.raises(DeviceFailed):
        await put(engine, b"file", given=RICH)
    assert os.listdir(store) == [".vaultairefs"]


async def test_a_full_disk_is_out_of_space_not_lost_attributes(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OutOfSpace

    monkeypatch.setattr(os, "setxattr", refusing(ENOSPC))
    monkeypatch.setattr("vaultairefs.engine.local_record.replace_file", full)
    with pytest.raises(OutOfSpace):
        await put(engine, b"file", given=RICH)
    assert os.listdir(store) == [".vaultairefs"]


@needs_root
async def test_the_owner_of_a_file_cannot_forge_a_record(engine: LocalEngine, store: Path) -> None:
    """Else any local user could make root's set-user-id programs appear in the mount."""
    store.chmod(0o777)
    forged = msgspec.msgpack.encode(Record(mode=(0o644, 0o4755), uid=(NOBODY, 0), token="m:1:1"))

    def forge() -> None:
        (store / "file").write_bytes(b"evil")
        (store / "file").chmod(0o644)
        os.setxattr(store / "file", "user.vaultaire", forged)

    as_user(forge)
    found = await engine.stat(at(b"file"))
    assert (found.attributes.mode, found.attributes.uid, found.token) == (0o644, NOBODY, "")


@needs_root
async def test_a_store_written_without_privilege_reads_the_same_with_it(
    opened: Callable[..., LocalEngine], store: Path
) -> None:
    """The records of the namespace's owner count for root too."""
    os.chown(store, NOBODY, NOBODY)
    (store / "file").write_bytes(b"bytes")
    os.chown(store / "file", NOBODY, NOBODY)
    (store / "file").chmod(0o600)
    record = Record(mode=(0o600, 0), uid=(NOBODY, 4711))
    os.setxattr(store / "file", "user.vaultaire", msgspec.msgpack.encode(record))
    found = (await opened().stat(at(b"file"))).attributes
    assert (found.mode, found.uid) == (0, 4711)


@pytest.mark.parametrize("value", [b"", b"garbage", b"\xc1", msgspec.msgpack.encode({"mode": "text"})])
async def test_an_unreadable_record_counts_as_none(engine: LocalEngine, store: Path, value: bytes) -> None:
    (store / "file").write_bytes(b"bytes")
    (store / "file").chmod(0o600)
    os.setxattr(store / "file", "user.vaultaire", value)
    assert (await engine.stat(at(b"file"))).attributes.mode == 0o600
    assert await content_of(engine, b"file") == b"bytes"
    await engine.set_attributes(at(b"file"), attributes(), expected=ANY)
    assert same((await engine.stat(at(b"file"))).attributes, attributes())


async def test_fields_of_later_versions_do_no_harm() -> None:
    data = msgspec.msgpack.encode({"token": "t", "field of tomorrow": [1, 2]})
    assert msgspec.msgpack.decode(data, type=Record) == Record(token="t")


async def test_a_file_that_stands_for_a_device_is_a_file_again_when_somebody_writes_it(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mknod", refusing(EPERM))
    given = attributes(Kind.BLOCK, rdev=os.makedev(8, 1))
    await put(engine, b"device", given=given)
    assert (store / "device").is_file()
    assert same((await engine.stat(at(b"device"))).attributes, given)
    (store / "device").write_bytes(b"bytes")
    assert (await engine.stat(at(b"device"))).attributes.kind is Kind.FILE


async def test_labels_of_the_host_are_neither_shown_nor_removed(
    engine: LocalEngine, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(engine, b"file")
    real, removed = os.listxattr, []
    monkeypatch.setattr(os, "listxattr", lambda path: [*real(path), "security.selinux", "system.nfs4_acl"])
    monkeypatch.setattr(os, "removexattr", lambda path, name: removed.append(name))
    assert (await engine.stat(at(b"file"))).attributes.xattrs == {}
    await engine.set_attributes(at(b"file"), attributes(), expected=ANY)
    assert removed == []
