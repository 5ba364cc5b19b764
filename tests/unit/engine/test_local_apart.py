"""Nothing outside a namespace's directory is reached, and no symlink in it is followed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine_contract.given import at, attributes, body, make, names, put
from vaultairefs.engine.interface import Deletion
from vaultairefs.engine.local import LocalEngine, open_engine
from vaultairefs.model.errors import BadInput, InvalidRequest, NotAContainer, NotFound
from vaultairefs.model.values import ABSENT, ANY, Kind


@pytest.fixture
def outside(tmp_path: Path, store: Path) -> Path:
    """A directory beside the store, with symlinks to it and into it in the store."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_bytes(b"secret")
    os.utime(path / "secret", ns=(1, 1))
    (path / "secret").chmod(0o600)
    os.symlink(path, store / "folder")
    os.symlink(path / "secret", store / "file")
    return path


async def test_a_symlink_is_no_container(engine: LocalEngine, outside: Path) -> None:
    with pytest.raises(NotAContainer):
        await engine.list(b"folder")
    with pytest.raises(NotAContainer):
        await engine.stat(at(b"folder/secret"))
    with pytest.raises(NotAContainer):
        await put(engine, b"folder/new")
    with pytest.raises(NotAContainer):
        await make(engine, b"folder/new")
    with pytest.raises(NotAContainer):
        await engine.move(at(b"folder/secret"), at(b"mine"), version=ANY, expected=ABSENT)
    with pytest.raises(NotAContainer):
        await engine.link(at(b"folder/secret"), at(b"mine"), version=ANY, expected=ABSENT)
    assert await engine.delete([Deletion(at(b"folder/secret"))]) == [None]
    await engine.delete_container(b"folder/secret")
    assert os.listdir(outside) == ["secret"]


async def test_the_target_of_a_symlink_is_neither_read_nor_changed(engine: LocalEngine, outside: Path) -> None:
    before = os.lstat(outside / "secret")
    with body() as descriptor, pytest.raises(InvalidRequest):
        await engine.read(at(b"file"), ANY, 0, 6, descriptor, 0)
    given = attributes(Kind.SYMLINK, xattrs={b"user.a": b"b", b"trusted.c": b"d"})
    await engine.set_attributes(at(b"file"), given, expected=ANY)
    await engine.link(at(b"file"), at(b"second"), version=ANY, expected=ABSENT)
    assert os.lstat(outside / "secret") == before
    assert os.listxattr(outside / "secret") == []
    await put(engine, b"file", b"mine", expected=ANY)
    assert (outside / "secret").read_bytes() == b"secret"


async def test_deleting_a_symlink_leaves_its_target(engine: LocalEngine, outside: Path) -> None:
    assert await engine.delete([Deletion(at(b"file")), Deletion(at(b"folder"))]) == [None, None]
    assert os.listdir(outside) == ["secret"]


async def test_a_symlink_in_the_place_of_our_private_container_is_not_followed(
    engine: LocalEngine, store: Path, outside: Path
) -> None:
    os.symlink(outside, store / ".vaultairefs")
    with pytest.raises(NotAContainer):
        await put(engine, b"new")
    assert os.listdir(outside) == ["secret"]


async def test_fifos_and_devices_are_not_opened(engine: LocalEngine, store: Path) -> None:
    """A fifo would block for ever, a device do something."""
    os.mkfifo(store / "fifo")
    with body() as descriptor, pytest.raises(InvalidRequest):
        await engine.read(at(b"fifo"), ANY, 0, 1, descriptor, 0)
    await engine.set_attributes(at(b"fifo"), attributes(Kind.FIFO, 0o600), expected=ANY)
    assert await names(engine) == {b"fifo"}


async def test_an_upload_id_cannot_climb(engine: LocalEngine, store: Path) -> None:
    from vaultairefs.engine.interface import Upload

    (store / "victim").mkdir()
    (store / "victim/data").write_bytes(b"x")
    await engine.begin_upload(at(b"file"), 1, attributes(), token="")
    for upload_id in ("../../victim", "..", ".", "/", str(store / "victim")):
        await engine.abort_upload(Upload(at(b"file"), upload_id))
        with pytest.raises(NotFound):
            await engine.commit_upload(Upload(at(b"file"), upload_id), [], attributes(), expected=ANY)
    assert (store / "victim/data").exists()


async def test_tenants_do_not_see_each_other(opened: Callable[..., LocalEngine], store: Path) -> None:
    one, two, whole = opened("one"), opened("two"), opened()
    await put(one, b"file", b"of one")
    assert await names(two) == set()
    with pytest.raises(NotFound):
        await two.stat(at(b"file"))
    assert await names(whole) == {b"t-one", b"t-two"}
    assert (store / "t-one/file").read_bytes() == b"of one"
    assert len({one.identity, two.identity, whole.identity}) == 3


def test_a_tenants_directory_that_is_a_symlink_is_refused(store: Path, outside: Path) -> None:
    os.symlink(outside, store / "t-evil")
    with pytest.raises(BadInput):
        open_engine(f"file://{store}", "evil")


@pytest.mark.parametrize("tenant", ["", ".", "..", "a/b", "-x", "a b", "x" * 129, "\u00fc"])
def test_impossible_tenants_are_refused(store: Path, tenant: str) -> None:
    with pytest.raises(BadInput):
        open_engine(f"file://{store}", tenant)
    assert os.listdir(store) == []
