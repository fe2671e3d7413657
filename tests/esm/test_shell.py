"""The ASGI shell alone: a WSGI application that tells what reached it, and a server played by the test."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from esm.shell import ABORTED, REFUSAL, TOO_LARGE, TOO_SLOW, Answer, Message, Scope, Shell, ShellLimits

WIDE = "/files/"
LIMITS = ShellLimits(
    open_max=30, threads=2, queue_max=3, body_max_bytes=100, body_timeout_s=0.05, wide_paths={WIDE: 1_000}
)
OVERLOAD = Answer(status=503, headers=[(b"retry-after", b"2")], body=b"full")


def tell(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with what WSGI showed it."""
    refusal = environ["asgi.scope"].get(REFUSAL)
    seen = {
        "body": environ["wsgi.input"].read().decode(),
        "length": environ.get("CONTENT_LENGTH"),
        "refused": refusal and refusal.status,
        "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]


def shell(app: Any = tell, **changes: Any) -> Shell:
    facts: dict[str, Any] = {
        "warm": lambda: None,
        "overload": lambda _: OVERLOAD,
        "after_turning_away": lambda: None,
    }
    return Shell(app, LIMITS, **(facts | changes))


def scope(*headers: tuple[bytes, bytes], path: str = "/x", method: str = "POST") -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


class Client:
    """One request as the server hands it to the shell; after its events it stays silent."""

    def __init__(self, *events: Message) -> None:
        self.events = list(events)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.events:
            return self.events.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def seen(self) -> dict[str, Any]:
        return json.loads(self.sent[1]["body"])  # type: ignore[no-any-return]


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, 20)

    asyncio.run(bounded())


def exchange(where: Scope, *events: Message, app: Any = tell) -> Client:
    client = Client(*events)
    run(shell(app)(where, client.receive, client.send))
    return client


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


class Slow:
    """A WSGI application whose requests end when the test says so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running = threading.Semaphore(0)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.running.release()
        self.go.wait(10)
        return tell(environ, start_response)


@asynccontextmanager
async def busy(one: Shell, app: Slow, requests: int) -> AsyncIterator[list[Client]]:
    """So many requests are running or waiting; they end with the block."""
    clients = [Client(part(b"")) for _ in range(requests)]
    tasks = [asyncio.create_task(one(scope(), client.receive, client.send)) for client in clients]
    for _ in range(min(requests, LIMITS.threads)):
        await asyncio.to_thread(app.running.acquire, timeout=10)
    while one._busy < requests:
        await asyncio.sleep(0)
    yield clients
    app.go.set()
    await asyncio.gather(*tasks)


def test_a_full_queue_is_answered_at_once_and_noted_soon_after() -> None:
    noted = threading.Event()
    app = Slow()

    async def scenario() -> None:
        one = shell(app, after_turning_away=noted.set)
        async with busy(one, app, LIMITS.queue_max) as clients:
            late = [Client(part(b"")) for _ in range(2)]
            for client in late:
                await one(scope(), client.receive, client.send)
            assert [client.status for client in late] == [503, 503]
        assert [client.status for client in clients] == [200, 200, 200]
        assert await asyncio.to_thread(noted.wait, 10)
        after = Client(part(b""))
        await one(scope(), after.receive, after.send)
        assert after.status == 200

    run(scenario())


def test_who_is_turned_away_takes_no_thread_waits_and_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.shell._HOLD_S", 0.01)
    noted, reached = threading.Event(), threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        reached.set()
        return tell(environ, start_response)

    def doorman(_: Scope, body: bytes) -> Answer | None:
        return Answer(status=429, headers=[], body=b"wait") if body == b"guess" else None

    async def scenario() -> None:
        one = shell(app, doorman=doorman, after_turning_away=noted.set)
        guess, good = Client(part(b"guess")), Client(part(b"{}"))
        await one(scope(), guess.receive, guess.send)
        assert (guess.status, reached.is_set(), one._held) == (429, False, 0)
        await one(scope(), good.receive, good.send)
        assert (good.status, await asyncio.to_thread(noted.wait, 10)) == (200, True)

    run(scenario())


def test_waiting_guesses_never_take_the_places_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esm.shell._HOLD_S", 60.0)

    async def scenario() -> None:
        one = shell(doorman=lambda _scope, body: Answer(status=429, headers=[], body=b"") if body else None)
        guesses = [Client(part(b"guess")) for _ in range(LIMITS.open_max // 4 + 5)]
        tasks = [asyncio.create_task(one(scope(), guess.receive, guess.send)) for guess in guesses]
        while sum(bool(guess.sent) for guess in guesses) < 5:
            await asyncio.sleep(0)
        good = Client(part(b""))
        await one(scope(), good.receive, good.send)
        assert (good.status, one._held) == (200, LIMITS.open_max // 4)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(scenario())


@pytest.mark.parametrize(("line", "closed"), [("127.0.0.2", True), (None, False)])
def test_a_guess_that_finds_no_room_to_wait_is_sent_to_the_line_at_the_door(
    monkeypatch: pytest.MonkeyPatch, line: str | None, closed: bool
) -> None:
    monkeypatch.setattr("esm.shell._HELD_SHARE", 1000)
    guess = Client(part(b"guess"))
    refused = Answer(status=429, headers=[], body=b"")
    one = shell(doorman=lambda _scope, _body: refused, line_of=lambda _peer: line)
    run(one(scope(), guess.receive, guess.send))
    assert ((b"connection", b"close") in guess.sent[0]["headers"]) == closed


def test_health_is_let_through_a_full_queue() -> None:
    app = Slow()

    async def scenario() -> None:
        one = shell(app, always=frozenset({"/healthz"}))
        async with busy(one, app, LIMITS.queue_max):
            client = Client(part(b""))
            task = asyncio.create_task(one(scope(path="/healthz"), client.receive, client.send))
            while one._busy <= LIMITS.queue_max:
                await asyncio.sleep(0)
        await task
        assert client.status == 200

    run(scenario())


def test_bodies_that_are_still_arriving_take_no_place_in_the_queue() -> None:
    async def scenario() -> None:
        one = shell()
        slow = [Client(part(b"x", more=True)) for _ in range(20)]
        tasks = [asyncio.create_task(one(scope(), client.receive, client.send)) for client in slow]
        await asyncio.sleep(0)
        good = Client(part(b"{}"))
        await one(scope(), good.receive, good.send)
        assert (good.status, one._busy) == (200, 0)
        await asyncio.gather(*tasks)

    run(scenario())


def test_more_open_requests_than_bodies_may_be_held_are_turned_away() -> None:
    async def scenario() -> None:
        one = shell()
        slow = [Client(part(b"x", more=True)) for _ in range(LIMITS.open_max)]
        tasks = [asyncio.create_task(one(scope(), client.receive, client.send)) for client in slow]
        await asyncio.sleep(0)
        late, again = Client(part(b"")), Client(part(b""))
        await one(scope(), late.receive, late.send)
        await asyncio.gather(*tasks)
        await one(scope(), again.receive, again.send)
        assert (late.status, again.status) == (503, 200)

    run(scenario())


def test_a_cancelled_request_keeps_its_place_until_its_thread_is_done() -> None:
    app = Slow()

    async def scenario() -> None:
        one = shell(app)
        client = Client(part(b""))
        task = asyncio.create_task(one(scope(), client.receive, client.send))
        await asyncio.to_thread(app.running.acquire, timeout=10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one._busy == 1
        app.go.set()
        while one._busy:
            await asyncio.sleep(0)

    run(scenario())


def test_an_application_that_fails_frees_its_place() -> None:
    def app(_: dict[str, Any], _start: Any) -> list[bytes]:
        raise RuntimeError("broken")

    async def scenario() -> None:
        one = shell(app)
        client = Client(part(b""))
        with pytest.raises(RuntimeError):
            await one(scope(), client.receive, client.send)
        while one._busy:
            await asyncio.sleep(0)

    run(scenario())


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
