"""The ASGI shell alone: a WSGI application that tells what reached it, and a server played by the test."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from esm.shell import ABORTED, REFUSAL, TOO_LARGE, TOO_SLOW, Message, Shell
from tests.esm.shells import WIDE, Client, exchange, part, run, scope, shell


def test_a_body_in_pieces_arrives_whole_and_with_its_length() -> None:
    client = exchange(scope((b"transfer-encoding", b"chunked")), part(b"ab", more=True), part(b"cd"))
    assert (client.seen["body"], client.seen["length"]) == ("abcd", "4")
    assert "HTTP_TRANSFER_ENCODING" not in client.seen["headers"]


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert len(exchange(scope((b"content-length", b"100")), part(b"x" * 100)).seen["body"]) == 100


def test_an_announced_body_beyond_the_limit_is_refused_without_being_read() -> None:
    client = exchange(scope((b"content-length", b"101")), part(b"x" * 101))
    assert client.seen["refused"] == TOO_LARGE.status
    assert client.events  # nothing was taken


@pytest.mark.parametrize(("length", "refused"), [(1_000, None), (1_001, TOO_LARGE.status)])
@pytest.mark.parametrize("announced", [True, False])
def test_an_address_that_takes_files_has_a_limit_of_its_own(
    length: int, refused: int | None, announced: bool
) -> None:
    headers = [(b"content-length", b"%d" % length)] if announced else []
    assert exchange(scope(*headers, path=WIDE), part(b"x" * length)).seen["refused"] == refused


def test_a_streamed_body_is_refused_when_it_passes_the_limit() -> None:
    client = exchange(scope(), part(b"x" * 60, more=True), part(b"x" * 60, more=True), part(b"x"))
    assert (client.seen["refused"], client.seen["body"]) == (TOO_LARGE.status, "")
    assert len(client.events) == 1


def test_a_body_that_does_not_arrive_in_time_is_refused_and_its_connection_closed() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(f"{environ['asgi.scope'][REFUSAL].status} x", [])
        return []

    client = exchange(scope(), part(b"x", more=True), app=app)
    assert (client.status, client.headers[b"connection"]) == (TOO_SLOW.status, b"close")


def test_a_client_that_leaves_while_its_body_is_read_is_noted() -> None:
    client = exchange(scope(), part(b"x", more=True), {"type": "http.disconnect"})
    assert client.seen["refused"] == ABORTED.status


def test_no_header_of_a_client_can_pose_as_another_or_as_the_shells_word() -> None:
    forged = [(b"x_forwarded_for", b"6.6.6.6"), (b"esm.refusal", b"x"), (b"x-forwarded-for", b"1.1.1.1")]
    seen = exchange(scope(*forged), part(b"")).seen
    assert seen["headers"] == {"HTTP_X_FORWARDED_FOR": "1.1.1.1", "HTTP_ESM.REFUSAL": "x"}
    assert seen["refused"] is None


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_does_not_announce_one(status: int) -> None:
    def app(_: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(f"{status} x", [("Content-Length", "0"), ("ETag", '"x"')])
        return [b""]

    assert exchange(scope(), part(b""), app=app).headers == {b"etag": b'"x"'}


def test_an_answer_in_pieces_is_sent_whole_and_its_source_closed() -> None:
    class Pieces:
        closed = False

        def __iter__(self) -> Any:
            return iter([b"ab", b"cd"])

        def close(self) -> None:
            Pieces.closed = True

    def app(_: dict[str, Any], start_response: Any) -> Pieces:
        start_response("200 OK", [])(b"> ")
        return Pieces()

    client = exchange(scope(), part(b""), app=app)
    assert client.sent[1] == {"type": "http.response.body", "body": b"> abcd"}
    assert Pieces.closed


def test_a_websocket_is_closed() -> None:
    client = Client()
    run(shell()({"type": "websocket"}, client.receive, client.send))
    assert client.sent == [{"type": "websocket.close", "code": 1000}]


def lifespan(one: Shell, between: Callable[[], Coroutine[Any, Any, None]]) -> Client:
    client = Client()

    async def scenario() -> None:
        events: asyncio.Queue[Message] = asyncio.Queue()
        task = asyncio.create_task(one({"type": "lifespan"}, events.get, client.send))
        await events.put({"type": "lifespan.startup"})
        while not client.sent:
            await asyncio.sleep(0)
        await between()
        await events.put({"type": "lifespan.shutdown"})
        await task

    run(scenario())
    return client


def test_the_application_is_warmed_before_the_server_says_it_is_ready() -> None:
    warmed: list[str] = []

    async def nothing() -> None:
        warmed.append("ready")

    client = lifespan(shell(warm=lambda: warmed.append(threading.current_thread().name[:3])), nothing)
    assert warmed == ["web", "ready"]
    assert [message["type"] for message in client.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_what_was_turned_away_is_written_down_before_the_end() -> None:
    noted: list[int] = []
    one = shell(after_turning_away=lambda: noted.append(1))

    async def overloaded() -> None:
        one._note_soon()

    lifespan(one, overloaded)
    assert noted == [1]
