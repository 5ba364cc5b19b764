"""Everything that the engine seam says goes through to a worker, whatever is added to it."""

import inspect
import os
import tempfile
from typing import cast

import pytest
import trio

from tests.support.worker_engines import EchoEngine, answer_of, samples_of
from tests.support.worker_program import opened
from vaultairefs.engine.interface import Engine
from vaultairefs.engine.worker import LOOKING
from vaultairefs.engine.worker_errors import error_of, form_of
from vaultairefs.engine.worker_verbs import ANSWERED_HERE, APART_BYTES_MIN, FACTS, VERBS, Parcel
from vaultairefs.model import errors
from vaultairefs.model.errors import Unavailable, VaultaireError
from vaultairefs.model.values import ABSENT, EntryPath

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, VaultaireError)]


def same(left: object, right: object) -> bool:
    """Equal; errors by what they say, sequences whatever their kind."""
    if isinstance(left, VaultaireError) and isinstance(right, VaultaireError):
        return type(left) is type(right) and vars(left) == vars(right) and left.args == right.args
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


async def test_every_verb_of_the_seam_goes_through_with_all_its_arguments_and_its_answer() -> None:
    async with opened("tests.support.worker_engines:EchoEngine") as engine:
        for name in sorted(VERBS.keys() - {"close"}):
            given = samples_of(name)
            signature = inspect.signature(getattr(Engine, name))
            with tempfile.TemporaryFile() as file:
                given.update({word: file.fileno() for word in given if word.endswith("descriptor")})
                bound = signature.bind(None, **given)
                answer = await getattr(engine, name)(*bound.args[1:], **bound.kwargs)
                words = [word.encode() for word in given if word.endswith("descriptor")]
                assert file.read() == b"".join(words), "the descriptor over there is not the file here"
            assert same(answer, answer_of(name)), name


async def test_what_an_engine_tells_of_itself_is_known_without_asking() -> None:
    async with opened("tests.support.worker_engines:EchoEngine") as engine:
        told = {name: getattr(engine, name) for name in FACTS}
    assert told == {name: getattr(EchoEngine(), name) for name in FACTS}
    assert engine.staging_path(b"name") == EntryPath(b"parked", b"name")


def test_every_member_of_the_seam_is_a_verb_a_fact_or_answered_here() -> None:
    members = {name for name in vars(Engine) if not name.startswith("_")}
    assert members == VERBS.keys() | FACTS.keys() | ANSWERED_HERE
    assert {"staging_path"} == ANSWERED_HERE, "an engine's new method that is not awaited needs an answer here"
    assert VERBS.keys() > LOOKING
    assert not {name for name in LOOKING if "token" in inspect.signature(getattr(Engine, name)).parameters}


def test_arguments_that_are_not_the_verbs_are_refused_before_anything_is_sent() -> None:
    path = EntryPath(b"", b"a")
    with pytest.raises(TypeError):
        VERBS["stat"].pack((path, path), {})
    with pytest.raises(TypeError):
        VERBS["stat"].pack((), {"path": path, "name": b""})
    with pytest.raises(TypeError):
        VERBS["put"].pack((path, b"", samples_of("put")["attributes"], ABSENT, ""), {})


@pytest.mark.parametrize("size", [0, APART_BYTES_MIN - 1, APART_BYTES_MIN, 3 * APART_BYTES_MIN + 1])
def test_bytes_of_every_size_arrive(size: int) -> None:
    given = {**samples_of("put"), "content": os.urandom(size)}
    before = len(os.listdir("/proc/self/fd"))
    parcel = VERBS["put"].pack((), given)
    assert bool(parcel.descriptors) == (size >= APART_BYTES_MIN)
    assert len(parcel.arguments) < APART_BYTES_MIN + 1000
    positional, named = VERBS["put"].unpack(cast(Parcel, parcel))
    parcel.close()
    assert [*positional, *named.values()] == list(given.values())
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_arrives_as_itself_with_all_its_fields_and_its_cause_in_words(kind: type[VaultaireError]) -> None:
    error = kind("it went wrong", container=b"c", artifact=b"\xff", operation="put", tenant="t")
    error.__cause__ = OSError(5, "a disk said so")
    error.__cause__.__cause__ = ValueError("deep down")
    arrived = error_of(form_of(error, "put"))
    assert same(arrived, error)
    assert str(arrived.__cause__) == "OSError: [Errno 5] a disk said so\nValueError: deep down"


def test_an_error_of_somebody_elses_class_arrives_as_the_nearest_of_ours() -> None:
    class Foreign(errors.Conflict):
        """Somebody else's."""

    assert type(error_of(form_of(Foreign("no"), "put"))) is errors.Conflict


def test_what_nobody_expected_arrives_as_unavailable() -> None:
    arrived = error_of(form_of(ZeroDivisionError("oh"), "put"))
    assert type(arrived) is Unavailable
    assert arrived.operation == "put"
    assert "ZeroDivisionError: oh" in str(arrived)


async def test_every_error_crosses_on_its_own_and_the_engine_goes_on(tmp_path: object) -> None:
    async with opened("tests.support.worker_engines:GatedEngine", directory=str(tmp_path)) as engine:
        for kind in ERRORS:
            with pytest.raises(kind) as caught:
                await engine.stat(EntryPath(b"c", kind.__name__.encode()))
            assert type(caught.value) is kind
            assert (caught.value.container, caught.value.artifact, caught.value.tenant) == (b"c", b"\xff", "t")
            assert vars(caught.value)["number"] == 7
            assert str(caught.value.__cause__) == "OSError: [Errno 5] the cause"
        with trio.fail_after(60):
            assert (await engine.stat(EntryPath(b"", b""))).name == b""
