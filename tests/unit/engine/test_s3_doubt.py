"""What a lost or doubtful answer does: repeat what may be repeated, else look whether it was done already."""

import os
import tempfile

import msgspec
import pytest

from tests.engine_contract.given import at, attributes
from tests.support.scripted import HANG_UP, Scripted, answer, refusal, scripted
from tests.support.stores import Server
from vaultairefs.engine.interface import Capabilities
from vaultairefs.engine.s3 import S3Engine
from vaultairefs.engine.s3_abilities import Abilities
from vaultairefs.model.errors import AccessDenied, Conflict, Corrupt, NotFound, NotSupported, Unavailable
from vaultairefs.model.values import ABSENT, ANY, Version

HONEST = Abilities(put_absent=True, put_version=True, commit_absent=True, commit_version=True, read_version=True)
OURS = {"x_amz_meta_vaultaire_token": "m:1:1", "ETag": '"new"'}
BUSY = refusal(503, "SlowDown")


def engine(server: Scripted, abilities: Abilities = HONEST) -> tuple[S3Engine, list[float]]:
    """An engine that does not really pause; the list holds the pauses it would have made."""
    made = Server("scripted", server.url).engine("bucket")
    made._store.rely_on(abilities)
    pauses: list[float] = []
    made._client._sleep = pauses.append
    return made, pauses


async def put(made: S3Engine, expected: Version = ABSENT, token: str = "m:1:1") -> Version:
    return await made.put(at(b"file"), b"bytes", attributes(), expected=expected, token=token)


def methods(server: Scripted) -> list[str]:
    return [asked.line.split()[0] for asked in server.asked]


async def test_a_condition_goes_out_exactly_as_said() -> None:
    with scripted(answer(200, ETag='"new"'), answer(200, ETag='"newer"')) as server:
        made, _ = engine(server)
        assert await put(made) == "new"
        assert await put(made, expected=Version("new")) == "newer"
        await made.close()
    assert server.asked[0].headers["if-none-match"] == "*"
    assert server.asked[1].headers["if-match"] == '"new"'
    assert server.asked[0].line == "PUT /bucket/file HTTP/1.1"
    assert server.asked[0].body == b"bytes"


@pytest.mark.parametrize("doubt", [HANG_UP, BUSY, refusal(500, "InternalError")], ids=["lost", "slow down", "error"])
async def test_a_put_that_was_done_although_its_answer_says_otherwise_is_found_by_its_token(doubt: bytes) -> None:
    """Applied, then 503: the put is not sent again, nor is it a conflict with ourselves."""
    with scripted(doubt, answer(200, **OURS)) as server:
        made, pauses = engine(server)
        assert await put(made) == "new"
        await made.close()
    assert methods(server) == ["PUT", "HEAD"]
    assert len(pauses) == 1


async def test_a_put_that_was_not_done_is_sent_again() -> None:
    with scripted(BUSY, answer(404), answer(200, ETag='"new"')) as server:
        made, _ = engine(server)
        assert await put(made) == "new"
        await made.close()
    assert methods(server) == ["PUT", "HEAD", "PUT"]


async def test_a_condition_that_our_own_late_put_broke_is_no_conflict() -> None:
    with scripted(HANG_UP, answer(404), refusal(412, "PreconditionFailed"), answer(200, **OURS)) as server:
        made, _ = engine(server)
        assert await put(made) == "new"
        await made.close()
    assert methods(server) == ["PUT", "HEAD", "PUT", "HEAD"]


@pytest.mark.parametrize("refused", [refusal(412, "PreconditionFailed"), refusal(404, "NoSuchKey")])
async def test_a_condition_that_somebody_else_broke_is_a_conflict(refused: bytes) -> None:
    theirs = answer(200, ETag='"theirs"', x_amz_meta_vaultaire_token="other")
    with scripted(refused, theirs) as server:
        made, _ = engine(server)
        with pytest.raises(Conflict):
            await put(made, expected=Version("old"))
        await made.close()


async def test_a_conflict_of_requests_is_tried_again() -> None:
    with scripted(refusal(409, "ConditionalRequestConflict"), answer(404), answer(200, ETag='"new"')) as server:
        made, _ = engine(server)
        assert await put(made) == "new"
        await made.close()


async def test_a_store_that_stays_away_is_unavailable_and_the_condition_never_goes_out_unlooked() -> None:
    with scripted(*[BUSY, answer(404)] * 5) as server:
        made, pauses = engine(server)
        with pytest.raises(Unavailable):
            await put(made)
        await made.close()
    assert methods(server) == ["PUT", *["HEAD", "PUT"] * 4]
    assert len(pauses) == 4


async def test_what_may_be_repeated_is_and_retry_after_is_heeded() -> None:
    with scripted(refusal(503, "SlowDown", Retry_After="3"), HANG_UP, answer(404), answer(404)) as server:
        made, pauses = engine(server)
        with pytest.raises(NotFound):
            await made.stat(at(b"file"))
        await made.close()
    assert pauses[0] >= 3


async def test_a_refusal_for_good_is_not_repeated() -> None:
    with scripted(refusal(403, "AccessDenied")) as server:
        made, pauses = engine(server)
        with pytest.raises(AccessDenied):
            await put(made)
        await made.close()
    assert methods(server) == ["PUT"] and pauses == []


async def test_without_conditions_in_the_store_a_look_comes_right_before() -> None:
    with scripted(answer(404), answer(200, ETag='"new"'), answer(200, ETag='"theirs"')) as server:
        made, _ = engine(server, Abilities())
        assert made.capabilities == Capabilities(
            conditional=False,
            names_checked=False,
            groups=True,
            upkeep=True,
            inline_bytes_max=16 << 20,
            chunk_bytes_min=5 << 20,
        )
        assert await put(made) == "new"
        with pytest.raises(Conflict):
            await put(made, expected=Version("new"), token="m:1:2")
        await made.close()
    assert methods(server) == ["HEAD", "PUT", "HEAD"]
    assert "if-none-match" not in server.asked[1].headers


async def test_ceph_gets_its_etags_bare() -> None:
    with scripted(answer(200, ETag='"new"')) as server:
        made, _ = engine(server, Abilities(put_absent=True, put_version=True, bare_etags=True))
        await put(made, expected=Version("old"))
        await made.close()
    assert server.asked[0].headers["if-match"] == "old"


async def read(made: S3Engine, version: Version, length: int = 5) -> tuple[int, bytes]:

    with tempfile.TemporaryFile() as file:
        copied = await made.read(at(b"file"), version, 10, length, file.fileno(), 0)
        return copied, os.pread(file.fileno(), 100, 0)


def part(content: bytes, said: str = "bytes 10-14/100", etag: str = '"v"') -> bytes:
    return answer(206, content, ETag=etag, content_range=said)


async def test_a_part_is_read_under_its_version() -> None:
    with scripted(part(b"01234")) as server:
        made, _ = engine(server)
        assert await read(made, Version("v")) == (5, b"01234")
        await made.close()
    assert (server.asked[0].headers["range"], server.asked[0].headers["if-match"]) == ("bytes=10-14", '"v"')


async def test_a_body_that_ends_early_is_asked_for_again() -> None:
    cut = part(b"01234").removesuffix(b"34") + HANG_UP
    with scripted(cut, part(b"01234")) as server:
        made, _ = engine(server)
        assert await read(made, Version("v")) == (5, b"01234")
        await made.close()


@pytest.mark.parametrize(
    "lie",
    [
        part(b"01234", etag='"other"'),
        part(b"01234", "bytes 0-4/100"),
        part(b"0123", "bytes 10-13/100"),
        part(b"01234", "nonsense"),
        answer(206, b"01234", ETag='"v"'),
    ],
    ids=["version", "offset", "short", "nonsense", "no range"],
)
async def test_what_was_not_asked_for_never_reaches_the_body(lie: bytes) -> None:

    with scripted(*[lie] * 5) as server:
        made, _ = engine(server)
        with pytest.raises((Conflict, Corrupt)):
            await read(made, Version("v"))
        await made.close()


async def test_a_whole_artifact_in_place_of_a_part_is_cut() -> None:
    with scripted(answer(200, bytes(range(20)), ETag='"v"'), answer(200, bytes(range(12)), ETag='"v"')) as server:
        made, _ = engine(server)
        assert await read(made, Version("v")) == (5, bytes(range(10, 15)))
        assert await read(made, ANY) == (2, bytes(range(10, 12)))
        await made.close()


async def test_a_token_out_of_date_is_renewed_once() -> None:
    with scripted(refusal(400, "ExpiredToken"), answer(200, ETag='"new"')) as server:
        made, _ = engine(server)
        assert await put(made) == "new"
        await made.close()


PINNING = msgspec.structs.replace(HONEST, part_copy=True, part_copy_works=True)
BEGUN = answer(200, b"<R><UploadId>u</UploadId></R>")


async def test_a_chunk_is_copied_pinned_to_its_version() -> None:
    copied = answer(200, b"<CopyPartResult><ETag>p</ETag></CopyPartResult>")
    with scripted(BEGUN, copied) as server:
        made, _ = engine(server, PINNING)
        started = await made.begin_upload(at(b"file"), 20, attributes(), token="m:1:1")
        assert await made.copy_chunk(started, 1, 8, 12, at(b"a b"), Version("v")) == "1:8:12:p"
        await made.close()
    assert server.asked[1].line == "PUT /bucket/file?partNumber=2&uploadId=u HTTP/1.1"
    headers = server.asked[1].headers
    assert headers["x-amz-copy-source"] == "/bucket/a%20b"
    assert (headers["x-amz-copy-source-range"], headers["x-amz-copy-source-if-match"]) == ("bytes=8-19", '"v"')


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        (refusal(412, "PreconditionFailed"), Conflict),
        (refusal(404, "NoSuchKey"), NotFound),
        (refusal(404, "NoSuchUpload"), NotFound),
        (refusal(416, "InvalidRange"), Corrupt),
    ],
)
async def test_a_chunk_that_cannot_be_copied_says_why(answered: bytes, kind: type[Exception]) -> None:
    with scripted(BEGUN, answered) as server:
        made, _ = engine(server, PINNING)
        started = await made.begin_upload(at(b"file"), 20, attributes(), token="m:1:1")
        with pytest.raises(kind):
            await made.copy_chunk(started, 0, 0, 20, at(b"file"), Version("v"))
        await made.close()


async def test_where_the_store_does_not_pin_what_it_copies_no_chunk_is() -> None:
    with scripted(BEGUN) as server:
        made, _ = engine(server)
        assert not made.capabilities.copies_chunks
        started = await made.begin_upload(at(b"file"), 20, attributes(), token="m:1:1")
        with pytest.raises(NotSupported):
            await made.copy_chunk(started, 0, 0, 20, at(b"file"), Version("v"))
        await made.close()
