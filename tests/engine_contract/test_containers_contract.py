"""The contract: containers are made, found, refused while they hold something, and deleted; each verb repeatable."""

import pytest

from tests.engine_contract.given import at, attributes, content_of, make, names, put, same
from vaultairefs.engine.interface import Deletion, Engine
from vaultairefs.model.errors import AlreadyExists, ContainerNotEmpty, InvalidRequest, NotAContainer, NotFound
from vaultairefs.model.values import Kind


async def test_a_made_container_is_empty_and_has_its_attributes(engine: Engine) -> None:
    given = attributes(Kind.CONTAINER, 0o1770)
    identity = await engine.create_container(b"folder", given)
    found = await engine.stat(at(b"folder"))
    assert (found.name, found.size, found.version) == (b"folder", 0, identity)
    assert same(found.attributes, given)
    assert await names(engine, b"folder") == set()


async def test_making_it_again_gives_it_the_attributes(engine: Engine) -> None:
    identity = await engine.create_container(b"folder", attributes(Kind.CONTAINER, 0o755))
    await put(engine, b"folder/file", b"bytes")
    again = attributes(Kind.CONTAINER, 0o700)
    assert await engine.create_container(b"folder", again) == identity
    assert same((await engine.stat(at(b"folder"))).attributes, again)
    assert await content_of(engine, b"folder/file") == b"bytes"


async def test_the_root_is_there_already(engine: Engine) -> None:
    given = attributes(Kind.CONTAINER, 0o711)
    await engine.create_container(b"", given)
    assert same((await engine.stat(at(b""))).attributes, given)
    with pytest.raises(InvalidRequest):
        await engine.delete_container(b"")


@pytest.mark.needs("names_checked")
async def test_an_artifact_is_in_the_way_of_a_container(engine: Engine) -> None:
    await put(engine, b"file", b"bytes")
    with pytest.raises(AlreadyExists):
        await make(engine, b"file")
    with pytest.raises(NotAContainer):
        await make(engine, b"file/inner")
    with pytest.raises(NotFound):
        await make(engine, b"nowhere/inner")
    assert await content_of(engine, b"file") == b"bytes"


async def test_a_container_that_holds_something_is_not_deleted(engine: Engine) -> None:
    await make(engine, b"folder", b"folder/inner")
    await put(engine, b"folder/inner/file")
    for container in (b"folder", b"folder/inner"):
        with pytest.raises(ContainerNotEmpty):
            await engine.delete_container(container)
    await engine.delete([Deletion(at(b"folder/inner/file"))])
    await engine.delete_container(b"folder/inner")
    await engine.delete_container(b"folder")
    assert await names(engine) == set()


async def test_deleting_a_container_that_is_gone_is_no_error(engine: Engine) -> None:
    await make(engine, b"folder")
    for _ in range(2):
        await engine.delete_container(b"folder")
    await engine.delete_container(b"never/was/there")
    await put(engine, b"file")
    await engine.delete_container(b"file/inner")


async def test_listing_what_is_no_container_is_refused(engine: Engine) -> None:
    await put(engine, b"file")
    with pytest.raises(NotFound):
        await engine.list(b"nowhere")
    with pytest.raises(NotAContainer):
        await engine.list(b"file")


async def test_containers_nest_and_their_paths_begin_at_the_root(engine: Engine) -> None:
    await make(engine, b"a", b"a/b", b"a/b/c", b"b")
    await put(engine, b"a/b/c/file", b"deep")
    await put(engine, b"b/file", b"shallow")
    assert await names(engine) == {b"a", b"b"}
    assert await names(engine, b"a") == {b"b"}
    assert await content_of(engine, b"a/b/c/file") == b"deep"
    assert await content_of(engine, b"b/file") == b"shallow"
