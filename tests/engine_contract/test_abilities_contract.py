"""The contract: what an engine says it cannot do it refuses, and an engine that checks no names loses none."""

import pytest

from tests.engine_contract.given import at, attributes, content_of, listing, make, names, put
from vaultairefs.engine.interface import Engine
from vaultairefs.model.errors import NotSupported
from vaultairefs.model.values import ABSENT, ANY, Kind


async def test_a_verb_that_an_engine_lacks_is_refused(engine: Engine) -> None:
    version = await put(engine, b"file", b"bytes")
    for verb, able in ((engine.move, engine.capabilities.moves), (engine.link, engine.capabilities.links)):
        if not able:
            with pytest.raises(NotSupported):
                await verb(at(b"file"), at(b"other"), version=version, expected=ABSENT)
    if not engine.capabilities.moves:
        assert await names(engine) == {b"file"}


async def test_without_checks_containers_come_with_what_is_put_into_them(engine: Engine) -> None:
    if engine.capabilities.names_checked:
        pytest.skip("this engine checks names")
    await put(engine, b"no/where/file", b"bytes")
    assert await names(engine) == {b"no"}
    assert await names(engine, b"no") == {b"where"}
    found = await listing(engine, b"no/where")
    assert await content_of(engine, b"no/where/file", found[b"file"].version) == b"bytes"


async def test_without_checks_an_artifact_beside_a_container_of_its_name_keeps_its_bytes(engine: Engine) -> None:
    if engine.capabilities.names_checked:
        pytest.skip("this engine checks names")
    await make(engine, b"x")
    await put(engine, b"x/inside", b"inside")
    version = await put(engine, b"x", b"artifact")
    found = await listing(engine)
    (other,) = set(found) - {b"x"}
    assert found[b"x"].attributes.kind is Kind.CONTAINER
    assert await content_of(engine, other, version) == b"artifact"
    assert await content_of(engine, b"x/inside") == b"inside"
    newer = await put(engine, other, b"newer", expected=version)
    assert (await engine.stat(at(other))).version == newer
    await engine.set_attributes(at(other), attributes(mode=0o600), expected=ANY)
    assert set(await listing(engine)) == set(found)
