"""The control socket: one request, many replies, the owner's alone."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from vaultairefs.control import client, server
from vaultairefs.control.protocol import Message, decode
from vaultairefs.control.server import Send
from vaultairefs.model.errors import BadInput, Busy, TimedOut, Unavailable


async def count(request: Message, send: Send) -> Message:
    for number in range(int(request["to"])):
        await send({"number": number})
    return {"counted": request["to"]}


async def refuse(request: Message, send: Send) -> Message:
    raise Busy("it is busy", operation="unmount")


async def break_down(request: Message, send: Send) -> Message:
    raise RuntimeError("a bug")


class Waiting:
    """A verb that waits for ever and says when it was cancelled."""

    def __init__(self) -> None:
        self.cancelled = trio.Event()

    async def __call__(self, request: Message, send: Send) -> Message:
        try:
            await send({"waiting": True})
            await trio.sleep_forever()
        finally:
            self.cancelled.set()
        raise AssertionError("unreachable")


@asynccontextmanager
async def serving(directory: Path, **verbs: server.Verb) -> AsyncIterator[server.ControlServer]:
    async with trio.open_nursery() as nursery:
        control = server.ControlServer(server.listen(directory), verbs)
        nursery.start_soon(control.run)
        yield control
        nursery.cancel_scope.cancel()


async def ask(directory: Path, verb: str, **arguments: object) -> list[Message]:
    return await trio.to_thread.run_sync(lambda: list(client.converse(directory, verb, **arguments)))


async def test_replies_come_in_order_and_the_last_one_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, count=count):
        assert await ask(tmp_path, "count", to=2) == [{"number": 0}, {"number": 1}, {"counted": 2, "done": True}]


async def test_a_refusal_arrives_as_its_sentence(tmp_path: Path) -> None:
    async with serving(tmp_path, refuse=refuse):
        with pytest.raises(BadInput) as caught:
            await ask(tmp_path, "refuse")
        assert caught.value.args[0] == "it is busy"


async def test_a_request_that_breaks_does_not_end_the_daemon(tmp_path: Path) -> None:
    async with serving(tmp_path, break_down=break_down, count=count):
        with pytest.raises(BadInput, match="RuntimeError"):
            await ask(tmp_path, "break_down")
        assert await ask(tmp_path, "count", to=0) == [{"counted": 0, "done": True}]


async def test_an_error_inside_a_nursery_of_a_request_is_its_sentence_too(tmp_path: Path) -> None:
    async def refuse_deep(request: Message, send: Send) -> Message:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse, request, send)
        raise AssertionError("unreachable")

    async with serving(tmp_path, refuse_deep=refuse_deep):
        with pytest.raises(BadInput, match=r"^it is busy$"):
            await ask(tmp_path, "refuse_deep")


async def test_hanging_up_while_a_nursery_of_the_request_talks_does_not_end_the_daemon(tmp_path: Path) -> None:
    ended = trio.Event()

    async def talk(request: Message, send: Send) -> Message:
        async def chatter() -> None:
            while True:
                await send({"word": "x" * 10_000})

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(chatter)
                nursery.start_soon(chatter)
        finally:
            ended.set()
        raise AssertionError("unreachable")

    async with serving(tmp_path, talk=talk, count=count):
        for _ in range(5):
            ended = trio.Event()
            replies = client.converse(tmp_path, "talk")
            await trio.to_thread.run_sync(next, replies)
            replies.close()
            with trio.fail_after(10):
                await ended.wait()
        assert await ask(tmp_path, "count", to=0) == [{"counted": 0, "done": True}]


async def test_an_unknown_request_and_garbage_are_answered(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(BadInput, match="does not know"):
            await ask(tmp_path, "dance")
        for garbage in (b"hello\n", b"[1]\n"):
            stream = await trio.open_unix_socket(str(tmp_path / "control"))
            async with stream:
                await stream.send_all(garbage)
                answer = decode(await stream.receive_some(1000))
                assert "JSON" in answer["error"]
                assert answer["done"]


async def test_a_client_that_hangs_up_cancels_its_own_request(tmp_path: Path) -> None:
    waiting = Waiting()
    async with serving(tmp_path, wait=waiting, count=count):
        replies = client.converse(tmp_path, "wait")
        assert await trio.to_thread.run_sync(next, replies) == {"waiting": True}
        replies.close()
        with trio.fail_after(10):
            await waiting.cancelled.wait()
        assert await ask(tmp_path, "count", to=0) == [{"counted": 0, "done": True}]


async def test_finishing_waits_for_the_answers_under_way(tmp_path: Path) -> None:
    begun, may_answer, answers = trio.Event(), trio.Event(), []

    async def answer(request: Message, send: Send) -> Message:
        begun.set()
        await may_answer.wait()
        return {"answered": True}

    async def client_task() -> None:
        answers.extend(await ask(tmp_path, "answer"))

    async with serving(tmp_path, answer=answer) as control, trio.open_nursery() as nursery:
        nursery.start_soon(client_task)
        await begun.wait()
        with trio.move_on_after(0.05) as too_early:
            await control.finish()
        assert too_early.cancelled_caught
        may_answer.set()
        with trio.fail_after(10):
            await control.finish()
    assert answers == [{"answered": True, "done": True}]


async def test_an_answer_that_does_not_come_in_time_is_timed_out(tmp_path: Path) -> None:
    async with serving(tmp_path, wait=Waiting()):
        with pytest.raises(TimedOut):
            await ask(tmp_path, "wait", timeout_seconds=0.05)


async def test_the_socket_is_its_owners_and_replaces_a_dead_daemons(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("left behind")
    async with serving(tmp_path, count=count):
        status = (tmp_path / "control").stat()
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert await ask(tmp_path, "count", to=0)


async def test_somebody_elses_request_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_peer_uid", lambda stream: 4242)
    async with serving(tmp_path, count=count):
        with pytest.raises(BadInput, match="only the owner"):
            await ask(tmp_path, "count", to=0)


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no daemon answers"):
        client.ask(tmp_path, "status")
    with pytest.raises(Unavailable, match="no daemon answers"):
        client.ask(tmp_path / "missing", "status")


async def test_a_state_directory_with_a_very_long_path_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    async with serving(deep, count=count):
        assert await ask(deep, "count", to=0) == [{"counted": 0, "done": True}]
